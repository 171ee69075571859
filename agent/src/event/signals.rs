//! Signals on their way: sent, and taken.

use serde::{Deserialize, Serialize};

use super::{Action, Signal};
use crate::process::ProcessKey;

/// A signal was sent to a process. The event is the target's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Which.
    pub signal: Signal,
    /// By whom; where the kernel sent it, whoever ran at that moment.
    pub by: ProcessKey,
    /// The sender's thread.
    pub by_tid: u32,
    /// `si_code`: 0 by `kill`, -6 to a thread, 128 by the kernel.
    pub code: i32,
    /// The process was meant, and not one of its threads.
    pub to_process: bool,
    /// What became of it at once.
    pub fate: Fate,
    /// Signals of the target that the probe's rate limit swallowed before this one.
    pub folded: u64,
}

impl Sent {
    /// Whether the kernel sent it by itself (`SI_KERNEL`), as it does with SIGXCPU.
    #[must_use]
    pub fn is_kernels(&self) -> bool {
        self.code == 128
    }
}

/// What became of a signal when it was sent (`TRACE_SIGNAL_…` in `include/trace/events/signal.h`,
/// Linux 5.10 to 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It waits until a thread takes it.
    Queued,
    /// Nobody will ever hear of it: it is ignored.
    Ignored,
    /// The same one waits already.
    Pending,
    /// There was no room for it.
    NoRoom,
    /// It waits, but who sent it is forgotten: there was no room.
    Nameless,
}

impl Fate {
    /// Every one, by the kernel's number.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::Ignored,
        Self::Pending,
        Self::NoRoom,
        Self::Nameless,
    ];
}

/// A thread of a process takes a signal. The event is the receiver's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Which.
    pub signal: Signal,
    /// What runs.
    pub action: Action,
    /// `SA_…` flags.
    pub flags: u64,
    /// `si_code`, as in [`Sent::code`].
    pub code: i32,
    /// Signals of the process that the probe's rate limit swallowed before this one.
    pub folded: u64,
}
