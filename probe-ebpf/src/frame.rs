//! The last steps of the Python walk: from frame to frame, and what each one is called.
//!
//! As in `python.rs`, an address is a claim until it was read, a length until it was capped.

#![forbid(unsafe_code)]

use probe_abi::{
    miss::Miss,
    python::{ABSENT, FILE_SIZE, FRAMES, NAME_SIZE, RawFrame, RawLayout, StackResult, TABLE_SIZE},
};

use crate::{
    maps,
    read::{field, user_bytes, user_word, user_words},
    scratch::{Scratch, TAIL, TAIL_WORDS},
};

/// `FRAME_OWNED_BY_GENERATOR` (`Include/internal/pycore_frame.h`, 3.11 to 3.15).
const OWNER_GENERATOR: u64 = 1;
/// Above this position no further frame is begun, so that the outermost one has room.
const FULL: u64 = (TAIL - 4096) as u64;
/// Above this position line tables are left out.
const SPARSE: u64 = (TAIL - 16_384) as u64;

/// What one link of the chain of frames is.
struct Link {
    /// Address of the code object.
    code: u64,
    /// Offset of the instruction into the bytecode.
    instruction: i64,
    /// Whether a traceback shows it.
    shown: bool,
    /// Whether it is where native code entered the interpreter.
    shim: bool,
    /// Whether the frame and its code object could be read.
    frame_known: bool,
    code_known: bool,
}

/// Reads the link at the cursor, and moves the cursor on.
#[inline(always)]
fn link(scratch: &mut Scratch, layout: &RawLayout) -> Link {
    let frame_known = user_words(&mut scratch.frame_copy, layout.frame_size, scratch.frame);
    let code = field(&scratch.frame_copy, layout.frame_code) & layout.code_mask;
    scratch.frame = field(&scratch.frame_copy, layout.frame_previous);
    let owner = if layout.frame_owner == ABSENT {
        0
    } else {
        field(&scratch.frame_copy, layout.frame_owner) & 0xff
    };
    let shim = frame_known && owner >= u64::from(layout.shim_owner);
    let code_known = !shim && user_words(&mut scratch.code_copy, layout.code_size, code);
    let instruction = instruction(scratch, layout, code);
    Link {
        code,
        instruction,
        shown: !shim && !(code_known && is_incomplete(scratch, layout, owner, instruction)),
        shim,
        frame_known,
        code_known,
    }
}

/// Goes past one link without writing it.
#[inline(always)]
pub fn count(scratch: &mut Scratch, layout: &RawLayout) -> u32 {
    let here = scratch.frame;
    if here == 0 {
        return 1;
    }
    if link(scratch, layout).shown {
        scratch.outermost = here;
        scratch.record.python.left_out = scratch.record.python.left_out.wrapping_add(1);
    }
    0
}

/// Writes one frame.
#[inline(always)]
pub fn frame(scratch: &mut Scratch, layout: &RawLayout) -> u32 {
    let full = scratch.position > FULL || scratch.frames >= FRAMES - 1;
    if scratch.frame == 0 || full && scratch.last == 0 {
        return 1;
    }
    let link = link(scratch, layout);
    if link.shim {
        scratch.crossed = 1;
    }
    if !link.shown {
        return 0;
    }
    let (code, instruction) = (link.code, link.instruction);
    let mut raw = RawFrame {
        code,
        instruction,
        first_line: field(&scratch.code_copy, layout.code_first_line) as u32,
        table_size: 0,
        file_size: 0,
        name_size: 0,
        file_kind: 0,
        name_kind: 0,
        flags: if scratch.crossed != 0 && scratch.frames != 0 {
            RawFrame::CROSSED
        } else {
            0
        },
    };
    // Up to 3.10 each frame is the interpreter entered anew; 3.11 marks those that are.
    let entered = layout.frame_owner == ABSENT
        || layout.frame_entry != ABSENT
            && field(&scratch.frame_copy, layout.frame_entry) & 0xff != 0;
    scratch.crossed = u64::from(entered);
    let head = scratch.position;
    scratch.position = head + size_of::<RawFrame>() as u64;
    if !link.code_known {
        raw.flags |= RawFrame::UNREADABLE;
        if link.frame_known {
            maps::miss(Miss::CodeUnreadable);
        } else {
            // Nobody knows what lies beyond it.
            maps::miss(Miss::FrameUnreadable);
            scratch.record.python.result = StackResult::TRUNCATED;
        }
        // The next frame must not refer to this one.
        scratch.code_before = 0;
        scratch.file_before = 0;
    } else if code == scratch.code_before {
        raw.flags |= RawFrame::SAME_CODE;
    } else {
        describe(scratch, layout, &mut raw);
        scratch.code_before = code;
    }
    pad(scratch);
    write(scratch, head, raw);
    scratch.frames = scratch.frames.wrapping_add(1);
    0
}

