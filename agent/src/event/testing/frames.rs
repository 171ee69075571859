//! Python frames as the probe writes them.

use probe_abi::python::RawFrame;
use zerocopy::{FromZeros, IntoBytes};

use crate::{event::Frame, python::text::CUT};

/// One frame, as short as the probe makes it: what equals the frame before is left out.
pub(super) fn encode_frame(
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

/// A function's code, as the probe writes it: a frame without an instruction and a table.
pub(super) fn encode_function(function: &Frame, bytes: &mut Vec<u8>) -> Option<()> {
    let mut raw = RawFrame::new_zeroed();
    let (file, file_kind, file_cut) = encode_text(&function.file);
    let (name, name_kind, name_cut) = encode_text(&function.function);
    (raw.file_kind, raw.name_kind) = (file_kind, name_kind);
    raw.flags |= u16::from(file_cut) * RawFrame::FILE_CUT;
    raw.flags |= u16::from(name_cut) * RawFrame::NAME_CUT;
    raw.first_line = function.line.unwrap_or(0);
    raw.file_size = u16::try_from(file.len()).ok()?;
    raw.name_size = u16::try_from(name.len()).ok()?;
    bytes.extend(raw.as_bytes().iter().chain(&file).chain(&name));
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    Some(())
}
