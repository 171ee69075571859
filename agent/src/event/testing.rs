//! Raw records as the probe would write them, for tests that need bytes.

use probe_abi::{
    miss::Miss,
    native::RawNative,
    python::{RawFrame, RawStack, StackResult as Raw},
    record::{Kind, RawDisposition, RawFile, RawHeader, RawLifecycle, RawRegistration},
};
use zerocopy::{FromBytes as _, FromZeros, IntoBytes};

use super::{
    Action, Disposition, Event, Frame, PythonStack, Registration, StackCopy, StackResult, What,
    decode::Stamp,
};
use crate::python::{layout, text::CUT};

/// The record from which `decode` makes this event.
///
/// `None` for an event that no record can bring: one of another source, a Python version
/// without a layout row, an unknown reason of failure, a text beyond 64 KiB.
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
        What::Forked { .. } | What::Executed { .. } | What::Exited { .. } => {
            encode_lifecycle(header, &event.what)?
        }
        What::Attempted(_)
        | What::Reloads
        | What::Configured { .. }
        | What::Found(_)
        | What::Mapped(_)
        | What::Inventory(_) => return None,
    };
    let size = u32::try_from(bytes.len()).ok()?;
    let at = std::mem::offset_of!(RawHeader, size);
    bytes.get_mut(at..at + 4)?.copy_from_slice(size.as_bytes());
    Some(bytes)
}

/// The same record of a registration with registers and a copy of the stack, whose length is a
/// multiple of eight; `None` for any other record.
#[must_use]
pub fn with_stack(record: &[u8], copy: &StackCopy<'_>) -> Option<Vec<u8>> {
    let (mut raw, frames) = RawRegistration::read_from_prefix(record).ok()?;
    if raw.header.kind != Kind::REGISTRATION || !copy.bytes.len().is_multiple_of(8) {
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
        What::Exited { code } => {
            raw.header.kind = Kind::EXIT;
            raw.other = *code;
        }
        _ => return None,
    }
    Some(raw.as_bytes().to_vec())
}

fn encode_registration(header: RawHeader, registration: &Registration) -> Option<Vec<u8>> {
    let mut frames = Vec::new();
    let mut before = None;
    for (position, frame) in registration.python.frames.iter().enumerate() {
        let crossed = registration.python.crossed.contains(&position);
        encode_frame(frame, before, crossed, &mut frames)?;
        before = Some(frame);
    }
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

/// One frame, as short as the probe makes it: what equals the frame before is left out.
fn encode_frame(
    frame: &Frame,
    before: Option<&Frame>,
    crossed: bool,
    bytes: &mut Vec<u8>,
) -> Option<()> {
    let mut raw = RawFrame::new_zeroed();
    raw.flags = u16::from(crossed) * RawFrame::CROSSED;
    if (frame.file.as_str(), frame.function.as_str(), frame.line) == ("?", "?", None) {
        raw.flags |= RawFrame::UNREADABLE;
        bytes.extend(raw.as_bytes());
        return Some(());
    }
    if before == Some(frame) {
        raw.flags |= RawFrame::SAME_CODE;
        bytes.extend(raw.as_bytes());
        return Some(());
    }
    let mut file = Vec::new();
    if before.is_some_and(|before| before.file == frame.file) {
        raw.flags |= RawFrame::SAME_FILE;
    } else {
        let cut;
        (file, raw.file_kind, cut) = encode_text(&frame.file);
        raw.flags |= u16::from(cut) * RawFrame::FILE_CUT;
    }
    let (name, name_kind, cut) = encode_text(&frame.function);
    raw.name_kind = name_kind;
    raw.flags |= u16::from(cut) * RawFrame::NAME_CUT;
    // A location table of 3.11 with one entry, for the first instruction: the line stays (kind
    // 0), or there is none (kind 15).
    let table: &[u8] = if frame.line.is_some() {
        &[0x80, 0]
    } else {
        &[0x80 | 15 << 3]
    };
    raw.first_line = frame.line.unwrap_or(1);
    raw.file_size = u16::try_from(file.len()).ok()?;
    raw.name_size = u16::try_from(name.len()).ok()?;
    raw.table_size = u32::try_from(table.len()).ok()?;
    bytes.extend(raw.as_bytes().iter().chain(&file).chain(&name).chain(table));
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    Some(())
}

/// Bytes, kind and cut flag, in the narrowest form, as CPython keeps it.
fn encode_text(text: &str) -> (Vec<u8>, u8, bool) {
    let whole = text.strip_suffix(CUT);
    let (text, cut) = (whole.unwrap_or(text), whole.is_some());
    let widest = text.chars().map(u32::from).max().unwrap_or(0);
    let kind: u8 = match widest {
        0..0x80 => 0,
        0x80..0x100 => 1,
        0x100..0x1_0000 => 2,
        _ => 4,
    };
    // Little endian, like every machine that sigblame runs on.
    let width = usize::from(kind.max(1));
    let units = text.chars().map(|unit| u32::from(unit).to_le_bytes());
    (
        units
            .flat_map(|unit| unit.into_iter().take(width))
            .collect(),
        kind,
        cut,
    )
}
