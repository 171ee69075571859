//! The kernel's row per watched process.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What the kernel half knows of one process. A process without a row is not watched.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawProcess {
    /// Address of `_PyRuntime`, zero while no interpreter is known.
    pub runtime: u64,
    /// Start of the rate limit's current window, `CLOCK_BOOTTIME` nanoseconds.
    pub window: u64,
    /// Records made in that window.
    pub spent: u64,
    /// Registrations swallowed since the last record.
    pub folded: u64,
    /// Index into the layouts, valid where `runtime` is not zero.
    pub layout: u32,
    /// [`RawProcess::EXEMPT`].
    pub flags: u32,
}
const _: () = assert!(size_of::<RawProcess>() == 40);

impl RawProcess {
    /// A child that shares its parent's memory but not its handlers (`vfork`, `posix_spawn`):
    /// counted, never walked. Its memory and thread-local storage are the parent's.
    pub const EXEMPT: u32 = 1;
}

/// Length of the rate limit's window, in nanoseconds.
pub const RATE_WINDOW: u64 = 1_000_000_000;
/// Records that one process may make in a window before the rest is folded.
pub const RATE_LIMIT: u64 = 2_000;

/// What user space has found out about an executable file: not an httpd.
pub const PROGRAM_OTHER: u32 = 1;
/// What user space has found out about an executable file: an httpd.
pub const PROGRAM_HTTPD: u32 = 2;

/// The interpreter uprobe's cookie: where `_PyRuntime` is, seen from the probed function.
///
/// The low 48 bits are the distance (wrapping), the high 16 bits the layout row.
pub const COOKIE_DISTANCE: u64 = 0xffff_ffff_ffff;
/// Position of the layout row in the cookie.
pub const COOKIE_LAYOUT_SHIFT: u32 = 48;
