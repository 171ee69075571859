//! The first steps of the Python walk: from the list of interpreters to the calling thread's frames.
//!
//! Everything here reads memory that the application controls. An address is a claim until it
//! was read, a length until it was capped; the bounds of the loops are in `walk.rs`.

#![forbid(unsafe_code)]

use probe_abi::{
    miss::Miss,
    process::RawInterpreter,
    python::{ABSENT, RawLayout, RawStack, StackResult},
};

use crate::{
    read::{field, try_user_word, user_word, user_words},
    scratch::Scratch,
    task,
};

/// What [`find`] says of a node that cannot be read.
pub const UNREADABLE: u32 = 2;

/// Prepares the search, and ends it at once where the thread holds the interpreter lock.
///
/// Up to 3.11 a global names the thread state that holds the lock. It is the caller's only if
/// its `thread_id` is: an extension may have released the lock before it made the call.
#[inline(always)]
pub fn start(
    scratch: &mut Scratch,
    layout: &RawLayout,
    interpreter: &RawInterpreter,
) -> Result<(), Miss> {
    scratch.thread_pointer = task::thread_pointer(task::current());
    scratch.interpreter = try_user_word(interpreter.interpreters).ok_or(Miss::Interpreters)?;
    scratch.here = 0;
    scratch.thread = 0;
    scratch.found_thread = 0;
    scratch.found_interpreter = 0;
    scratch.found_frame = 0;
    if interpreter.current == 0 {
        return Ok(());
    }
    let current = user_word(interpreter.current);
    if current == 0 {
        return Ok(());
    }
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
/// Several thread states may belong to the caller, one per interpreter that it has been in. From
/// 3.12 on they say themselves which one is attached to its thread, or was last
/// (`tstate_activate`, Python/pystate.c). Before, and without a lock holder to go by, the one with
/// frames is the one that runs; where several have frames the record says so.
#[inline(always)]
pub fn find(scratch: &mut Scratch, layout: &RawLayout) -> u32 {
    let thread = scratch.thread;
    if thread == 0 {
        let interpreter = scratch.interpreter;
        if interpreter == 0 {
            return 1;
        }
        scratch.here = interpreter;
        let threads = try_user_word(interpreter + u64::from(layout.interpreter_threads));
        let next = try_user_word(interpreter + u64::from(layout.interpreter_next));
        let (Some(threads), Some(next)) = (threads, next) else {
            return UNREADABLE;
        };
        scratch.thread = threads;
        scratch.interpreter = next;
        return 0;
    }
    // One read for `next`, `_status` and `thread_id`: this loop is long where threads are many.
    if !user_words(&mut scratch.code_copy, layout.thread_id + 8, thread) {
        return UNREADABLE;
    }
    scratch.thread = field(&scratch.code_copy, layout.thread_next);
    if !is_caller(
        scratch.thread_pointer,
        field(&scratch.code_copy, layout.thread_id),
    ) {
        return 0;
    }
    if layout.thread_status == ABSENT {
        consider(scratch, layout, thread);
        return 0;
    }
    let status = field(&scratch.code_copy, layout.thread_status) as u32;
    if status & layout.status_dead != 0 {
        return 0;
    }
    if status & layout.status_active != 0 {
        take(scratch, layout, thread);
        return 1;
    }
    if status & layout.status_bound != 0 {
        take(scratch, layout, thread);
    }
    0
}

/// Takes a thread state for the caller's.
#[inline(always)]
fn take(scratch: &mut Scratch, layout: &RawLayout, thread: u64) {
    scratch.found_thread = thread;
    scratch.found_interpreter = scratch.here;
    scratch.found_frame = frame_of(thread, layout);
}

/// Takes a thread state for the caller's if there is none yet, or none with frames.
#[inline(always)]
fn consider(scratch: &mut Scratch, layout: &RawLayout, thread: u64) {
    let frame = frame_of(thread, layout);
    if scratch.found_thread != 0 && scratch.found_frame != 0 {
        if frame != 0 {
            scratch.record.python.flags |= RawStack::AMBIGUOUS;
        }
        return;
    }
    if frame != 0 || scratch.found_thread == 0 {
        take(scratch, layout, thread);
    }
}

/// Notes which thread state was found; false where there is nothing to walk.
#[inline(always)]
pub fn found(scratch: &mut Scratch, layout: &RawLayout) -> bool {
    if scratch.found_thread == 0 {
        return false;
    }
    scratch.record.python.flags |= RawStack::THREAD_KNOWN;
    scratch.record.python.thread_state = scratch.found_thread;
    if layout.interpreter_id != ABSENT {
        let id = user_word(scratch.found_interpreter + u64::from(layout.interpreter_id));
        scratch.record.python.interpreter = id as i64;
    }
    scratch.frame = scratch.found_frame;
    scratch.outermost = 0;
    scratch.last = 0;
    scratch.crossed = 0;
    scratch.code_before = 0;
    scratch.file_before = 0;
    if scratch.frame == 0 {
        return false;
    }
    scratch.record.python.result = StackResult::COMPLETE;
    true
}
