//! Hook: `rt_sigaction`, entry and exit.
//!
//! Since: 5.10 (fentry and fexit on `do_sigaction`; the syscall tracepoints as the lower rung)
//! Fires when: a watched process sets a disposition; reads (`act == NULL`) end here.
//! Emits: `RawRegistration`, with the calling thread's Python frames and native stack
//! Why this hook: a C library's own wrapper, a raw system call and Python all end in it.

#![forbid(unsafe_code)]

use aya_ebpf::{
    macros::{fentry, fexit, tracepoint},
    programs::{FEntryContext, FExitContext, TracePointContext},
};
use probe_abi::{
    miss::Miss,
    process::RawInterpreter,
    record::{Kind, RawDisposition},
};

use crate::{
    emit,
    maps::{self, Stash, kernel, tally},
    native,
    read::{context, field, user_words},
    scratch, task, walk,
};

/// The lower rung's entry: `syscalls:sys_enter_rt_sigaction`.
#[tracepoint]
pub fn registration_enter(ctx: TracePointContext) -> u32 {
    tally(try_enter(&ctx));
    0
}

/// The lower rung's exit: `syscalls:sys_exit_rt_sigaction`.
#[tracepoint]
pub fn registration_exit(ctx: TracePointContext) -> u32 {
    tally(try_exit(&ctx));
    0
}

/// The upper rung's entry. `oact` is null for most callers, so that the old disposition can
/// only be read before the call.
#[fentry(function = "do_sigaction")]
pub fn registration_before(ctx: FEntryContext) -> i32 {
    tally(try_before(&ctx));
    0
}

/// The upper rung's exit.
#[fexit(function = "do_sigaction")]
pub fn registration_after(ctx: FExitContext) -> i32 {
    tally(try_after(&ctx));
    0
}

#[inline(always)]
fn try_enter(ctx: &TracePointContext) -> Result<(), Miss> {
    let Some(process) = maps::process(task::tgid()) else {
        return Ok(());
    };
    let action = context(ctx, kernel(|k| &k.enter_action));
    if action == 0 {
        return Ok(());
    }
    if maps::is_exempt(process) {
        return Ok(());
    }
    let signal = context(ctx, kernel(|k| &k.enter_signal)) & 0xffff_ffff;
    let old = task::disposition(task::current(), signal);
    maps::stash(
        task::thread(),
        &Stash {
            old,
            asked: asked(action),
            signal,
        },
    )
}

/// What the caller asks for, from its own struct: handler, flags, restorer, mask, as the
/// kernel's own `struct sigaction` of x86_64 and aarch64 has them.
#[inline(always)]
fn asked(action: u64) -> RawDisposition {
    let mut copy = [0_u64; 8];
    if !user_words(&mut copy, 32, action) {
        // The kernel will not be able to read it either, and fail the call with EFAULT.
        maps::miss(Miss::Arguments);
    }
    RawDisposition {
        handler: field(&copy, 0),
        flags: field(&copy, 8),
        mask: field(&copy, 24),
    }
}

#[inline(always)]
fn try_exit(ctx: &TracePointContext) -> Result<(), Miss> {
    let Some(stash) = maps::unstash(task::thread()) else {
        return Ok(());
    };
    let result = context(ctx, kernel(|k| &k.exit_result));
    finish(&stash, result as i32)
}

#[inline(always)]
fn try_before(ctx: &FEntryContext) -> Result<(), Miss> {
    let Some(process) = maps::process(task::tgid()) else {
        return Ok(());
    };
    if ctx.arg::<u64>(1) == 0 || maps::is_exempt(process) {
        return Ok(());
    }
    let signal = u64::from(ctx.arg::<u32>(0));
    let old = task::disposition(task::current(), signal);
    let asked = RawDisposition {
        handler: 0,
        flags: 0,
        mask: 0,
    };
    maps::stash(task::thread(), &Stash { old, asked, signal })
}

#[inline(always)]
fn try_after(ctx: &FExitContext) -> Result<(), Miss> {
    let Some(mut stash) = maps::unstash(task::thread()) else {
        return Ok(());
    };
    // The kernel's own copy of the struct, out of the caller's reach.
    stash.asked = task::action_at(ctx.arg::<u64>(1));
    // The result is the argument after the last: `bpf_get_func_ret` is unknown to 5.10.
    finish(&stash, ctx.arg::<i32>(3))
}

/// Builds the record and sends it.
#[inline(always)]
fn finish(stash: &Stash, result: i32) -> Result<(), Miss> {
    let tgid = task::tgid();
    let now = emit::now();
    let Some(process) = maps::process(tgid) else {
        return Ok(());
    };
    let interpreter = RawInterpreter {
        interpreters: process.interpreters,
        current: process.current,
        layout: process.layout,
        reserved: 0,
    };
    let Some(charge) = maps::charge_registration(tgid, now) else {
        return Err(Miss::RateLimited);
    };
    let slot = scratch::of_processor();
    let scratch = scratch::row(slot)?;
    scratch.record.old = stash.old;
    scratch.record.new = task::disposition(task::current(), stash.signal);
    scratch.record.asked = stash.asked;
    scratch.record.folded = charge.swallowed;
    scratch.record.signal = stash.signal as u32;
    scratch.record.result = result;
    walk::python(slot, scratch, &interpreter);
    walk::native(slot, scratch, native::of_call(stash.signal), charge.spent);
    let size = emit::length(scratch.position);
    task::fill(
        &mut scratch.record.header,
        Kind::REGISTRATION,
        now,
        size as u32,
        maps::number(),
    );
    emit::record(scratch)
}
