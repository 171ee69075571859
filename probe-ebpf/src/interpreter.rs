//! Hook: uprobe on the function that starts an interpreter, in each file that carries CPython.
//!
//! Since: 5.10
//! Fires when: an interpreter starts, before its first line runs.
//! Emits: nothing; it fills the process's row.
//! Why this hook: user space would learn of a new interpreter only after it had run. CPython
//! 3.8 and later reach `Py_InitializeFromConfig` on every way of starting, 3.6 and 3.7
//! `Py_InitializeEx`.

#![forbid(unsafe_code)]

use aya_ebpf::{macros::uprobe, programs::ProbeContext};
use probe_abi::{
    miss::{Miss, Tally},
    process::{RawProcess, RawStart, START_CODE, START_PAGE, START_SKIP},
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
    let address = read::instruction(ctx);
    let mut function = RawStart {
        offset: address & (START_PAGE - 1),
        code: [0; START_CODE],
    };
    read::user_array(&mut function.code, address.wrapping_add(START_SKIP));
    let interpreter = maps::start(&function).ok_or(Miss::StartUnknown)?;
    let current = if interpreter.current == 0 {
        0
    } else {
        address.wrapping_add(interpreter.current)
    };
    // What is searched for is as far from the function in memory as it is in the file.
    let known = RawProcess {
        interpreters: address.wrapping_add(interpreter.interpreters),
        current,
        registrations: row.registrations,
        attempts: row.attempts,
        signals: row.signals,
        layout: interpreter.layout,
        flags: row.flags,
    };
    PROCESSES
        .insert(tgid, known, 0)
        .map_err(|_| Miss::ProcessesFull)?;
    maps::count(Tally::InterpreterStart);
    Ok(())
}
