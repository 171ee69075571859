//! The rules: one row each. Pure.
//!
//! The order of the rows is the order of precedence: one takeover gives one finding, by the
//! first rule that holds; the others that hold are listed beside it.

use serde::{Deserialize, Serialize};

use crate::{
    event::{Action, Signal},
    policy::finding::Severity,
    process::{
        Role, application,
        origin::{Owner, Route},
        table::{Change, Context},
    },
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
    /// What to do; `{way}` stands for what the server's mod_wsgi supports instead, see
    /// [`crate::policy::remedy`].
    pub remedy: &'static str,
    /// When it holds.
    pub holds: Holds,
}

/// When a rule holds.
#[derive(Clone, Copy, Debug)]
pub enum Holds {
    /// For a takeover that begins, under the restriction in force.
    Takeover(fn(Restriction, &Change, Signal) -> bool),
    /// For each call that mod_wsgi blocked.
    Attempt,
    /// For what stands in a worker though nobody was seen to set it.
    Drift,
    /// For a worker that is there yet although it was asked to go by a signal that was taken.
    Shutdown,
}

/// Every rule, the one that says most first.
pub const RULES: &[Rule] = &[
    Rule {
        id: "sigpipe-not-ignored",
        severity: Severity::Critical,
        sentence: "is no longer ignored: a client that hangs up can now kill the worker",
        remedy: "Leave SIGPIPE ignored as Apache set it; a library that wants errors instead of \
                 the signal gets them while it is ignored.",
        holds: Holds::Takeover(|_, change, signal| {
            signal == Signal::PIPE && change.registration.new.action != Action::Ignore
        }),
    },
    Rule {
        id: "reserved-signal",
        severity: Severity::Critical,
        sentence: "was taken from the server, which needs it to stop, restart or recycle",
        remedy: "Do not handle this signal inside a worker, where the server needs it; {way}.",
        holds: Holds::Takeover(|_, change, signal| is_reserved(signal, &change.context)),
    },
    Rule {
        id: "restricted-registration",
        severity: Severity::Warning,
        sentence: "was changed by application code although WSGIRestrictSignal is On",
        remedy: "Remove the registration or switch it off in the library; mod_wsgi's restriction \
                 covers Python's signal.signal only, so that this one went past it.",
        holds: Holds::Takeover(|restriction, _, _| restriction == Restriction::On),
    },
    Rule {
        id: "sigalrm",
        severity: Severity::Notice,
        sentence: "was taken: Apache does not use it, but there is one alarm clock per process",
        remedy: "Use a timeout of the call itself, or a timer thread, instead of SIGALRM.",
        holds: Holds::Takeover(|_, _, signal| signal == Signal::ALRM),
    },
    Rule {
        id: "secondary-thread",
        severity: Severity::Warning,
        sentence: "was changed from a thread that is not the main thread",
        remedy: "Register on the main thread, as a side effect of a WSGIImportScript; elsewhere \
                 it races with the server and with other requests.",
        holds: Holds::Takeover(|_, change, _| change.context.tid != change.context.process.key.pid),
    },
    Rule {
        id: "outside-import-script",
        severity: Severity::Notice,
        sentence: "was given a Python handler outside of any WSGIImportScript",
        remedy: "Register as a side effect of a script that WSGIImportScript loads when the process \
                 starts: elsewhere it depends on which request comes first, and on which thread.",
        holds: Holds::Takeover(|_, change, _| {
            is_from_python(change) && is_outside_import_scripts(change)
        }),
    },
    Rule {
        id: "never-dispatched",
        severity: Severity::Notice,
        sentence: "was given a Python handler that cannot run there: its default action is gone, \
                   and nothing comes instead",
        remedy: "Do not handle signals in Python here: Python runs handlers on the main thread of \
                 the main interpreter only, and here that runs no Python; {way}.",
        holds: Holds::Takeover(|_, change, _| {
            is_from_python(change) && is_python_handler(change) && is_deaf(&change.context)
        }),
    },
    Rule {
        id: "blocked-attempt",
        severity: Severity::Warning,
        sentence: "was to be handled by signal.signal, which WSGIRestrictSignal ignored: the \
                   application runs without the handler that it believes it has",
        remedy: "Remove the call, or guard it where the application also runs outside of \
                 mod_wsgi; {way}.",
        holds: Holds::Attempt,
    },
    Rule {
        id: "disposition-drift",
        severity: Severity::Warning,
        sentence: "stands otherwise than any call that was seen explains",
        remedy: "Restart the worker while sigblame runs, which then tells who takes the signal, with the \
                 stack; until then the handler's owner, and what differs from the worker's siblings, \
                 are the trace to follow.",
        holds: Holds::Drift,
    },
    Rule {
        id: "shutdown-blocked",
        severity: Severity::Critical,
        sentence: "was sent to end the worker, which did not go: the signal had been taken",
        remedy: "Do what the takeover's own finding says (`cause`): as long as the signal is taken, \
                 each stop and restart waits until httpd kills the worker, and a daemon that is to \
                 be recycled goes on without its requests.",
        holds: Holds::Shutdown,
    },
];

