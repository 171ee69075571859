//! What happened: typed, owned, validated. Everything the core ever hears is an [`Event`].

mod attempt;
pub mod decode;
mod disposition;
mod native;
mod numbers;
mod resumed;
mod signals;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use std::{fmt, sync::Arc};

use probe_abi::miss::Miss;
use serde::{Deserialize, Serialize};

pub use self::attempt::{Attempt, Source, Wanted};
pub use self::disposition::{Action, Disposition, FLAGS};
pub use self::native::{Code, NativeFrame, NativeResult, NativeStack, Reason, StackCopy};
pub use self::resumed::Resumed;
pub use self::signals::{Delivered, Fate, Sent};
use crate::{
    httpd::{Configuration, Notice},
    process::{Found, Modules, ProcessKey},
    python::Version,
};

/// Nanoseconds on `CLOCK_BOOTTIME`, the only clock of the core.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Instant(pub u64);

impl Instant {
    /// Seconds from `earlier` to here; zero where `earlier` is later.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        // Nanoseconds of an uptime fit into the 53 bits for a hundred days; after that the
        // error is a few nanoseconds.
        self.0.saturating_sub(earlier.0) as f64 / 1e9
    }
}

/// One thing that happened to one process.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When.
    pub when: Instant,
    /// Whose.
    pub process: ProcessKey,
    /// Thread id in the initial pid namespace; the process id where no thread is meant.
    pub tid: u32,
    /// What.
    pub what: What,
}

/// The kinds of event.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// `rt_sigaction` was asked to set a disposition.
    Registration(Box<Registration>),
    /// mod_wsgi's intercept swallowed a call of `signal.signal`.
    Attempted(Box<Attempt>),
    /// A server's first process begins to read its configuration: at its start, and whenever it
    /// reloads.
    Reloads,
    /// What the configuration says that a server began to read.
    Configured {
        /// How many times the server had begun to read one, see [`What::Reloads`].
        generation: u32,
        /// What it says.
        configuration: Arc<Configuration>,
    },
    /// The process made another.
    Forked {
        /// The new process.
        child: ProcessKey,
        /// Parent and child share one table of handlers.
        shares_handlers: bool,
    },
    /// The process runs another program now.
    Executed {
        /// The program's file, as the kernel names it.
        file: FileKey,
    },
    /// The process is gone; the code is `wait`'s.
    Exited {
        /// Exit code as `wait` has it: signal in the low seven bits, status in bits 8–15.
        code: u32,
    },
    /// A look at `/proc` found this process of an httpd.
    Found(Box<Found>),
    /// A look at `/proc/PID/maps` brought the process's modules.
    Mapped(Modules),
    /// The inventory brought every disposition of the process.
    Inventory(Box<Dispositions>),
    /// `/proc/PID/status` brought what the process ignores and what it handles, bit 0 being signal
    /// 1: the inventory where the kernel gives no better one.
    Masks {
        /// `SigIgn`.
        ignored: u64,
        /// `SigCgt`.
        caught: u64,
    },
    /// The functions at these addresses of the process, which are handlers of its signals.
    Named(Vec<(u64, Arc<str>)>),
    /// So many records were lost before they could be read. Of no process.
    Lost(u64),
    /// A signal was sent to the process.
    Sent(Sent),
    /// A thread of the process takes a signal.
    Delivered(Delivered),
    /// httpd's own error log says that a child did not go. Of the server's first process.
    Reclaimed {
        /// The child, by its id in the server's pid namespace.
        ns_pid: u32,
        /// What httpd does about it.
        notice: Notice,
    },
    /// What was open when the agent before this one ended. Of no process.
    Resumed(Box<Resumed>),
    /// The moment for which something waited has come, see `Engine::deadline`. Of no process.
    Overdue,
}

/// All dispositions of a process; index 0 is signal 1.
pub type Dispositions = [Disposition; probe_abi::record::SIGNALS];

/// A file as the kernel names it, opaque to user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileKey {
    /// Inode number.
    pub inode: u64,
    /// Device, in the kernel's own encoding.
    pub device: u32,
    /// Inode generation.
    pub generation: u32,
}

/// A signal number from 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Signal(u8);

