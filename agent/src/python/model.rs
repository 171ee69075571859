//! The walk of the probe, again, in user space: for tests of the layouts. It knows nothing of CPython
//! but a [`RawLayout`], as the probe does, and reads memory that somebody provides.

use probe_abi::python::{ABSENT, RawLayout};

use super::{layout, linetable, text};
use crate::event::Frame;

/// `FRAME_OWNED_BY_GENERATOR`.
const GENERATOR: u64 = 1;
/// Nodes and links that are looked at.
const BOUND: usize = 1_000;

/// Memory of a process, by its addresses.
pub trait Memory {
    /// Bytes at an address; `None` where they cannot be read.
    fn read(&mut self, address: u64, size: usize) -> Option<Vec<u8>>;
}

/// Where a search starts, in the process.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Address of the head of the list of interpreters.
    pub interpreters: u64,
    /// Address of the pointer to the thread state that holds the lock.
    pub current: Option<u64>,
    /// The thread's `pthread_self()`.
    pub thread: u64,
}

/// The frames of a thread, innermost first; `None` where it has no thread state, or something that is
/// needed cannot be read.
pub fn walk(memory: &mut impl Memory, raw: &RawLayout, heads: Heads) -> Option<Vec<Frame>> {
    let mut walk = Walk { memory, raw };
    let thread = walk.holder(heads).or_else(|| walk.find(heads))?;
    let mut frame = walk.word(thread, raw.thread_frame)?;
    if raw.cframe_frame != ABSENT {
        frame = walk.word(frame, raw.cframe_frame)?;
    }
    let mut frames = Vec::new();
    for _ in 0..BOUND {
        if frame == 0 {
            return Some(frames);
        }
        frames.extend(walk.frame(frame)?);
        frame = walk.word(frame, raw.frame_previous)?;
    }
    None
}

struct Walk<'a, M> {
    memory: &'a mut M,
    raw: &'a RawLayout,
}

impl<M: Memory> Walk<'_, M> {
    fn number(&mut self, object: u64, offset: u32, size: usize) -> Option<u64> {
        let bytes = self.memory.read(object.checked_add(offset.into())?, size)?;
        let mut word = [0; 8];
        word.get_mut(..size)?.copy_from_slice(bytes.get(..size)?);
        Some(u64::from_le_bytes(word))
    }

    fn word(&mut self, object: u64, offset: u32) -> Option<u64> {
        self.number(object, offset, 8)
    }

    /// The thread state that holds the lock, if it is this thread's.
    fn holder(&mut self, heads: Heads) -> Option<u64> {
        let current = self.word(heads.current?, 0).filter(|at| *at != 0)?;
        let id = self.word(current, self.raw.thread_id)?;
        (id == heads.thread).then_some(current)
    }

    fn find(&mut self, heads: Heads) -> Option<u64> {
        let raw = self.raw;
        let mut found = None;
        let mut interpreter = self.word(heads.interpreters, 0)?;
        while interpreter != 0 {
            let mut thread = self.word(interpreter, raw.interpreter_threads)?;
            while thread != 0 {
                if self.word(thread, raw.thread_id)? == heads.thread {
                    if raw.thread_status == ABSENT {
                        found = Some(thread);
                    } else {
                        let status = self.number(thread, raw.thread_status, 4)?;
                        let has = |mask: u32| status & u64::from(mask) != 0;
                        if has(raw.status_active) && !has(raw.status_dead) {
                            return Some(thread);
                        }
                        if has(raw.status_bound) && !has(raw.status_dead) {
                            found = Some(thread);
                        }
                    }
                }
                thread = self.word(thread, raw.thread_next)?;
            }
            interpreter = self.word(interpreter, raw.interpreter_next)?;
        }
        found
    }

    /// One frame, or none where a traceback shows none.
    fn frame(&mut self, frame: u64) -> Option<Option<Frame>> {
        let raw = self.raw;
        let owner = match raw.frame_owner {
            ABSENT => 0,
            offset => self.number(frame, offset, 1)?,
        };
        if owner >= raw.shim_owner.into() {
            return Some(None);
        }
        let code = self.word(frame, raw.frame_code)? & raw.code_mask;
        let instruction = self.instruction(frame, code)?;
        if raw.code_first_traceable != ABSENT && owner != GENERATOR {
            let first = self.number(code, raw.code_first_traceable, 4)?;
            if instruction < i64::from(first as u32).wrapping_mul(2) {
                return Some(None);
            }
        }
        let file = self.text_at(code, raw.code_file)?;
        let function = self.text_at(code, raw.code_name)?;
        let table = self.word(code, raw.code_table)?;
        let size = self.word(table, raw.bytes_size)?;
        let table = self.memory.read(
            table + u64::from(raw.bytes_data),
            usize::try_from(size).ok()?,
        )?;
        let first_line = self.number(code, raw.code_first_line, 4)? as u32;
        let kind = layout::version(raw.version).and_then(linetable::Kind::of)?;
        Some(Some(Frame {
            file,
            line: linetable::line(kind, &table, first_line, instruction, false),
            function,
        }))
    }

    fn instruction(&mut self, frame: u64, code: u64) -> Option<i64> {
        let raw = self.raw;
        if raw.instruction_unit != 0 {
            let units = self.number(frame, raw.frame_instruction, 4)? as u32;
            return Some(i64::from(units.cast_signed()) * i64::from(raw.instruction_unit));
        }
        let mut bytecode = code + u64::from(raw.code_bytecode);
        if raw.code_copies != ABSENT {
            let index = self.number(frame, raw.frame_copy, 4)?;
            if index != 0 {
                let copies = self.word(code, raw.code_copies)?;
                bytecode = self.word(copies + 8 + index * 8, 0)?;
            }
        }
        let address = self.word(frame, raw.frame_instruction)?;
        Some(address.wrapping_sub(bytecode).cast_signed())
    }

    fn text_at(&mut self, object: u64, offset: u32) -> Option<String> {
        let raw = self.raw;
        let object = self.word(object, offset)?;
        let state = self.number(object, raw.text_state, 4)? as u32;
        let ascii = state & raw.text_mask_ascii != 0;
        let kind = (state & raw.text_mask_kind) >> raw.text_shift_kind;
        let length = self.word(object, raw.text_length)?;
        let at = if state & raw.text_mask_compact == 0 {
            self.word(object, raw.text_data)?
        } else if ascii {
            object + u64::from(raw.text_ascii)
        } else {
            object + u64::from(raw.text_compact)
        };
        let size = usize::try_from(length.checked_mul(kind.into())?).ok()?;
        let bytes = self.memory.read(at, size)?;
        let kind = if ascii { 0 } else { u8::try_from(kind).ok()? };
        Some(text::decode(&bytes, kind, false))
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