/// Writes the code object at the cursor as the function that a handler is: without an instruction
/// and a line table, for it begins at its first line. It has room beside any frames.
#[inline(always)]
pub fn function(scratch: &mut Scratch, layout: &RawLayout) -> u32 {
    let code = scratch.frame;
    if !user_words(&mut scratch.code_copy, layout.code_size, code) {
        return 1;
    }
    let mut raw = RawFrame {
        code,
        instruction: 0,
        first_line: field(&scratch.code_copy, layout.code_first_line) as u32,
        table_size: 0,
        file_size: 0,
        name_size: 0,
        file_kind: 0,
        name_kind: 0,
        flags: 0,
    };
    let head = scratch.position;
    scratch.position = head + size_of::<RawFrame>() as u64;
    scratch.file_before = 0;
    names(scratch, layout, &mut raw);
    pad(scratch);
    write(scratch, head, raw);
    0
}

/// Offset of the instruction into the bytecode, in bytes.
#[inline(always)]
fn instruction(scratch: &Scratch, layout: &RawLayout, code: u64) -> i64 {
    let value = field(&scratch.frame_copy, layout.frame_instruction);
    if layout.instruction_unit != 0 {
        return i64::from(value as i32) * i64::from(layout.instruction_unit);
    }
    value.wrapping_sub(bytecode(scratch, layout, code)) as i64
}

/// Address of the bytecode that the frame runs.
///
/// Free-threaded builds from 3.14 on give threads copies of their own; the array of them starts
/// with its size, and copy 0 is the code object's own (`_PyCode_GetTLBC`, Python/codeobject.c).
#[inline(always)]
fn bytecode(scratch: &Scratch, layout: &RawLayout, code: u64) -> u64 {
    if layout.code_copies != ABSENT {
        let index = field(&scratch.frame_copy, layout.frame_copy) as u32;
        if index != 0 {
            let copies = field(&scratch.code_copy, layout.code_copies);
            return user_word(copies + 8 + u64::from(index) * 8);
        }
    }
    code + u64::from(layout.code_bytecode)
}

/// Whether a traceback hides this frame: its prologue has not ended yet
/// (`_PyFrame_IsIncomplete`, `Include/internal/pycore_frame.h`, 3.11 and later).
#[inline(always)]
fn is_incomplete(scratch: &Scratch, layout: &RawLayout, owner: u64, instruction: i64) -> bool {
    if layout.code_first_traceable == ABSENT || owner == OWNER_GENERATOR {
        return false;
    }
    let units = field(&scratch.code_copy, layout.code_first_traceable) as i32;
    instruction < i64::from(units) * 2
}

/// Copies file and name behind the frame's head.
#[inline(always)]
fn names(scratch: &mut Scratch, layout: &RawLayout, raw: &mut RawFrame) {
    let file = field(&scratch.code_copy, layout.code_file);
    let name = field(&scratch.code_copy, layout.code_name);
    if file != 0 && file == scratch.file_before {
        raw.flags |= RawFrame::SAME_FILE;
    } else {
        let text = text::<FILE_SIZE>(scratch, layout, file);
        raw.file_size = text.size;
        raw.file_kind = text.kind;
        raw.flags |= if text.cut { RawFrame::FILE_CUT } else { 0 };
        scratch.file_before = file;
    }
    let text = text::<NAME_SIZE>(scratch, layout, name);
    raw.name_size = text.size;
    raw.name_kind = text.kind;
    raw.flags |= if text.cut { RawFrame::NAME_CUT } else { 0 };
}

