//! From the ring's bytes to an [`Event`]: the one border between raw and typed.
//!
//! Both halves of sigblame are built from one tree, so whatever does not fit is a fault of ours
//! or a damaged capture, and the record is refused whole, by an error that says what and where.

mod attempt;
mod signal;
mod stack;

use probe_abi::{
    native::RawNative,
    python::RawStack,
    record::{
        Kind, RawDisposition, RawHeader, RawIntercept, RawLifecycle, RawRegistration, RawSignal,
    },
};
use thiserror::Error;
use zerocopy::{FromBytes, FromZeros as _, Immutable, IntoBytes, KnownLayout};

use super::{
    Action, Disposition, Event, FileKey, Instant, NativeStack, Registration, Signal, StackCopy,
    What,
};
use crate::process::ProcessKey;

/// Where a record stands in the stream: a gap in `sequence` on one `cpu` is a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The processor that made the record, or what the header has instead of one
    /// ([`RawHeader::CLAIMED`]).
    pub cpu: u32,
    /// Counts the records that this processor tried to make.
    pub sequence: u64,
}

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum DecodeError {
    #[error("failed to decode a record: {part} takes {needed} bytes, only {length} are there")]
    TooShort {
        part: &'static str,
        needed: usize,
        length: usize,
    },
    #[error("failed to decode a record: its header says {size} bytes, not a multiple of eight")]
    SizeUneven { size: u32 },
    #[error("failed to decode a record: its kind {kind} is unknown")]
    UnknownKind { kind: u16 },
    #[error(
        "failed to decode a record of kind {kind}: its header says {size} bytes, its parts make \
         {parts}"
    )]
    SizeMismatch { kind: u16, size: u32, parts: u64 },
    #[error("failed to decode a Python stack: its result {result} is unknown")]
    UnknownResult { result: u16 },
    #[error("failed to decode a Python stack: the reason {miss} of its failure is unknown")]
    UnknownMiss { miss: u16 },
    #[error("failed to decode frame {frame} of {frames}: it takes {needed} bytes, {left} are left")]
    FramesOverrun {
        frame: u32,
        frames: u32,
        needed: usize,
        left: usize,
    },
    #[error("failed to decode a Python stack: {left} bytes are left behind its {frames} frames")]
    FramesUnderrun { frames: u32, left: usize },
    #[error("failed to decode frame {frame}: it refers to the frame before, and there is none")]
    NoFrameBefore { frame: u32 },
    #[error("failed to decode frame {frame}: it brings what its flags {flags:#x} say is elsewhere")]
    FrameContradiction { frame: u32, flags: u16 },
    #[error("failed to decode a signal: {signal} is none")]
    UnknownSignal { signal: u32 },
    #[error("failed to decode a signal: what became of it, {fate}, is unknown")]
    UnknownFate { fate: u32 },
    #[error("failed to decode an attempt: its handler {handler} is unknown")]
    UnknownHandler { handler: u16 },
    #[error(
        "failed to decode an attempt: its handler {handler} does not go with {name} bytes of a \
         type's name and {code} bytes of code"
    )]
    HandlerContradiction { handler: u16, name: u16, code: u32 },
}

/// The number of a record whose body may be garbled; `None` where even the head is cut.
#[must_use]
pub fn stamp(bytes: &[u8]) -> Option<Stamp> {
    let header: RawHeader = part(bytes, "the header").ok()?;
    Some(Stamp {
        cpu: header.cpu,
        sequence: header.sequence,
    })
}

/// Decodes the record at the start of `bytes`; what lies behind it is not looked at.
pub fn decode(bytes: &[u8]) -> Result<(Stamp, Event), DecodeError> {
    let header: RawHeader = part(bytes, "the header")?;
    let size = header.size as usize;
    let record = bytes.get(..size).ok_or(DecodeError::TooShort {
        part: "the record, as its header says,",
        needed: size,
        length: bytes.len(),
    })?;
    if !size.is_multiple_of(8) {
        return Err(DecodeError::SizeUneven { size: header.size });
    }
    let mut whose = (
        ProcessKey::from_kernel(header.tgid, header.start),
        header.tid,
    );
    let what = match header.kind {
        Kind::SENT | Kind::DELIVERED => {
            let raw: RawSignal = part(record, "a signal's record")?;
            rest(record, size_of_val(&raw), 0, &header)?;
            let (target, tid, what) = signal::decode(&raw)?;
            whose = (target, tid);
            what
        }
        Kind::REGISTRATION => {
            let raw: RawRegistration = part(record, "a registration")?;
            let parts = u64::from(raw.python.size) + u64::from(raw.native.size);
            let rest = rest(record, size_of_val(&raw), parts, &header)?;
            let frames = rest.get(..raw.python.size as usize).unwrap_or_default();
            What::Registration(Box::new(registration(&raw, frames)?))
        }
        Kind::INTERCEPT => {
            let raw: RawIntercept = part(record, "an attempt")?;
            let (frames, handler) = (u64::from(raw.python.size), u64::from(raw.handler_size));
            let parts = frames + handler + u64::from(raw.native.size);
            let rest = rest(record, size_of_val(&raw), parts, &header)?;
            What::Attempted(Box::new(attempt::decode(&raw, rest)?))
        }
        Kind::FORK | Kind::EXEC | Kind::EXIT | Kind::RELOAD => {
            let raw: RawLifecycle = part(record, "a lifecycle record")?;
            rest(record, size_of_val(&raw), 0, &header)?;
            lifecycle(&raw)
        }
        Kind(kind) => return Err(DecodeError::UnknownKind { kind }),
    };
    let stamp = Stamp {
        cpu: header.cpu,
        sequence: header.sequence,
    };
    let event = Event {
        when: Instant(header.when),
        process: whose.0,
        tid: whose.1,
        what,
    };
    Ok((stamp, event))
}

