//! The loops around `python`, `frame` and `native`, in the one shape that every kernel from 5.10 on verifies cheaply.
//!
//! A plain bounded `for` calls a *global* function (`extern "C"`, `no_mangle`, never inlined,
//! the scratch row's number its only argument) that finds all its state in that row. The verifier looks at such a
//! function once ("Func#2 ('step') is global and assumed valid"), so that a turn of the loop
//! is a call and a test, whatever the bound. Inlined, the same walk is twenty times as many
//! verified instructions; with `bpf_loop` it would need 5.17.

use probe_abi::{
    miss::Miss,
    native::{FINE_STEP, STACK_SIZE, STEP},
    process::RawInterpreter,
    python::{LINKS, NODES, RawLayout, RawStack, StackResult, UNCOUNTED, UNSUPPORTED},
};

use crate::{
    frame, maps,
    native::{self, Registers},
    python,
    scratch::{self, Scratch, Slot},
};

/// Looks at one node of the lists of interpreters and thread states; 0 means go on.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_find(slot: Slot) -> u32 {
    step(slot, python::find)
}

/// Looks at one link of the chain of frames, and writes what it finds; 0 means go on.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_frame(slot: Slot) -> u32 {
    step(slot, frame::frame)
}

/// Counts one frame without writing it; 0 means go on.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_count(slot: Slot) -> u32 {
    step(slot, frame::count)
}

/// Writes the code object at the cursor as a function that is to be called; 0 means it is there.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_function(slot: Slot) -> u32 {
    step(slot, frame::function)
}

/// Copies a piece of the stack; 0 means go on.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_stack(slot: Slot) -> u32 {
    match scratch::row(slot) {
        Ok(scratch) => native::step(scratch),
        Err(_) => 1,
    }
}

/// Copies a small piece of the stack; 0 means go on.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_stack_end(slot: Slot) -> u32 {
    match scratch::row(slot) {
        Ok(scratch) => native::fine_step(scratch),
        Err(_) => 1,
    }
}

#[inline(always)]
fn step(slot: Slot, step: impl FnOnce(&mut Scratch, &RawLayout) -> u32) -> u32 {
    let Ok(scratch) = scratch::row(slot) else {
        return 1;
    };
    let Ok(layout) = maps::layout(scratch.layout) else {
        return 1;
    };
    step(scratch, layout)
}

/// Fills the record's `python` part and its frames for the calling thread.
#[inline(always)]
pub fn python(slot: Slot, scratch: &mut Scratch, interpreter: &RawInterpreter) {
    scratch.layout = interpreter.layout;
    scratch.position = 0;
    scratch.frames = 0;
    scratch.record.python = RawStack {
        thread_state: 0,
        interpreter: -1,
        interpreters: interpreter.interpreters,
        frames: 0,
        left_out: 0,
        size: 0,
        version: 0,
        flags: 0,
        result: StackResult::NONE,
        miss: 0,
    };
    if interpreter.interpreters == 0 {
        return;
    }
    if let Err(miss) = try_python(slot, scratch, interpreter) {
        maps::miss(miss);
        scratch.record.python.result = StackResult::FAILED;
        scratch.record.python.miss = miss as u16;
    }
    scratch.record.python.frames = scratch.frames;
    scratch.record.python.size = scratch.position as u32;
}

#[inline(always)]
fn try_python(slot: Slot, scratch: &mut Scratch, interpreter: &RawInterpreter) -> Result<(), Miss> {
    if interpreter.layout == UNSUPPORTED {
        return Err(Miss::NoLayout);
    }
    let layout = maps::layout(interpreter.layout)?;
    scratch.record.python.version = layout.version;
    python::start(scratch, layout, interpreter)?;
    let mut ended = scratch.found_thread != 0;
    if !ended {
        for _ in 0..NODES {
            let end = walk_find(slot);
            if end == python::UNREADABLE {
                return Err(Miss::Interpreters);
            }
            if end != 0 {
                ended = true;
                break;
            }
        }
    }
    if !ended && scratch.found_thread == 0 {
        return Err(Miss::NodeBound);
    }
    if !python::found(scratch, layout) {
        return Ok(());
    }
    for _ in 0..LINKS {
        if walk_frame(slot) != 0 {
            break;
        }
    }
    if scratch.frame == 0 {
        if scratch.frames == 0 {
            // Nothing but shims: the thread is in no Python function.
            scratch.record.python.result = StackResult::NONE;
        }
        return Ok(());
    }
    // Too deep or too long: count the frames that are left and keep the outermost one.
    scratch.record.python.result = StackResult::TRUNCATED;
    for _ in 0..UNCOUNTED {
        if walk_count(slot) != 0 {
            break;
        }
    }
    if scratch.frame != 0 {
        maps::miss(Miss::LinkBound);
    } else if scratch.outermost != 0 {
        scratch.frame = scratch.outermost;
        scratch.last = 1;
        scratch.crossed = 0;
        let before = scratch.frames;
        walk_frame(slot);
        if scratch.frames > before {
            scratch.record.python.left_out = scratch.record.python.left_out.wrapping_sub(1);
        }
    }
    Ok(())
}

/// Fills the record's `native` part and appends the copy of the stack.
#[inline(always)]
pub fn native(slot: Slot, scratch: &mut Scratch, registers: Result<Registers, Miss>, spent: u64) {
    if let Err(miss) = native::start(scratch, registers, spent) {
        maps::miss(miss);
        return;
    }
    let mut stopped = false;
    for _ in 0..(STACK_SIZE / STEP) as u32 + 1 {
        if walk_stack(slot) != 0 {
            stopped = true;
            break;
        }
    }
    if stopped && !native::is_cut(scratch) {
        for _ in 0..(STEP / FINE_STEP) as u32 {
            if walk_stack_end(slot) != 0 {
                break;
            }
        }
    }
    if scratch.record.native.size == 0 && !native::is_cut(scratch) {
        maps::miss(Miss::UserStack);
    }
}
