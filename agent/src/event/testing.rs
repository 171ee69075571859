//! Raw records as the probe would write them, for tests that need bytes.

mod frames;
mod signal;

use probe_abi::{
    miss::Miss,
    native::RawNative,
    python::{RawStack, StackResult as Raw},
    record::{
        Kind, RawDisposition, RawFile, RawHeader, RawIntercept, RawLifecycle, RawRegistration,
        RawWanted, TYPE_NAME_SIZE,
    },
};
use zerocopy::{FromBytes as _, FromZeros, IntoBytes};

use self::frames::{encode_frame, encode_function};
use super::{
    Action, Attempt, Disposition, Event, PythonStack, Registration, Source, StackCopy, StackResult,
    Wanted, What, decode::Stamp,
};
use crate::python::{layout, text::CUT};

/// The record from which `decode` makes this event.
///
/// `None` for an event that no record can bring: one of another source, a Python version
/// without a layout row, an unknown reason of failure, a text beyond 64 KiB, a type's name without
/// its mark that is longer than a record has room for.
#[must_use]
pub fn encode(stamp: Stamp, event: &Event) -> Option<Vec<u8>> {
    let mut header = RawHeader::new_zeroed();
    header.when = event.when.0;
    header.start = nanoseconds(event.process.start)?;
    header.sequence = stamp.sequence;
    header.cpu = stamp.cpu;
    header.tgid = event.process.pid;
    header.tid = event.tid;
    let mut bytes = match &event.what {
        What::Registration(registration) => {
            header.kind = Kind::REGISTRATION;
            encode_registration(header, registration)?
        }
        What::Attempted(attempt) => {
            header.kind = Kind::INTERCEPT;
            encode_attempt(header, attempt)?
        }
        What::Forked { .. } | What::Executed { .. } | What::Reloads | What::Exited { .. } => {
            encode_lifecycle(header, &event.what)?
        }
        What::Sent(_) | What::Delivered(_) => signal::encode(header, event)?,
        What::Configured { .. }
        | What::Reclaimed { .. }
        | What::Found(_)
        | What::Mapped(_)
        | What::Inventory(_)
        | What::Masks { .. }
        | What::Named(_)
        | What::Lost(_)
        | What::Resumed(_)
        | What::Overdue => {
            return None;
        }
    };
    let size = u32::try_from(bytes.len()).ok()?;
    let at = std::mem::offset_of!(RawHeader, size);
    bytes.get_mut(at..at + 4)?.copy_from_slice(size.as_bytes());
    Some(bytes)
}

/// The same record of a registration or an attempt with registers and a copy of the stack, whose
/// length is a multiple of eight; `None` for any other record.
#[must_use]
pub fn with_stack(record: &[u8], copy: &StackCopy<'_>) -> Option<Vec<u8>> {
    // What both have is at the same places.
    let (mut raw, frames) = RawRegistration::read_from_prefix(record).ok()?;
    let has_stack = matches!(raw.header.kind, Kind::REGISTRATION | Kind::INTERCEPT);
    if !has_stack || !copy.bytes.len().is_multiple_of(8) {
        return None;
    }
    let size = u32::try_from(copy.bytes.len()).ok()?;
    raw.header.size = raw.header.size.checked_add(size)?;
    raw.native = RawNative {
        ip: copy.ip,
        sp: copy.sp,
        fp: copy.fp,
        lr: copy.lr,
        size,
        flags: RawNative::KNOWN,
    };
    Some([raw.as_bytes(), frames, copy.bytes].concat())
}

/// The kernel's start of a process, at the beginning of its clock tick.
fn nanoseconds(start: u64) -> Option<u64> {
    start.checked_mul(10_000_000)
}

fn encode_lifecycle(header: RawHeader, what: &What) -> Option<Vec<u8>> {
    let mut raw = RawLifecycle::new_zeroed();
    raw.header = header;
    match what {
        What::Forked {
            child,
            shares_handlers,
        } => {
            raw.header.kind = Kind::FORK;
            raw.other = child.pid;
            raw.other_start = nanoseconds(child.start)?;
            raw.flags = u32::from(*shares_handlers) * RawLifecycle::SHARES_HANDLERS;
        }
        What::Executed { file } => {
            raw.header.kind = Kind::EXEC;
            let (inode, device, generation) = (file.inode, file.device, file.generation);
            raw.file = RawFile {
                inode,
                device,
                generation,
            };
        }
        What::Reloads => raw.header.kind = Kind::RELOAD,
        What::Exited { code } => {
            raw.header.kind = Kind::EXIT;
            raw.other = *code;
        }
        _ => return None,
    }
    Some(raw.as_bytes().to_vec())
}

