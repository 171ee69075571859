//! What stands on a signal, by whose it is, and whether a server could have set that. Pure.

use super::{ModuleKind, Role, origin::Owner, table::Process};
use crate::event::{Action, Signal};

/// What stands on a signal, by whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stance {
    /// `SIG_DFL`.
    Default,
    /// `SIG_IGN`.
    Ignore,
    /// A handler of httpd's or one of its parts.
    Server,
    /// A handler of the C library's.
    CLibrary,
    /// A handler of the interpreter's.
    Interpreter,
    /// A handler of an extension, a library, or code made at run time, by its owner's name.
    Foreign(String),
    /// A handler, and nobody knows whose.
    Unknown,
}

impl Stance {
    /// Of an action, whose handler has this owner.
    #[must_use]
    pub fn of(action: Action, owner: Option<&Owner>) -> Self {
        match (action, owner) {
            (Action::Default, _) => Self::Default,
            (Action::Ignore, _) => Self::Ignore,
            (_, None | Some(Owner::Unknown)) => Self::Unknown,
            (_, Some(owner)) if owner.is_server() => Self::Server,
            (_, Some(Owner::Module { kind, name })) => match kind {
                ModuleKind::Libc => Self::CLibrary,
                ModuleKind::Python => Self::Interpreter,
                _ => Self::Foreign(name.clone()),
            },
            (_, Some(owner)) => Self::Foreign(owner.name().unwrap_or_default().to_owned()),
        }
    }

    /// Whether it is a handler.
    #[must_use]
    pub fn is_handler(&self) -> bool {
        !matches!(self, Self::Default | Self::Ignore)
    }
}

/// Whether the C library keeps a signal to itself (see `origin`).
#[must_use]
pub fn is_c_librarys(signal: Signal) -> bool {
    matches!(signal.number(), 32 | 33)
}

/// Whether the server or the interpreter sets this by itself, at any time, in a process of this
/// role: what no event explains is then an event that was lost.
#[must_use]
pub fn is_own(role: Role, signal: Signal, old: &Stance, new: &Stance) -> bool {
    match new {
        Stance::Server | Stance::CLibrary => true,
        // CPython's own start, import of `signal` and end (Modules/signalmodule.c and
        // Python/pylifecycle.c, 3.6 to 3.15).
        Stance::Interpreter => signal == Signal::INT || is_scripts_end(role, signal),
        Stance::Ignore => matches!(signal, Signal::PIPE | Signal::XFSZ),
        Stance::Default => signal == Signal::INT && *old == Stance::Interpreter,
        Stance::Foreign(_) | Stance::Unknown => is_c_librarys(signal),
    }
}

/// mod_wsgi gives SIGTERM a Python handler in service scripts (`newInterpreterObject`,
/// wsgi_interp.c, 4.7 to 6.1).
fn is_scripts_end(role: Role, signal: Signal) -> bool {
    role == Role::ServiceScript && signal == Signal::TERM
}

/// Whether something stands in a worker that neither the server nor the interpreter sets there,
/// whoever looks at it and whenever. `mod_wsgi` is its version.
#[must_use]
pub fn is_strange(
    process: &Process,
    mod_wsgi: Option<&str>,
    signal: Signal,
    stance: &Stance,
) -> bool {
    match stance {
        Stance::Foreign(_) => true,
        Stance::Interpreter => {
            let may_be = match process.role {
                Role::Daemon => false,
                role => signal == Signal::INT || is_scripts_end(role, signal),
            };
            !may_be
        }
        Stance::Default if signal == Signal::PIPE => true,
        Stance::Default | Stance::Ignore => is_needed(process, signal),
        Stance::Unknown => !may_be_handled(mod_wsgi, signal),
        Stance::Server | Stance::CLibrary => false,
    }
}

/// Signals that the server cannot do without in a process of this role.
///
/// Daemons handle SIGTERM, SIGINT and SIGUSR1 from their start on (`wsgi_start_process`, mod_wsgi
/// 4.x to 6.x); children of every MPM SIGTERM (httpd 2.4, server/mpm). Other modules have helper
/// processes, which pass for children while nobody knows better: those have none of the handlers
/// that a child has inherited from a master that serves.
fn is_needed(process: &Process, signal: Signal) -> bool {
    let is_servers = |signal: Signal| process.owner(signal).is_some_and(|o| o.is_server());
    match (process.role, signal) {
        (Role::Daemon, Signal::TERM | Signal::INT | Signal::USR1) => true,
        (Role::Embedded, Signal::TERM) => Signal::all()
            .filter(|other| *other == Signal::HUP || is_crash(*other))
            .any(is_servers),
        _ => false,
    }
}

/// Whether the server or the interpreter may have a handler for a signal, for all that is known
/// without its address: theirs, those that mean a crash (`ap_fatal_signal_setup` in
/// server/mpm_unix.c, httpd 2.4), and SIGUSR2 in daemons of mod_wsgi 6.
fn may_be_handled(mod_wsgi: Option<&str>, signal: Signal) -> bool {
    match signal {
        Signal::HUP | Signal::INT | Signal::USR1 | Signal::TERM | Signal::WINCH | Signal::XCPU => {
            true
        }
        Signal::USR2 => {
            let first = mod_wsgi.and_then(|version| version.split('.').next());
            first.and_then(|first| first.parse::<u32>().ok()) >= Some(6)
        }
        _ => is_c_librarys(signal) || is_crash(signal),
    }
}

/// SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV.
fn is_crash(signal: Signal) -> bool {
    matches!(signal.number(), 4 | 6 | 7 | 8 | 11)
}

/// Whether a worker that has `own` where most of its siblings have `theirs` was changed by somebody.
///
/// Daemons of a server's first start were made before it took its own signals, which later ones
/// inherit (`wsgi_hook_init` runs before `ap_mpm_run`, httpd 2.4); the interpreter takes SIGINT
/// with the first `import signal`, and ignores SIGXFSZ from its start on.
#[must_use]
pub fn is_odd(role: Role, signal: Signal, own: &Stance, theirs: &Stance) -> bool {
    if own == theirs || signal == Signal::XFSZ || is_c_librarys(signal) {
        return false;
    }
    match (own, theirs) {
        (Stance::Default, Stance::Server) => !role.is_daemon(),
        (Stance::Default | Stance::Ignore, Stance::Default | Stance::Ignore | Stance::Server) => {
            true
        }
        // Some have imported it, and others have not, or not yet.
        (Stance::Default, _) => false,
        (Stance::Ignore, _) => signal != Signal::PIPE,
        (Stance::Foreign(_), _) => true,
        (Stance::Interpreter, _) => signal != Signal::INT,
        (Stance::Unknown, other) => !other.is_handler(),
        (Stance::Server | Stance::CLibrary, _) => false,
    }
}
