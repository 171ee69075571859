//! The functions of Python that change what happens on signals: one row each. Pure.
//!
//! What each does is seen by `tests/live` (asyncio, faulthandler, readline, curses, gevent) or
//! written in CPython's `Modules/signalmodule.c`, `Modules/faulthandler.c` (3.6 to 3.15) and
//! POSIX (`system`).

use crate::{audit::uses::Effect, event::Signal};

use super::values::LIBRARY;

/// Where a row's signals are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// In the argument at this place, or of this name.
    Argument(usize, &'static str),
    /// In all arguments.
    All,
    /// In the elements of the argument at this place.
    Elements(usize),
    /// By the kind of timer in the first argument.
    Timer,
    /// These.
    These(&'static [Signal]),
}

/// A function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Its dotted name.
    pub(super) path: &'static str,
    pub(super) effect: Effect,
    pub(super) which: Which,
    /// The place of the new handler.
    pub(super) handler: Option<usize>,
}

const fn row(path: &'static str, effect: Effect, which: Which) -> Row {
    Row {
        path,
        effect,
        which,
        handler: None,
    }
}

const SIGNAL: Which = Which::Argument(0, "signalnum");
const CRASHES: &[Signal] = &[
    Signal::BUS,
    Signal::FPE,
    Signal::SEGV,
    Signal::ILL,
    Signal::ABRT,
];
const CURSES: &[Signal] = &[Signal::INT, Signal::TERM, Signal::TSTP, Signal::WINCH];

/// Every function that is known by its dotted name.
pub(super) const ROWS: &[Row] = &[
    Row {
        handler: Some(1),
        ..row("signal.signal", Effect::Attempt, SIGNAL)
    },
    // mod_wsgi replaces the function of the module `signal`, and no other (4.x to 6.x,
    // `wsgi_interp.c`).
    Row {
        handler: Some(1),
        ..row("_signal.signal", Effect::Registration, SIGNAL)
    },
    row("signal.siginterrupt", Effect::Flags, SIGNAL),
    row("_signal.siginterrupt", Effect::Flags, SIGNAL),
    row("signal.set_wakeup_fd", Effect::Wakeup, Which::These(&[])),
    row("_signal.set_wakeup_fd", Effect::Wakeup, Which::These(&[])),
    row("signal.alarm", Effect::Timer, Which::These(&[Signal::ALRM])),
    row(
        "_signal.alarm",
        Effect::Timer,
        Which::These(&[Signal::ALRM]),
    ),
    row("signal.setitimer", Effect::Timer, Which::Timer),
    row("_signal.setitimer", Effect::Timer, Which::Timer),
    row("signal.pthread_sigmask", Effect::Mask, Which::Elements(1)),
    row("_signal.pthread_sigmask", Effect::Mask, Which::Elements(1)),
    row(
        "faulthandler.enable",
        Effect::Registration,
        Which::These(CRASHES),
    ),
    row("faulthandler.register", Effect::Registration, SIGNAL),
    row("curses.initscr", Effect::Registration, Which::These(CURSES)),
    row("curses.wrapper", Effect::Registration, Which::These(CURSES)),
    row(
        "_curses.initscr",
        Effect::Registration,
        Which::These(CURSES),
    ),
    // While the command runs.
    row(
        "os.system",
        Effect::Registration,
        Which::These(&[Signal::INT, Signal::QUIT]),
    ),
    row("gevent.signal_handler", Effect::Registration, SIGNAL),
    row("gevent.hub.signal", Effect::Registration, SIGNAL),
    row("trio.open_signal_receiver", Effect::Attempt, Which::All),
    row("anyio.open_signal_receiver", Effect::Attempt, Which::All),
];

/// Functions of the C library, where a program calls them through `ctypes` or `cffi`.
const C_FUNCTIONS: &[&str] = &[
    "sigaction",
    "signal",
    "bsd_signal",
    "sysv_signal",
    "__sysv_signal",
    "ssignal",
    "sigset",
    "sigignore",
    "PyOS_setsig",
];

/// Methods that are known by their name alone: asyncio's and what is like it.
const METHODS: &[(&str, bool)] = &[
    ("add_signal_handler", false),
    // Sets the default again (asyncio of 3.6 to 3.15, `unix_events.py`).
    ("remove_signal_handler", true),
];

/// What a dotted name or a method stands for: its row, the name that is shown, and whether only the
/// last part of the name told.
pub(super) fn find(path: &str, is_method: bool) -> Option<(Row, String, bool)> {
    if !is_method && let Some(row) = ROWS.iter().find(|row| row.path == path) {
        return Some((*row, path.to_owned(), false));
    }
    let (before, last) = path.rsplit_once('.').unwrap_or(("", path));
    if before == LIBRARY || before == "ctypes.pythonapi" {
        let name = C_FUNCTIONS.iter().find(|name| **name == last)?;
        let row = Row {
            handler: (last != "sigaction" && last != "sigignore").then_some(1),
            ..row(name, Effect::Registration, SIGNAL)
        };
        return Some((row, format!("ctypes {name}"), false));
    }
    let (name, _) = METHODS.iter().find(|(name, _)| *name == last)?;
    // A module's function of this name is not a loop's method.
    let row = Row {
        handler: Some(1),
        ..row(name, Effect::Attempt, Which::Argument(0, "sig"))
    };
    Some((row, (*name).to_owned(), true))
}

/// Whether a row takes a handler away rather than setting one.
pub(super) fn gives_back(row: &Row) -> bool {
    METHODS
        .iter()
        .any(|(name, back)| *back && *name == row.path)
}

/// What `import` of a module sets at once: readline of CPython 3.6 to 3.15 lets the C library's
/// readline take SIGWINCH.
pub(super) const IMPORTS: &[(&str, Signal)] = &[("readline", Signal::WINCH)];

/// Without one of these words a file does nothing that is known here, and is not parsed.
pub(super) const WORDS: &[&[u8]] = &[
    b"signal",
    b"faulthandler",
    b"sigaction",
    b"sigset",
    b"sigignore",
    b"PyOS_setsig",
    b"readline",
    b"curses",
    b"system(",
    b"import system",
];
