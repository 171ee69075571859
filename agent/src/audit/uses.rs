//! The vocabulary of the audit: a use of signals in a file. Pure.

use crate::event::Signal;

/// One place in a file that can change what a process does on signals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// Line in the source; none in a binary.
    pub line: Option<u32>,
    /// The function by the name that it has where it comes from, or the imported symbols.
    pub what: String,
    /// What it does.
    pub effect: Effect,
    /// Which signals, as far as that can be said.
    pub signals: Signals,
    /// What is set.
    pub handler: Handler,
    /// When it happens.
    pub when: When,
    /// The object is not known, only the name of its method, or the call is made by somebody else.
    pub likely: bool,
}

/// Which signals.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signals {
    /// Those that are known, in order.
    pub known: Vec<Signal>,
    /// There are others, or it cannot be said.
    pub others: bool,
}

impl Signals {
    /// These and no others.
    #[must_use]
    pub fn these(known: &[Signal]) -> Self {
        let mut known = known.to_vec();
        known.sort_unstable();
        known.dedup();
        Self {
            known,
            others: false,
        }
    }

    /// Nobody can say.
    #[must_use]
    pub fn any() -> Self {
        Self {
            known: Vec::new(),
            others: true,
        }
    }
}

/// What a use does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Python's `signal.signal`, which mod_wsgi blocks under the restriction.
    Attempt,
    /// A registration that mod_wsgi does not see.
    Registration,
    /// `siginterrupt`: a flag of what stands there. The kernel is told, the handler stays.
    Flags,
    /// `set_wakeup_fd`: the interpreter's own business.
    Wakeup,
    /// A timer that sends a signal.
    Timer,
    /// Blocks signals in a thread.
    Mask,
}

impl Effect {
    /// The name that JSON uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Registration => "registration",
            Self::Flags => "flags",
            Self::Wakeup => "wakeup-fd",
            Self::Timer => "timer",
            Self::Mask => "mask",
        }
    }
}

/// What a use sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Handler {
    /// `SIG_DFL`.
    Default,
    /// `SIG_IGN`.
    Ignore,
    /// A function.
    Function,
    /// Something, or nothing at all.
    Unknown,
}

impl Handler {
    /// The name that JSON uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Ignore => "ignore",
            Self::Function => "handler",
            Self::Unknown => "unknown",
        }
    }
}

/// When a use happens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// As soon as the module is imported, or the library is loaded.
    Import,
    /// When this function is called.
    Call(String),
    /// By code of a library that runs when anybody calls it.
    Library,
    /// Only where the file is the program itself, which in a worker it is not.
    Program,
}

impl When {
    /// The name that JSON uses.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Import => "import",
            Self::Call(_) => "call",
            Self::Library => "library",
            Self::Program => "program",
        }
    }
}

/// What came of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// Its uses, in the order of the lines.
    pub uses: Vec<Use>,
    /// Why there may be more.
    pub problem: Option<String>,
    /// Its syntax tree was made: it speaks of signals at all.
    pub parsed: bool,
}

/// The signal of this name, with the aliases that Python's module has on Linux.
#[must_use]
pub fn signal_named(name: &str) -> Option<Signal> {
    let number = match name {
        "SIGCLD" => 17,
        "SIGPOLL" => 29,
        "SIGIOT" => 6,
        // Of glibc, on every architecture that we support.
        "SIGRTMIN" => 34,
        "SIGRTMAX" => 64,
        _ if name.starts_with("SIG") => {
            return Signal::all().find(|signal| signal.to_string() == name);
        }
        _ => return None,
    };
    Signal::new(number)
}
