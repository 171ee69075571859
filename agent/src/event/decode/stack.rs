//! The Python stack of a registration: frames that refer to each other, and their lines.

use probe_abi::{
    miss::Miss,
    python::{RawFrame, RawStack, StackResult as Raw},
};
use zerocopy::FromBytes;

use super::DecodeError;
use crate::{
    event::{Frame, PythonStack, StackResult},
    python::{layout, linetable, text},
};

/// Decodes what the walk found and the frames behind the record.
pub(super) fn decode(raw: &RawStack, bytes: &[u8]) -> Result<PythonStack, DecodeError> {
    let result = match raw.result {
        Raw::NONE => StackResult::None,
        Raw::COMPLETE => StackResult::Complete,
        Raw::TRUNCATED => StackResult::Truncated,
        Raw::FAILED => {
            let miss = Miss::TABLE.get(usize::from(raw.miss));
            let (label, _) = miss.ok_or(DecodeError::UnknownMiss { miss: raw.miss })?;
            StackResult::Failed((*label).to_owned())
        }
        Raw(result) => return Err(DecodeError::UnknownResult { result }),
    };
    let version = layout::version(raw.version);
    let (frames, crossed) = frames(raw.frames, bytes, version.and_then(linetable::Kind::of))?;
    Ok(PythonStack {
        result,
        version,
        interpreter: (raw.interpreter >= 0).then_some(raw.interpreter),
        thread_known: raw.flags & RawStack::THREAD_KNOWN != 0,
        ambiguous: raw.flags & RawStack::AMBIGUOUS != 0,
        frames,
        left_out: raw.left_out,
        crossed,
    })
}

/// Decodes a function's code, which is written as a frame that is at no instruction: the line is
/// where the function begins.
pub(super) fn function(bytes: &[u8]) -> Result<Frame, DecodeError> {
    let (mut frames, _) = frames(1, bytes, None)?;
    let (raw, _) = RawFrame::read_from_prefix(bytes).map_err(|_| overrun(0, 1, bytes))?;
    let flags = raw.flags & !(RawFrame::FILE_CUT | RawFrame::NAME_CUT);
    match frames.pop() {
        Some(frame) if flags == 0 && raw.table_size == 0 => Ok(Frame {
            line: (raw.first_line != 0).then_some(raw.first_line),
            ..frame
        }),
        _ => Err(DecodeError::FrameContradiction {
            frame: 0,
            flags: raw.flags,
        }),
    }
}

fn overrun(frame: u32, frames: u32, bytes: &[u8]) -> DecodeError {
    DecodeError::FramesOverrun {
        frame,
        frames,
        needed: size_of::<RawFrame>(),
        left: bytes.len(),
    }
}

/// What a frame's code object says; the next frame may refer to it.
#[derive(Clone)]
struct Code<'a> {
    file: String,
    function: String,
    first_line: u32,
    /// `None` where the code object could not be read.
    table: Option<&'a [u8]>,
    table_cut: bool,
}

fn frames(
    count: u32,
    mut bytes: &[u8],
    kind: Option<linetable::Kind>,
) -> Result<(Vec<Frame>, Vec<usize>), DecodeError> {
    // A frame takes its fixed part at least, whatever the count says.
    let room = bytes.len() / size_of::<RawFrame>();
    let mut frames = Vec::with_capacity(room.min(count as usize));
    let mut crossed = Vec::new();
    let mut before: Option<Code<'_>> = None;
    for frame in 0..count {
        let overrun = |needed| {
            let left = bytes.len();
            DecodeError::FramesOverrun {
                frame,
                frames: count,
                needed,
                left,
            }
        };
        let (raw, rest) =
            RawFrame::read_from_prefix(bytes).map_err(|_| overrun(size_of::<RawFrame>()))?;
        let [file, name] = [raw.file_size, raw.name_size].map(usize::from);
        let table = raw.table_size as usize;
        let size = (file + name + table).next_multiple_of(8);
        let too_long = || overrun(size_of::<RawFrame>() + size);
        let (body, rest) = rest.split_at_checked(size).ok_or_else(too_long)?;
        let (file, body) = body.split_at_checked(file).ok_or_else(too_long)?;
        let (name, body) = body.split_at_checked(name).ok_or_else(too_long)?;
        let table = body.get(..table).ok_or_else(too_long)?;
        let code = code(&raw, frame, [file, name, table], before.take())?;
        let line = kind.zip(code.table).and_then(|(kind, table)| {
            let (first, cut) = (code.first_line, code.table_cut);
            linetable::line(kind, table, first, raw.instruction, cut)
        });
        let (file, function) = (code.file.clone(), code.function.clone());
        if raw.flags & RawFrame::CROSSED != 0 {
            crossed.push(frames.len());
        }
        frames.push(Frame {
            file,
            line,
            function,
        });
        before = Some(code);
        bytes = rest;
    }
    match bytes.len() {
        0 => Ok((frames, crossed)),
        left => Err(DecodeError::FramesUnderrun {
            frames: count,
            left,
        }),
    }
}

fn code<'a>(
    raw: &RawFrame,
    frame: u32,
    [file, name, table]: [&'a [u8]; 3],
    before: Option<Code<'a>>,
) -> Result<Code<'a>, DecodeError> {
    let flag = |bit| raw.flags & bit != 0;
    let absent = |there: &[&[u8]]| {
        let contradiction = DecodeError::FrameContradiction {
            frame,
            flags: raw.flags,
        };
        there
            .iter()
            .all(|part| part.is_empty())
            .then_some(())
            .ok_or(contradiction)
    };
    let before = |there: &[&[u8]]| {
        absent(there)?;
        before.ok_or(DecodeError::NoFrameBefore { frame })
    };
    if flag(RawFrame::UNREADABLE) {
        absent(&[file, name, table])?;
        let unknown = || "?".to_owned();
        let (file, function) = (unknown(), unknown());
        return Ok(Code {
            file,
            function,
            first_line: 0,
            table: None,
            table_cut: false,
        });
    }
    if flag(RawFrame::SAME_CODE) {
        return before(&[file, name, table]);
    }
    let file = if flag(RawFrame::SAME_FILE) {
        before(&[file])?.file
    } else {
        text::decode(file, raw.file_kind, flag(RawFrame::FILE_CUT))
    };
    Ok(Code {
        file,
        function: text::decode(name, raw.name_kind, flag(RawFrame::NAME_CUT)),
        first_line: raw.first_line,
        table: Some(table),
        table_cut: flag(RawFrame::TABLE_CUT),
    })
}