/// The registers and the copy of the stack of a registration or an attempt that [`decode`] takes;
/// `None` where it has no registers.
#[must_use]
pub fn stack_copy(bytes: &[u8]) -> Option<StackCopy<'_>> {
    let (raw, frames_end) = stacks_of(bytes)?;
    if raw.native.flags & RawNative::KNOWN == 0 {
        return None;
    }
    let stack = bytes.get(frames_end..)?;
    Some(StackCopy {
        ip: raw.native.ip,
        sp: raw.native.sp,
        fp: raw.native.fp,
        lr: raw.native.lr,
        bytes: stack.get(..raw.native.size as usize)?,
    })
}

/// A registration or an attempt that [`decode`] takes, without its registers and its copy of the
/// stack, which may hold secrets; `None` for any other record, which has none.
#[must_use]
pub fn without_stack(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut raw, frames_end) = stacks_of(bytes)?;
    raw.native = RawNative::new_zeroed();
    raw.header.size = u32::try_from(frames_end).ok()?;
    let frames = bytes.get(size_of_val(&raw)..frames_end)?;
    Some([raw.as_bytes(), frames].concat())
}

/// The fixed part of a record with stacks.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
struct Stacks {
    header: RawHeader,
    /// What only a registration, or only an attempt has.
    body: [u64; 11],
    python: RawStack,
    native: RawNative,
}
const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Stacks>() == size_of::<RawRegistration>());
    assert!(offset_of!(Stacks, python) == offset_of!(RawRegistration, python));
    assert!(offset_of!(Stacks, native) == offset_of!(RawRegistration, native));
};

/// The fixed part of a record with stacks, and where the frames end.
fn stacks_of(bytes: &[u8]) -> Option<(Stacks, usize)> {
    let raw: Stacks = part(bytes, "a record with stacks").ok()?;
    let handler = match raw.header.kind {
        Kind::REGISTRATION => 0,
        Kind::INTERCEPT => {
            let raw: RawIntercept = part(bytes, "an attempt").ok()?;
            raw.handler_size as usize
        }
        _ => return None,
    };
    let frames_end = size_of_val(&raw).checked_add(raw.python.size as usize)?;
    Some((raw, frames_end.checked_add(handler)?))
}

fn part<T: FromBytes>(bytes: &[u8], part: &'static str) -> Result<T, DecodeError> {
    let read = T::read_from_prefix(bytes).map(|(value, _)| value);
    let (needed, length) = (size_of::<T>(), bytes.len());
    read.map_err(|_| DecodeError::TooShort {
        part,
        needed,
        length,
    })
}

/// What follows the fixed part of a record, if that is as long as the record says.
fn rest<'a>(
    record: &'a [u8],
    fixed: usize,
    more: u64,
    header: &RawHeader,
) -> Result<&'a [u8], DecodeError> {
    let rest = record.get(fixed..).unwrap_or_default();
    if rest.len() as u64 != more {
        let parts = fixed as u64 + more;
        return Err(DecodeError::SizeMismatch {
            kind: header.kind.0,
            size: header.size,
            parts,
        });
    }
    Ok(rest)
}

fn lifecycle(raw: &RawLifecycle) -> What {
    match raw.header.kind {
        Kind::FORK => What::Forked {
            child: ProcessKey::from_kernel(raw.other, raw.other_start),
            shares_handlers: raw.flags & RawLifecycle::SHARES_HANDLERS != 0,
        },
        Kind::EXEC => What::Executed {
            file: FileKey {
                inode: raw.file.inode,
                device: raw.file.device,
                generation: raw.file.generation,
            },
        },
        Kind::RELOAD => What::Reloads,
        _ => What::Exited { code: raw.other },
    }
}

fn registration(raw: &RawRegistration, frames: &[u8]) -> Result<Registration, DecodeError> {
    let (asked, new) = (Disposition::from(&raw.asked), Disposition::from(&raw.new));
    Ok(Registration {
        signal: Signal::new(raw.signal),
        number: raw.signal,
        old: (&raw.old).into(),
        new,
        // A result above zero does not exist; it would be no failure.
        errno: 0i32.saturating_sub(raw.result.min(0)),
        contested: raw.result >= 0 && !blockable(asked).same_effect(&blockable(new)),
        folded: raw.folded,
        python: stack::decode(&raw.python, frames)?,
        native: NativeStack::default(),
    })
}

/// A disposition with the mask as the kernel keeps it: `do_sigaction` (`kernel/signal.c`, seen on
/// Linux 6.18) takes SIGKILL and SIGSTOP out, which nobody can block.
fn blockable(disposition: Disposition) -> Disposition {
    const KILL_AND_STOP: u64 = 1 << (9 - 1) | 1 << (19 - 1);
    Disposition {
        mask: disposition.mask & !KILL_AND_STOP,
        ..disposition
    }
}

impl From<&RawDisposition> for Disposition {
    fn from(raw: &RawDisposition) -> Self {
        let action = match raw.handler {
            0 => Action::Default,
            1 => Action::Ignore,
            address => Action::Handler(address),
        };
        Self {
            action,
            flags: raw.flags,
            mask: raw.mask,
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
