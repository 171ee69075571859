//! What became of a finding: how far it reached, how it ended, and what it broke.

use serde::{Deserialize, Serialize};

use super::{Blame, SignalRef};

/// How far a finding reaches, and how its takeovers ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Workers in which it stands now.
    pub workers: u64,
    /// Living workers of the same server, role and process group, when it last changed.
    pub of: u64,
    /// Workers in which it ever stood.
    pub workers_ever: u64,
    /// Takeovers that ended because what stood before stands again.
    pub restored: u64,
    /// Takeovers that lasted until their worker was gone.
    pub exited: u64,
    /// Takeovers that lasted until their worker ran another program.
    pub executed: u64,
}

/// How takeovers last, by what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lasting {
    /// Each that ended was given back.
    Temporary,
    /// Each that ended lasted as long as its worker.
    Permanent,
    /// Some of either kind.
    Mixed,
}

impl Extent {
    /// How the takeovers last; `None` while none has ended.
    #[must_use]
    pub fn lasting(&self) -> Option<Lasting> {
        match (self.restored, self.exited.saturating_add(self.executed)) {
            (0, 0) => None,
            (_, 0) => Some(Lasting::Temporary),
            (0, _) => Some(Lasting::Permanent),
            _ => Some(Lasting::Mixed),
        }
    }
}

/// The takeover from which another one took the signal: the link of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenFrom {
    /// That finding.
    pub id: String,
    /// Its cause.
    pub fingerprint: String,
    /// Who did it.
    pub blame: Blame,
}

/// The takeover that made a shutdown hang.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// That finding.
    pub id: String,
    /// Its cause.
    pub fingerprint: String,
    /// By which rule.
    pub rule: String,
    /// The signal that was taken: the one that the server sent, or another one that it needs to stop.
    pub signal: SignalRef,
    /// RFC 3339: since when it stands in this worker.
    pub since: String,
    /// Who did it.
    pub blame: Blame,
}

/// A shutdown that hung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShutdownRef {
    /// The signal that the server sent.
    pub signal: SignalRef,
    /// RFC 3339: when it was sent first.
    pub sent_at: String,
    /// `master`, or `itself`: a daemon that recycles.
    pub sent_by: String,
    /// `stop`, `restart`, `graceful` or `recycle`.
    pub occasion: String,
    /// What the kernel did with it: `delivered`, `ignored` or `pending`.
    pub result: String,
    /// The mapped file whose handler ran; null where none did.
    pub handled_by: Option<String>,
    /// Seconds from the signal to the worker's end; null while it lives.
    pub seconds: Option<f64>,
    /// The worker was killed.
    pub killed: bool,
    /// What httpd wrote of it: `AH00045`, `AH00046`.
    pub confirmed_by: Vec<String>,
}

/// A state that no event explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftRef {
    /// `start`: it stood there when the worker was looked at first; `later`: since.
    pub seen: String,
    /// The handler's address, like `0x7f00deadbeef`.
    pub address: Option<String>,
    /// The kernel's mark says that a 32-bit system call set it.
    pub by_32_bit_call: bool,
    /// Siblings (same server, role and process group) in which something else stands.
    pub differs_from: u64,
    /// Siblings in which the same stands.
    pub agrees_with: u64,
}

/// The exception that covers a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionRef {
    /// Why it was made.
    pub reason: String,
    /// The last day on which it holds, like `2027-01-31`; null: for ever.
    pub until: Option<String>,
}
