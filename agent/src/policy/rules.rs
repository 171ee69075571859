//! The rules: one row each. Pure.
//!
//! The order of the rows is the order of precedence: one takeover gives one finding, by the
//! first rule that holds; the others that hold are listed beside it.

use serde::{Deserialize, Serialize};

use crate::{
    event::{Action, Signal},
    policy::finding::Severity,
    process::{Role, table::Change},
};

/// The restriction in force (`WSGIRestrictSignal`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restriction {
    /// mod_wsgi's default.
    #[default]
    On,
    /// Applications may register.
    Off,
}

impl Restriction {
    /// The name that JSON and the configuration use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name, for ever.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it says, after "SIGTERM ": a part of the finding's message.
    pub sentence: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// Whether it holds for a takeover that begins.
    pub holds: fn(Restriction, &Change, Signal) -> bool,
}

/// Every rule, the one that says most first.
pub const RULES: &[Rule] = &[
    Rule {
        id: "sigpipe-not-ignored",
        severity: Severity::Critical,
        sentence: "is no longer ignored: a client that hangs up can now kill the worker",
        remedy: "Leave SIGPIPE ignored as Apache set it; a library that wants errors instead of \
                 the signal gets them while it is ignored.",
        holds: |_, change, signal| {
            signal == Signal::PIPE && change.registration.new.action != Action::Ignore
        },
    },
    Rule {
        id: "reserved-signal",
        severity: Severity::Critical,
        sentence: "was taken from the server, which needs it to stop, restart or recycle",
        remedy: "Do not handle this signal inside a worker: use mod_wsgi.subscribe_shutdown \
                 (mod_wsgi 4.7 and later) for clean-up at exit, and the library's own switch to \
                 leave signals alone.",
        holds: |_, change, signal| is_reserved(signal, change.process.role),
    },
    Rule {
        id: "restricted-registration",
        severity: Severity::Warning,
        sentence: "was changed by application code although WSGIRestrictSignal is On",
        remedy: "Remove the registration or switch it off in the library; mod_wsgi's restriction \
                 covers Python's signal.signal only, so that this one went past it.",
        holds: |restriction, _, _| restriction == Restriction::On,
    },
    Rule {
        id: "sigalrm",
        severity: Severity::Notice,
        sentence: "was taken: Apache does not use it, but there is one alarm clock per process",
        remedy: "Use a timeout of the call itself, or a timer thread, instead of SIGALRM.",
        holds: |_, _, signal| signal == Signal::ALRM,
    },
    Rule {
        id: "secondary-thread",
        severity: Severity::Warning,
        sentence: "was changed from a thread that is not the main thread",
        remedy: "Register on the main thread, as a side effect of a WSGIImportScript; elsewhere \
                 it races with the server and with other requests.",
        holds: |_, change, _| change.tid != change.process.key.pid,
    },
];

/// The signals that the server itself uses, by role.
///
/// SIGXCPU stops a daemon at its `cpu-time-limit` (mod_wsgi 4.x to 6.x, `wsgi_start_process`).
fn is_reserved(signal: Signal, role: Role) -> bool {
    matches!(
        signal,
        Signal::TERM | Signal::INT | Signal::HUP | Signal::WINCH | Signal::USR1
    ) || (signal == Signal::XCPU && role == Role::Daemon)
}