impl Signal {
    /// The signals that rules speak of, by their Linux numbers on x86_64 and aarch64.
    pub const HUP: Self = Self(1);
    /// SIGINT.
    pub const INT: Self = Self(2);
    /// SIGQUIT.
    pub const QUIT: Self = Self(3);
    /// SIGUSR1.
    pub const USR1: Self = Self(10);
    /// SIGUSR2.
    pub const USR2: Self = Self(12);
    /// SIGPIPE.
    pub const PIPE: Self = Self(13);
    /// SIGALRM.
    pub const ALRM: Self = Self(14);
    /// SIGTERM.
    pub const TERM: Self = Self(15);
    /// SIGXCPU.
    pub const XCPU: Self = Self(24);
    /// SIGXFSZ.
    pub const XFSZ: Self = Self(25);
    /// SIGWINCH.
    pub const WINCH: Self = Self(28);

    /// `None` for a number that is no signal.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        match u8::try_from(number) {
            Ok(n @ 1..=64) => Some(Self(n)),
            _ => None,
        }
    }

    /// The number, 1 to 64.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// Position in an array of all signals.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0 - 1)
    }

    /// Every signal, in the order of the numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=64).map(Self)
    }
}

/// Names of signals 1 to 31: `asm-generic/signal.h`, which x86_64 and aarch64 share.
const NAMES: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(self.index()) {
            Some(name) => f.write_str(name),
            // 32 and 33 are the C library's own; glibc's SIGRTMIN is 34.
            None if self.0 < 34 => write!(f, "SIG{}", self.0),
            None if self.0 == 34 => f.write_str("SIGRTMIN"),
            None if self.0 == 64 => f.write_str("SIGRTMAX"),
            None => write!(f, "SIGRTMIN+{}", self.0 - 34),
        }
    }
}

/// A call that was asked to set a disposition.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// The signal; `None` where the caller's number is no signal.
    pub signal: Option<Signal>,
    /// The number as the caller gave it.
    pub number: u32,
    /// What stood before the call.
    pub old: Disposition,
    /// What stands after the call.
    pub new: Disposition,
    /// Zero, or the positive `errno` with which the call failed.
    pub errno: i32,
    /// The caller's struct and the kernel's state differ: another thread was at work.
    pub contested: bool,
    /// Registrations of this process that the probe's rate limit swallowed before this one.
    pub folded: u64,
    /// The calling thread's Python stack.
    pub python: PythonStack,
    /// The calling thread's native stack. A record brings it raw; whoever has the process at
    /// hand unwinds it and fills this in.
    pub native: NativeStack,
}

/// How a Python stack came out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StackResult {
    /// Every frame is there.
    Complete,
    /// The innermost frames are there.
    Truncated,
    /// The thread runs no Python.
    #[default]
    None,
    /// The walk could not be done, for the reason named (a `Miss`'s label).
    Failed(String),
}

impl StackResult {
    /// A walk that could not be done, and why.
    #[must_use]
    pub fn failed(why: Miss) -> Self {
        Self::Failed(why.label().to_owned())
    }

    /// The metric's label: the reason of a failure is another metric's matter.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::None => "none",
            Self::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for StackResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(reason) => write!(f, "failed({reason})"),
            other => f.write_str(other.label()),
        }
    }
}

/// The calling thread's Python stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PythonStack {
    /// How it came out.
    pub result: StackResult,
    /// Its version, where an interpreter is known.
    pub version: Option<Version>,
    /// `PyInterpreterState.id`: 0 is the main interpreter.
    pub interpreter: Option<i64>,
    /// The thread has a `PyThreadState`, with or without frames.
    pub thread_known: bool,
    /// Several interpreters' stacks were candidates, and this one is a guess among them.
    pub ambiguous: bool,
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// Outer frames that are not in `frames`.
    pub left_out: u32,
    /// Positions in `frames` of those that called native code, which entered the interpreter
    /// anew for the frame before.
    pub crossed: Vec<usize>,
}

/// One Python frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Frame {
    /// `co_filename`; ends in `…` where it was cut.
    pub file: String,
    /// The exact line; `None` where the line table does not tell.
    pub line: Option<u32>,
    /// The qualified name (the plain one before 3.11); ends in `…` where it was cut.
    pub function: String,
}
