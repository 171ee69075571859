//! What the ring carries: one header, then a body by kind.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a record's body is. A newtype, not a Rust enum: any 16 bits may arrive.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Kind(pub u16);

impl Kind {
    /// [`RawRegistration`], followed by the Python frames.
    pub const REGISTRATION: Self = Self(1);
    /// [`RawLifecycle`]: the process made another process; `other` is the child.
    pub const FORK: Self = Self(2);
    /// [`RawLifecycle`]: the process runs another program now; `file` tells which.
    pub const EXEC: Self = Self(3);
    /// [`RawLifecycle`]: the last thread of the process has gone; `other` is the exit code.
    pub const EXIT: Self = Self(4);
    /// [`RawIntercept`], followed by the Python frames and the handler's.
    pub const INTERCEPT: Self = Self(5);
    /// [`RawLifecycle`]: the process begins to read its configuration.
    pub const RELOAD: Self = Self(6);
    /// [`RawSignal`]: the process sent a signal to a watched one.
    pub const SENT: Self = Self(7);
    /// [`RawSignal`]: the process takes a signal: its handler runs next, or the default action.
    pub const DELIVERED: Self = Self(8);
}

/// The head of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawHeader {
    /// `CLOCK_BOOTTIME` in nanoseconds when the record was made.
    pub when: u64,
    /// The process's start, `CLOCK_BOOTTIME` in nanoseconds. With `tgid`, its identity.
    pub start: u64,
    /// Counts the records tried by what `cpu` says, so that a gap proves a loss.
    pub sequence: u64,
    /// Bytes of the whole record, header included.
    pub size: u32,
    /// The processor that made the record; or [`RawHeader::CLAIMED`] and the scratch row in which
    /// it was made, by a program that can be preempted: another one may have sent a record of the
    /// same processor meanwhile.
    pub cpu: u32,
    /// Process id, in the initial pid namespace.
    pub tgid: u32,
    /// Thread id, in the initial pid namespace.
    pub tid: u32,
    /// Real user id of the thread, in the initial user namespace.
    pub uid: u32,
    /// What the body is.
    pub kind: Kind,
    /// Unused, zero.
    pub reserved: u16,
}
const _: () = assert!(size_of::<RawHeader>() == 48);

impl RawHeader {
    /// Bit of [`RawHeader::cpu`]: the rest is a scratch row, not a processor.
    pub const CLAIMED: u32 = 1 << 31;
}

/// What a process does on one signal, as the kernel keeps it in `k_sigaction`.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RawDisposition {
    /// 0 is the default, 1 is ignore, anything else is the handler's address.
    pub handler: u64,
    /// `SA_…` flags.
    pub flags: u64,
    /// The signals blocked while the handler runs, bit 0 being signal 1.
    pub mask: u64,
}
const _: () = assert!(size_of::<RawDisposition>() == 24);

/// One `rt_sigaction` that was asked to set a disposition.
///
/// Python frames follow ([`crate::python::RawFrame`]), and then a copy of the stack
/// ([`crate::native::RawNative`]).
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawRegistration {
    /// Who, when.
    pub header: RawHeader,
    /// What stood in `sighand` before the call.
    pub old: RawDisposition,
    /// What stands in `sighand` after the call.
    pub new: RawDisposition,
    /// What the caller asked for: its own copy of the struct, read before the call.
    pub asked: RawDisposition,
    /// Registrations of this process that the rate limit swallowed since its last record.
    pub folded: u64,
    /// Signal number as the caller gave it; not every value is a signal.
    pub signal: u32,
    /// The call's result: 0 or a negative `errno`.
    pub result: i32,
    /// What the Python walk found; its frames follow the record.
    pub python: crate::python::RawStack,
    /// The registers; the stack's bytes follow the frames.
    pub native: crate::native::RawNative,
}
const _: () = assert!(size_of::<RawRegistration>() == 48 + 3 * 24 + 16 + 48 + 40);

/// What a handler is. A newtype, not a Rust enum: any 16 bits may arrive.
#[repr(transparent)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RawWanted(pub u16);

impl RawWanted {
    /// It could not be read.
    pub const UNKNOWN: Self = Self(0);
    /// `SIG_DFL`.
    pub const DEFAULT: Self = Self(1);
    /// `SIG_IGN`.
    pub const IGNORE: Self = Self(2);
    /// A Python function, whose code follows as one [`crate::python::RawFrame`] without a line table.
    pub const FUNCTION: Self = Self(3);
    /// Another object, of the type that `name` has.
    pub const OBJECT: Self = Self(4);
}

/// Bytes of a type's name, its end among them.
pub const TYPE_NAME_SIZE: usize = 64;

