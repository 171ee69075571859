//! The steps of the Python walk: from `_PyRuntime` to the calling thread's frames.
//!
//! Everything here reads memory that the application controls. An address is a claim until it
//! was read, a length until it was capped; the bounds of the loops are in `walk.rs`.

#![forbid(unsafe_code)]

use probe_abi::{
    miss::Miss,
    python::{
        ABSENT, FILE_SIZE, NAME_SIZE, RawFrame, RawLayout, RawStack, StackResult, TABLE_SIZE,
    },
};

use crate::{
    maps::{Scratch, TAIL, TAIL_WORDS},
    read::{field, user_bytes, user_word, user_words},
    task,
};

/// `FRAME_OWNED_BY_GENERATOR` (`Include/internal/pycore_frame.h`, 3.11 to 3.15).
const OWNER_GENERATOR: u64 = 1;
/// Above this position no further frame is begun, so that the outermost one has room.
const FULL: u64 = (TAIL - 4096) as u64;
/// Above this position line tables are left out.
const SPARSE: u64 = (TAIL - 16_384) as u64;

/// Prepares the search, and ends it at once where the thread holds the interpreter lock.
///
/// Up to 3.11 a global names the thread state that holds the lock. It is the caller's only if
/// its `thread_id` is: an extension may have released the lock before it made the call.
#[inline(always)]
pub fn start(scratch: &mut Scratch, layout: &RawLayout, runtime: u64) -> Result<(), Miss> {
    scratch.thread_pointer = task::thread_pointer(task::current());
    scratch.interpreter = user_word(runtime + u64::from(layout.runtime_interpreters));
    scratch.here = 0;
    scratch.thread = 0;
    scratch.current = 0;
    scratch.found_thread = 0;
    scratch.found_interpreter = 0;
    scratch.found_frame = 0;
    if layout.runtime_current == ABSENT {
        return Ok(());
    }
    let current = user_word(runtime + u64::from(layout.runtime_current));
    if current == 0 {
        return Ok(());
    }
    scratch.current = current;
    let id = user_word(current + u64::from(layout.thread_id));
    if is_caller(scratch.thread_pointer, id) {
        scratch.found_thread = current;
        scratch.found_interpreter = user_word(current + u64::from(layout.thread_interpreter));
        scratch.found_frame = frame_of(current, layout);
    }
    Ok(())
}

/// Whether a `thread_id`, which is `pthread_self()`, is the calling thread's.
///
/// On x86_64 it is the thread pointer itself. On aarch64 `struct pthread` lies below the
/// thread pointer: 1,792 to 1,856 bytes in glibc 2.31 to 2.43, less in musl. It sits at the top
/// of the thread's own mapping, so that no other thread's is within a page.
#[inline(always)]
fn is_caller(thread_pointer: u64, id: u64) -> bool {
    if cfg!(bpf_target_arch = "aarch64") {
        let distance = thread_pointer.wrapping_sub(id);
        distance > 0 && distance <= 4096
    } else {
        thread_pointer == id
    }
}

/// The innermost frame of a thread state.
#[inline(always)]
fn frame_of(thread: u64, layout: &RawLayout) -> u64 {
    let frame = user_word(thread + u64::from(layout.thread_frame));
    if layout.cframe_frame == ABSENT || frame == 0 {
        return frame;
    }
    user_word(frame + u64::from(layout.cframe_frame))
}

/// One node: the next thread state, or the next interpreter when a list of them ends.
///
/// Several thread states may belong to the caller, one per interpreter that it has been in.
/// Without a lock holder to go by, the one with frames is the one that runs; where several
/// have frames the record says so.
#[inline(always)]
pub fn find(scratch: &mut Scratch, layout: &RawLayout) -> u32 {
    let thread = scratch.thread;
    if thread == 0 {
        let interpreter = scratch.interpreter;
        if interpreter == 0 {
            return 1;
        }
        scratch.here = interpreter;
        scratch.thread = user_word(interpreter + u64::from(layout.interpreter_threads));
        scratch.interpreter = user_word(interpreter + u64::from(layout.interpreter_next));
        return 0;
    }
    // One read for `next` and `thread_id`: this loop is long where threads are many.
    user_words(&mut scratch.code_copy, layout.thread_id + 8, thread);
    scratch.thread = field(&scratch.code_copy, layout.thread_next);
    if !is_caller(
        scratch.thread_pointer,
        field(&scratch.code_copy, layout.thread_id),
    ) {
        return 0;
    }
    let frame = frame_of(thread, layout);
    if scratch.found_thread != 0 && scratch.found_frame != 0 {
        if frame != 0 {
            scratch.record.python.flags |= RawStack::AMBIGUOUS;
        }
        return 0;
    }
    if frame != 0 || scratch.found_thread == 0 {
        scratch.found_thread = thread;
        scratch.found_interpreter = scratch.here;
        scratch.found_frame = frame;
    }
    0
}