/// The signals that the server itself uses, by role and version.
///
/// SIGXCPU stops a daemon at its `cpu-time-limit` (mod_wsgi 4.x to 6.x, `wsgi_start_process`).
/// Daemons of mod_wsgi 6 hand SIGHUP and SIGUSR2 to `mod_wsgi.subscribe_signals` (the same
/// function); earlier ones leave SIGUSR2 to whoever wants it. SIGHUP is the server's anyway.
fn is_reserved(signal: Signal, context: &Context) -> bool {
    is_reserved_in(signal, context.process.role.is_daemon(), major(context))
}

/// The same, for a daemon or another worker, of mod_wsgi of this major version.
pub(crate) fn is_reserved_in(signal: Signal, is_daemon: bool, major: Option<u32>) -> bool {
    match signal {
        Signal::TERM | Signal::INT | Signal::HUP | Signal::WINCH | Signal::USR1 => true,
        Signal::XCPU => is_daemon,
        Signal::USR2 => is_daemon && major.is_some_and(|major| major >= 6),
        _ => false,
    }
}

/// mod_wsgi's first number.
fn major(context: &Context) -> Option<u32> {
    let version = context.server.facts.mod_wsgi.as_deref()?;
    version.split('.').next()?.parse().ok()
}

/// Whether Python's own function made the call, and not a library in it.
fn is_from_python(change: &Change) -> bool {
    change.route == Route::SignalSignal
}

/// Whether what was set makes the interpreter call a Python function: its own C handler, and not
/// default or ignore.
fn is_python_handler(change: &Change) -> bool {
    matches!(change.registration.new.action, Action::Handler(_))
        && !change.new_owner.as_ref().is_some_and(Owner::is_foreign)
}

/// Whether no Python handler ever runs in a process: not on its main thread, in its main
/// interpreter, which is where CPython runs them (`_PyErr_CheckSignalsTstate`, 3.6 to 3.15).
///
/// A service script runs there; an embedded worker under prefork does, too. Other threads of
/// worker and event, and of daemons, run requests, and their main threads wait (mod_wsgi 4.x to
/// 6.x, `wsgi_daemon_main`).
fn is_deaf(context: &Context) -> bool {
    match context.process.role {
        Role::Daemon => true,
        Role::Embedded => matches!(
            context.server.facts.mpm.as_deref(),
            Some("worker" | "event")
        ),
        _ => false,
    }
}

/// Whether no import script of the process was being imported; where the configuration is not
/// known, that cannot be said.
fn is_outside_import_scripts(change: &Change) -> bool {
    let context = &change.context;
    let frames = &change.registration.python.frames;
    let generation = context.process.generation;
    let Some(configuration) = context.server.configuration(generation) else {
        return false;
    };
    // A service script is its import script.
    if context.process.role == Role::ServiceScript {
        return false;
    }
    let process_group = match context.process.role {
        Role::Embedded => Some(""),
        _ => context.process_group.as_deref(),
    };
    let group = context.application.group.as_deref();
    !application::in_import_script(configuration, process_group, group, frames)
}
