//! The kernel's row per watched process.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What the kernel half knows of one process. A process without a row is not watched.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawProcess {
    /// Address of the head of the list of interpreters, zero while no interpreter is known.
    pub interpreters: u64,
    /// Address of the pointer to the thread state that holds the interpreter lock; zero where
    /// the version has none (3.12 and later).
    pub current: u64,
    /// What its registrations cost.
    pub registrations: RawWindow,
    /// What its calls of mod_wsgi's intercept cost: apart, so that a loop of the one does not hide
    /// the other, and so that each count of what was folded is exact.
    pub attempts: RawWindow,
    /// What the signals that it is sent and takes cost: apart for the same reasons.
    pub signals: RawWindow,
    /// Index into the layouts, or [`crate::python::UNSUPPORTED`]; valid where `interpreters` is not
    /// zero.
    pub layout: u32,
    /// [`RawProcess::EXEMPT`].
    pub flags: u32,
}
const _: () = assert!(size_of::<RawProcess>() == 96);

/// A rate limit.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawWindow {
    /// Start of the current window, `CLOCK_BOOTTIME` nanoseconds.
    pub start: u64,
    /// Records made in it.
    pub spent: u64,
    /// What was swallowed since the last record.
    pub folded: u64,
}
const _: () = assert!(size_of::<RawWindow>() == 24);

impl RawWindow {
    /// Nothing spent yet.
    pub const NEW: Self = Self {
        start: 0,
        spent: 0,
        folded: 0,
    };
}

impl RawProcess {
    /// A child that shares its parent's memory but not its handlers (`vfork`, `posix_spawn`):
    /// counted, never walked. Its memory and thread-local storage are the parent's.
    pub const EXEMPT: u32 = 1;
}

/// Length of the rate limit's window, in nanoseconds.
pub const RATE_WINDOW: u64 = 1_000_000_000;
/// Records of one kind that one process may make in a window before the rest is folded.
pub const RATE_LIMIT: u64 = 2_000;

/// What user space has found out about an executable file: not an httpd.
pub const PROGRAM_OTHER: u32 = 1;
/// What user space has found out about an executable file: an httpd.
pub const PROGRAM_HTTPD: u32 = 2;

/// A function that starts an interpreter, as the probe recognises it when it is called.
///
/// Attach cookies, which would say the same, came with 5.15. A function's place in its page is the
/// same in every process, and its code holds distances that another build does not have.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawStart {
    /// The function's address modulo [`START_PAGE`].
    pub offset: u64,
    /// Its code from byte [`START_SKIP`] on.
    pub code: [u8; START_CODE],
}
const _: () = assert!(size_of::<RawStart>() == 8 + START_CODE);

/// The smallest page there is.
pub const START_PAGE: u64 = 4_096;
/// The first bytes of a probed function are the kernel's breakpoint.
pub const START_SKIP: u64 = 8;
/// Bytes of code that tell a function from others.
pub const START_CODE: usize = 56;

/// What starts in a function, and where it is, seen from the function's first byte.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RawInterpreter {
    /// To the head of the list of interpreters, wrapping.
    pub interpreters: u64,
    /// To the pointer to the thread state that holds the interpreter lock, wrapping; zero where
    /// there is none.
    pub current: u64,
    /// Index into the layouts, or [`crate::python::UNSUPPORTED`].
    pub layout: u32,
    /// Unused, zero.
    pub reserved: u32,
}
const _: () = assert!(size_of::<RawInterpreter>() == 24);