/// Notes which thread state was found; false where there is nothing to walk.
#[inline(always)]
pub fn found(scratch: &mut Scratch, layout: &RawLayout) -> bool {
    if scratch.found_thread == 0 {
        return false;
    }
    scratch.record.python.flags |= RawStack::THREAD_KNOWN;
    scratch.record.python.thread_state = scratch.found_thread;
    let id = user_word(scratch.found_interpreter + u64::from(layout.interpreter_id));
    scratch.record.python.interpreter = id as i64;
    scratch.frame = scratch.found_frame;
    scratch.outermost = 0;
    scratch.code_before = 0;
    scratch.file_before = 0;
    if scratch.frame == 0 {
        return false;
    }
    scratch.record.python.result = StackResult::COMPLETE;
    true
}

/// Goes past one frame without writing it.
#[inline(always)]
pub fn count(scratch: &mut Scratch, layout: &RawLayout) -> u32 {
    if scratch.frame == 0 {
        return 1;
    }
    scratch.outermost = scratch.frame;
    scratch.frame = user_word(scratch.frame + u64::from(layout.frame_previous));
    scratch.record.python.left_out = scratch.record.python.left_out.wrapping_add(1);
    0
}

/// Writes one frame.
#[inline(always)]
pub fn frame(scratch: &mut Scratch, layout: &RawLayout) -> u32 {
    if scratch.frame == 0 || scratch.position > FULL && scratch.outermost == 0 {
        return 1;
    }
    let readable = user_words(&mut scratch.frame_copy, layout.frame_size, scratch.frame);
    let code = field(&scratch.frame_copy, layout.frame_code) & layout.code_mask;
    scratch.frame = field(&scratch.frame_copy, layout.frame_previous);
    let owner = if layout.frame_owner == ABSENT {
        0
    } else {
        field(&scratch.frame_copy, layout.frame_owner) & 0xff
    };
    if readable && owner >= u64::from(layout.shim_owner) {
        return 0;
    }
    let known = user_words(&mut scratch.code_copy, layout.code_size, code);
    let instruction = instruction(scratch, layout, code);
    if known && is_incomplete(scratch, layout, owner, instruction) {
        return 0;
    }
    let mut raw = RawFrame {
        code,
        instruction,
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
    if !readable || !known {
        raw.flags = RawFrame::UNREADABLE;
        // Where the frame itself could not be read, nobody knows what lies beyond it.
        if !readable {
            scratch.record.python.result = StackResult::TRUNCATED;
        }
        // The next frame must not refer to this one.
        scratch.code_before = 0;
        scratch.file_before = 0;
    } else if code == scratch.code_before {
        raw.flags = RawFrame::SAME_CODE;
    } else {
        describe(scratch, layout, &mut raw);
        scratch.code_before = code;
    }
    scratch.position = (scratch.position + 7) & !7;
    write(scratch, head, raw);
    scratch.frames = scratch.frames.wrapping_add(1);
    0
}

/// Offset of the instruction into the bytecode, in bytes.
#[inline(always)]
fn instruction(scratch: &Scratch, layout: &RawLayout, code: u64) -> i64 {
    let value = field(&scratch.frame_copy, layout.frame_instruction);
    if layout.instruction_unit != 0 {
        return i64::from(value as i32) * i64::from(layout.instruction_unit);
    }
    value.wrapping_sub(code + u64::from(layout.code_bytecode)) as i64
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

/// Copies file, name and line table behind the frame's head.
#[inline(always)]
fn describe(scratch: &mut Scratch, layout: &RawLayout, raw: &mut RawFrame) {
    let file = field(&scratch.code_copy, layout.code_file);
    let name = field(&scratch.code_copy, layout.code_name);
    let table = field(&scratch.code_copy, layout.code_table);
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
/// Not-compact strings, which only subclasses of `str` can be, have their data elsewhere; no
/// code object that CPython compiles holds one.
#[inline(always)]
fn text<const MAX: usize>(scratch: &mut Scratch, layout: &RawLayout, object: u64) -> Text {
    user_words(&mut scratch.text_copy, layout.text_header, object);
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
    let at = object + u64::from(offset);
    user_bytes::<TAIL_WORDS, { TAIL - 1 }, MAX>(&mut scratch.tail, position, size, at);
    scratch.position = position + size;
    Text {
        size: size as u16,
        kind: if ascii { 0 } else { kind as u8 },
        cut: all > most,
    }
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