/// Copies file, name and line table behind the frame's head.
#[inline(always)]
fn describe(scratch: &mut Scratch, layout: &RawLayout, raw: &mut RawFrame) {
    names(scratch, layout, raw);
    let table = field(&scratch.code_copy, layout.code_table);
    let size = user_word(table + u64::from(layout.bytes_size));
    let mut kept = if size > TABLE_SIZE as u64 {
        TABLE_SIZE as u64
    } else {
        size
    };
    if scratch.position > SPARSE {
        kept = 0;
    }
    raw.flags |= if kept == size { 0 } else { RawFrame::TABLE_CUT };
    let at = table + u64::from(layout.bytes_data);
    let position = scratch.position;
    user_bytes::<TAIL_WORDS, { TAIL - 1 }, TABLE_SIZE>(&mut scratch.tail, position, kept, at);
    scratch.position = position + kept;
    raw.table_size = kept as u32;
}

/// What was copied of a string.
struct Text {
    size: u16,
    kind: u8,
    cut: bool,
}

/// Copies a `str`, at most `MAX` bytes of it.
///
/// Strings that are not compact, as instances of subclasses of `str` are, have their characters
/// elsewhere.
#[inline(always)]
fn text<const MAX: usize>(scratch: &mut Scratch, layout: &RawLayout, object: u64) -> Text {
    if !user_words(&mut scratch.text_copy, layout.text_header, object) {
        maps::miss(Miss::TextUnreadable);
    }
    let length = field(&scratch.text_copy, layout.text_length);
    let state = field(&scratch.text_copy, layout.text_state) as u32;
    let ascii = state & layout.text_mask_ascii != 0;
    let kind = u64::from((state & layout.text_mask_kind) >> (layout.text_shift_kind & 31));
    // Whole characters only: a cut in the middle of one would turn into another character.
    let most = if kind == 4 {
        MAX as u64 & !3
    } else if kind == 2 {
        MAX as u64 & !1
    } else {
        MAX as u64
    };
    let all = length.wrapping_mul(kind);
    let size = if all > most { most } else { all };
    let offset = if ascii {
        layout.text_ascii
    } else {
        layout.text_compact
    };
    let position = scratch.position;
    let compact = state & layout.text_mask_compact != 0;
    let at = if compact {
        object + u64::from(offset)
    } else {
        user_word(object + u64::from(layout.text_data))
    };
    if !user_bytes::<TAIL_WORDS, { TAIL - 1 }, MAX>(&mut scratch.tail, position, size, at) {
        maps::miss(Miss::TextUnreadable);
    }
    scratch.position = position + size;
    Text {
        size: size as u16,
        kind: if ascii { 0 } else { kind as u8 },
        cut: all > most,
    }
}

/// Ends a frame's texts and table with zeros up to the next word: what lies there is a former
/// record's, of any process, and may be a piece of its stack.
#[inline(always)]
fn pad(scratch: &mut Scratch) {
    let position = scratch.position;
    let word = (position as usize >> 3) & (TAIL / 8 - 1);
    scratch.tail[word] &= (1 << ((position & 7) * 8)) - 1;
    scratch.position = (position + 7) & !7;
}

/// Puts a frame's head into the tail.
#[inline(always)]
fn write(scratch: &mut Scratch, position: u64, raw: RawFrame) {
    let words: [u64; 4] = zerocopy::transmute!(raw);
    let word = (position as usize >> 3) & (TAIL / 8 - 1);
    scratch.tail[word] = words[0];
    scratch.tail[word + 1] = words[1];
    scratch.tail[word + 2] = words[2];
    scratch.tail[word + 3] = words[3];
}
