//! What the record holds for the native stack: registers and a piece of the user stack.
//!
//! User space unwinds it with the modules' own tables (`.eh_frame`). The bytes are the
//! application's memory and may hold its secrets: they are never written to disk.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The calling thread's registers at the system call; `size` bytes of its stack, from `sp` on,
/// follow the Python frames, padded to eight.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawNative {
    /// Instruction pointer, behind the `syscall` instruction.
    pub ip: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer: `rbp`, `x29`.
    pub fp: u64,
    /// Link register of aarch64; zero on x86_64.
    pub lr: u64,
    /// Bytes of stack that follow; fewer than the stack has where [`RawNative::CUT`] is set.
    pub size: u32,
    /// [`RawNative::KNOWN`], [`RawNative::CUT`].
    pub flags: u32,
}
const _: () = assert!(size_of::<RawNative>() == 40);

impl RawNative {
    /// The registers are the caller's; without this bit nothing else counts.
    pub const KNOWN: u32 = 1;
    /// The copy ended at its limit, not at the end of the stack's mapping.
    pub const CUT: u32 = 2;
}

/// Most bytes of stack in a record: a multiple of [`STEP`]. Eight KiB reach the first function of
/// a thread in nearly every library; a JVM and deep imports need more.
pub const STACK_SIZE: usize = 16_384;
/// Most bytes of stack once a process has made [`STACKS_FULL`] records in a window of the rate
/// limit: enough to name the library, and bursts do not fill the ring.
pub const STACK_SIZE_BURST: usize = 4_096;
/// Records per window of the rate limit that have the whole copy.
pub const STACKS_FULL: u64 = 32;
/// Records per window that have any copy: what comes after them is a loop, whose stacks are known by
/// now, and would only push other processes' records out of the ring.
pub const STACKS_ANY: u64 = 256;
/// Bytes that are copied at a time.
pub const STEP: usize = 1_024;
/// Bytes that are copied at a time where the mapping ends.
pub const FINE_STEP: usize = 64;
