//! The loops around `python`, in the one shape that every kernel from 5.10 on verifies cheaply.
//!
//! A plain bounded `for` calls a *global* function (`extern "C"`, `no_mangle`, never inlined,
//! scalar argument) that finds all its state in the scratch row. The verifier looks at such a
//! function once ("Func#2 ('step') is global and assumed valid"), so that a turn of the loop
//! is a call and a test, whatever the bound. Inlined, the same walk is twenty times as many
//! verified instructions; with `bpf_loop` it would need 5.17.

use probe_abi::{
    miss::Miss,
    python::{FRAMES, NODES, RawStack, StackResult, UNCOUNTED},
};

use crate::{
    maps::{self, Scratch},
    python,
};

/// Looks at one node of the lists of interpreters and thread states; 0 means go on.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_find(_turn: u32) -> u32 {
    let Ok(scratch) = maps::scratch() else {
        return 1;
    };
    let Ok(layout) = maps::layout(scratch.layout) else {
        return 1;
    };
    python::find(scratch, layout)
}

/// Writes one frame; 0 means go on.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_frame(_turn: u32) -> u32 {
    let Ok(scratch) = maps::scratch() else {
        return 1;
    };
    let Ok(layout) = maps::layout(scratch.layout) else {
        return 1;
    };
    python::frame(scratch, layout)
}

/// Counts one frame without writing it; 0 means go on.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn walk_count(_turn: u32) -> u32 {
    let Ok(scratch) = maps::scratch() else {
        return 1;
    };
    let Ok(layout) = maps::layout(scratch.layout) else {
        return 1;
    };
    python::count(scratch, layout)
}

/// Fills the record's `python` part and its frames for the calling thread.
#[inline(always)]
pub fn stack(scratch: &mut Scratch, runtime: u64, layout: u32) {
    scratch.layout = layout;
    scratch.position = 0;
    scratch.frames = 0;
    scratch.record.python = RawStack {
        thread_state: 0,
        interpreter: -1,
        runtime,
        frames: 0,
        left_out: 0,
        size: 0,
        layout,
        flags: 0,
        result: StackResult::NONE,
        miss: 0,
    };
    if runtime == 0 {
        return;
    }
    if let Err(miss) = try_stack(scratch, runtime, layout) {
        maps::miss(miss);
        scratch.record.python.result = StackResult::FAILED;
        scratch.record.python.miss = miss as u16;
    }
    scratch.record.python.frames = scratch.frames;
    scratch.record.python.size = scratch.position as u32;
}

#[inline(always)]
fn try_stack(scratch: &mut Scratch, runtime: u64, layout: u32) -> Result<(), Miss> {
    let layout = maps::layout(layout)?;
    python::start(scratch, layout, runtime)?;
    let mut ended = scratch.found_thread != 0;
    if !ended {
        for turn in 0..NODES {
            if walk_find(turn) != 0 {
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
    let mut complete = false;
    for turn in 0..FRAMES {
        if walk_frame(turn) != 0 {
            complete = true;
            break;
        }
    }
    if complete && scratch.frame == 0 {
        return Ok(());
    }
    // Too deep or too long: count the frames that are left and keep the outermost one.
    scratch.record.python.result = StackResult::TRUNCATED;
    for turn in 0..UNCOUNTED {
        if walk_count(turn) != 0 {
            break;
        }
    }
    if scratch.outermost != 0 && scratch.frame == 0 {
        scratch.frame = scratch.outermost;
        let before = scratch.frames;
        walk_frame(0);
        if scratch.frames > before {
            scratch.record.python.left_out = scratch.record.python.left_out.wrapping_sub(1);
        }
    }
    Ok(())
}