fn encode_registration(header: RawHeader, registration: &Registration) -> Option<Vec<u8>> {
    let frames = encode_frames(&registration.python)?;
    let new = raw_disposition(&registration.new);
    let mut asked = new;
    if registration.contested {
        // Whoever else was at work: this caller asked for another handler.
        asked.handler ^= 0x1000;
    }
    let raw = RawRegistration {
        header,
        old: raw_disposition(&registration.old),
        new,
        asked,
        folded: registration.folded,
        signal: registration.number,
        result: registration.errno.checked_neg()?,
        python: raw_stack(&registration.python, u32::try_from(frames.len()).ok()?)?,
        native: RawNative::new_zeroed(),
    };
    Some([raw.as_bytes(), &frames].concat())
}

fn encode_attempt(header: RawHeader, attempt: &Attempt) -> Option<Vec<u8>> {
    if attempt.source != Source::Probe {
        return None;
    }
    let frames = encode_frames(&attempt.python)?;
    let (mut code, mut name) = (Vec::new(), "");
    let handler = match &attempt.handler {
        Wanted::Unknown => RawWanted::UNKNOWN,
        Wanted::Default => RawWanted::DEFAULT,
        Wanted::Ignore => RawWanted::IGNORE,
        Wanted::Function(function) => {
            encode_function(function, &mut code)?;
            RawWanted::FUNCTION
        }
        Wanted::Object(class) => {
            name = class;
            RawWanted::OBJECT
        }
    };
    let mut raw = RawIntercept {
        header,
        folded: attempt.folded,
        number: attempt.number,
        handler_size: u32::try_from(code.len()).ok()?,
        handler,
        name_size: 0,
        name: [0; TYPE_NAME_SIZE],
        python: raw_stack(&attempt.python, u32::try_from(frames.len()).ok()?)?,
        native: RawNative::new_zeroed(),
    };
    let most = TYPE_NAME_SIZE - 1;
    let bytes = name.strip_suffix(CUT).unwrap_or(name).as_bytes();
    raw.name.get_mut(..bytes.len())?.copy_from_slice(bytes);
    // Where a character did not fit, what the probe copied ends within it.
    let size = if name.ends_with(CUT) {
        let rest = raw.name.get_mut(bytes.len()..most)?;
        rest.copy_from_slice([0xf0, 0x9f, 0x90].get(..rest.len())?);
        most
    } else {
        bytes.len()
    };
    raw.name_size = u16::try_from(size).ok()?;
    let is_whole = name.ends_with(CUT) || size < most;
    is_whole.then(|| [raw.as_bytes(), &frames, &code].concat())
}

fn encode_frames(stack: &PythonStack) -> Option<Vec<u8>> {
    let mut frames = Vec::new();
    let mut before = None;
    for (position, frame) in stack.frames.iter().enumerate() {
        let crossed = stack.crossed.contains(&position);
        encode_frame(frame, before, crossed, &mut frames)?;
        before = Some(frame);
    }
    Some(frames)
}

fn raw_disposition(disposition: &Disposition) -> RawDisposition {
    let handler = match disposition.action {
        Action::Default => 0,
        Action::Ignore => 1,
        Action::Handler(address) => address,
    };
    RawDisposition {
        handler,
        flags: disposition.flags,
        mask: disposition.mask,
    }
}

fn raw_stack(stack: &PythonStack, size: u32) -> Option<RawStack> {
    let (result, miss) = match &stack.result {
        StackResult::None => (Raw::NONE, 0),
        StackResult::Complete => (Raw::COMPLETE, 0),
        StackResult::Truncated => (Raw::TRUNCATED, 0),
        StackResult::Failed(reason) => {
            let miss = Miss::TABLE.iter().position(|(label, _)| label == reason)?;
            (Raw::FAILED, u16::try_from(miss).ok()?)
        }
    };
    let (interpreters, version) = match stack.version {
        Some(version) => (0x5555_0000, layout::find(version)?.1.raw.version),
        None => (0, 0),
    };
    Some(RawStack {
        thread_state: u64::from(stack.thread_known) * 0x5556_0000,
        interpreter: stack.interpreter.unwrap_or(-1),
        interpreters,
        frames: u32::try_from(stack.frames.len()).ok()?,
        left_out: stack.left_out,
        size,
        version,
        flags: (u32::from(stack.thread_known) * RawStack::THREAD_KNOWN)
            | (u32::from(stack.ambiguous) * RawStack::AMBIGUOUS),
        result,
        miss,
    })
}