/// One call that reached mod_wsgi's intercept.
///
/// Python frames follow ([`crate::python::RawFrame`]), then a function's code, and then a copy of
/// the caller's stack ([`crate::native::RawNative`]). What a walk fills in lies where
/// [`RawRegistration`] has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawIntercept {
    /// Who, when.
    pub header: RawHeader,
    /// Attempts of this process that the rate limit swallowed since its last record of one.
    pub folded: u64,
    /// Signal number as the caller gave it: any C `int`.
    pub number: i64,
    /// Bytes of the function's code, padded to eight; zero for any other handler.
    pub handler_size: u32,
    /// What was to stand on the signal.
    pub handler: RawWanted,
    /// Bytes of `name`; the longest there is may have been longer.
    pub name_size: u16,
    /// The handler's type, in UTF-8, its end a zero.
    pub name: [u8; TYPE_NAME_SIZE],
    /// What the Python walk found.
    pub python: crate::python::RawStack,
    /// The registers as they are in the intercept's caller.
    pub native: crate::native::RawNative,
}
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<RawIntercept>() == size_of::<RawRegistration>());
    assert!(offset_of!(RawIntercept, python) == offset_of!(RawRegistration, python));
    assert!(offset_of!(RawIntercept, native) == offset_of!(RawRegistration, native));
};

/// A birth, a change of program, a change of configuration or a death.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawLifecycle {
    /// Who, when. For [`Kind::FORK`], the parent.
    pub header: RawHeader,
    /// [`Kind::FORK`]: when the child was started, like [`RawHeader::start`].
    pub other_start: u64,
    /// [`Kind::EXEC`]: the program's file.
    pub file: RawFile,
    /// [`Kind::FORK`]: the child's process id. [`Kind::EXIT`]: the exit code, as `wait` has it.
    pub other: u32,
    /// [`RawLifecycle::SHARES_HANDLERS`].
    pub flags: u32,
}
const _: () = assert!(size_of::<RawLifecycle>() == 80);

impl RawLifecycle {
    /// Parent and child share one table of handlers (`CLONE_SIGHAND` without `CLONE_THREAD`):
    /// what the child sets, the parent has.
    pub const SHARES_HANDLERS: u32 = 1;
}

/// A signal that was sent, or taken.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawSignal {
    /// Who, when. For [`Kind::SENT`], the sender.
    pub header: RawHeader,
    /// When the target was started, like [`RawHeader::start`].
    pub target_start: u64,
    /// [`Kind::DELIVERED`]: what runs: 0 is the default, anything else the handler's address.
    pub handler: u64,
    /// [`Kind::DELIVERED`]: `SA_…` flags.
    pub flags: u64,
    /// Signals of the target that the rate limit swallowed since its last record of one.
    pub folded: u64,
    /// The target's process id, in the initial pid namespace.
    pub target: u32,
    /// The thread that was meant, or its process's first one.
    pub target_tid: u32,
    /// The signal's number.
    pub signal: u32,
    /// `si_code`: 0 by `kill`, -6 to a thread, 128 by the kernel.
    pub code: i32,
    /// [`Kind::SENT`]: `TRACE_SIGNAL_…` (`include/trace/events/signal.h`, 5.10 to 7.3): 0 queued, 1
    /// ignored, 2 pending already, 3 and 4 without room in the queue.
    pub result: u32,
    /// [`Kind::SENT`]: 1 where the whole process was meant and not one thread.
    pub group: u32,
}
const _: () = assert!(size_of::<RawSignal>() == 48 + 32 + 24);

impl RawSignal {
    /// The signals by which httpd and mod_wsgi stop, restart and recycle, or that mod_wsgi 6 hands to
    /// applications, and the one that ends whoever is deaf to them; bit 0 being signal 1: SIGHUP,
    /// SIGINT, SIGKILL, SIGUSR1, SIGUSR2, SIGTERM, SIGXCPU and SIGWINCH.
    pub const SENT: u64 = bit(1) | bit(2) | bit(9) | Self::BOTH;
    /// The same for what is taken. On each exit of a process with several threads all but one of them
    /// take a SIGKILL that nobody sent: that tells nothing (seen on Linux 6.18).
    pub const TAKEN: u64 = bit(1) | bit(2) | Self::BOTH;
    const BOTH: u64 = bit(10) | bit(12) | bit(15) | bit(24) | bit(28);
}

const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// A file as the kernel knows it.
///
/// User space cannot compute this key (on overlay and btrfs, `stat` shows another device), so
/// it answers with the very key that a record brought.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct RawFile {
    /// `inode.i_ino`.
    pub inode: u64,
    /// `super_block.s_dev`, in the kernel's own encoding.
    pub device: u32,
    /// `inode.i_generation`, so that a reused inode number is another file.
    pub generation: u32,
}
const _: () = assert!(size_of::<RawFile>() == 16);

/// How many signals Linux has on x86_64 and aarch64 (`_NSIG`).
pub const SIGNALS: usize = 64;

/// The largest `k_sigaction` that an inventory row has room for.
pub const ACTION_SIZE: usize = 32;

/// One process's whole table of handlers, as the `iter/task` program writes it.
///
/// Not a ring record: the iterator's own file carries these rows, one after the other.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RawInventory {
    /// The process's start, like [`RawHeader::start`].
    pub start: u64,
    /// Process id, in the initial pid namespace.
    pub tgid: u32,
    /// Unused, zero.
    pub reserved: u32,
    /// `sighand_struct.action`, one `k_sigaction` per signal, to be read at BTF's offsets.
    pub actions: [[u8; ACTION_SIZE]; SIGNALS],
}
const _: () = assert!(size_of::<RawInventory>() == 16 + SIGNALS * ACTION_SIZE);
