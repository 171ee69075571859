//! A call that mod_wsgi's intercept swallowed.

use super::{Frame, NativeStack, PythonStack, Signal};

/// A call of `signal.signal` that reached mod_wsgi's intercept.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The signal; `None` where the caller's number is no signal.
    pub signal: Option<Signal>,
    /// The number as the caller gave it.
    pub number: i64,
    /// What was to stand on it.
    pub handler: Wanted,
    /// Attempts of this process that the probe's rate limit swallowed before this one.
    pub folded: u64,
    /// The calling thread's Python stack.
    pub python: PythonStack,
    /// The calling thread's native stack; see [`super::Registration::native`].
    pub native: NativeStack,
    /// Who told.
    pub source: Source,
}

/// What a caller of `signal.signal` wanted to stand on the signal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// `SIG_DFL`.
    Default,
    /// `SIG_IGN`.
    Ignore,
    /// A Python function, by its code.
    Function(Frame),
    /// Another object, by its type's name.
    Object(String),
    /// It could not be read, or is not told.
    #[default]
    Unknown,
}

/// Who told of a blocked attempt, or of what stands on a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The probe, at the call.
    #[default]
    Probe,
    /// The server's error log, afterwards: where the intercept of a mod_wsgi cannot be found.
    ErrorLog,
    /// The kernel, when it was asked.
    Inventory,
    /// `/proc/PID/status`, where the kernel tells no more.
    Masks,
}

impl Source {
    /// The name that JSON uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::ErrorLog => "error-log",
            Self::Inventory => "inventory",
            Self::Masks => "masks",
        }
    }
}
