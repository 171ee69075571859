//! Hook: uprobe on `Py_InitializeFromConfig` of each file that carries a CPython runtime.
//!
//! Since: 5.15 (attach cookies)
//! Fires when: an interpreter starts, before its first line runs.
//! Emits: nothing; it fills the process's row.
//! Why this hook: user space would learn of a new interpreter only after it had run. CPython
//! 3.8 and later reach this function on every way of starting.

#![forbid(unsafe_code)]

use aya_ebpf::{macros::uprobe, programs::ProbeContext};
use probe_abi::{
    miss::{Miss, Tally},
    process::{COOKIE_DISTANCE, COOKIE_LAYOUT_SHIFT, RawProcess},
};

use crate::{
    maps::{self, PROCESSES, tally},
    read, task,
};

/// An interpreter starts in the current process.
#[uprobe]
pub fn interpreter(ctx: ProbeContext) -> u32 {
    tally(try_interpreter(&ctx));
    0
}

#[inline(always)]
fn try_interpreter(ctx: &ProbeContext) -> Result<(), Miss> {
    let tgid = task::tgid();
    let row = maps::process(tgid).ok_or(Miss::Unwatched)?;
    let cookie = read::cookie(ctx);
    // `_PyRuntime` is as far from the probed function in memory as it is in the file.
    let runtime = read::instruction(ctx).wrapping_add(cookie & COOKIE_DISTANCE);
    let known = RawProcess {
        runtime,
        window: row.window,
        spent: row.spent,
        folded: row.folded,
        layout: (cookie >> COOKIE_LAYOUT_SHIFT) as u32,
        flags: row.flags,
    };
    PROCESSES
        .insert(tgid, known, 0)
        .map_err(|_| Miss::ProcessesFull)?;
    maps::count(Tally::InterpreterStart);
    Ok(())
}
