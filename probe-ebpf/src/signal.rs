//! Hook: raw `signal_generate` and `signal_deliver`.
//!
//! Since: 5.10
//! Fires when: a signal by which servers stop, restart or recycle is sent to a watched process, or
//! one of its threads is about to run that signal's handler or default.
//! Emits: `RawSignal`
//! Why this hook: it is where every kind of sending ends, and it says what became of the signal at
//! once; the raw tracepoint has the target's own task, where the ordinary one has a thread's number.

#![forbid(unsafe_code)]

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use probe_abi::{
    miss::Miss,
    process::RawProcess,
    record::{Kind, RawDisposition, RawHeader, RawSignal},
};

use crate::{
    emit,
    maps::{self, kernel, tally},
    read::kernel_half,
    task,
};

/// `si_code` of `struct kernel_siginfo`, which begins like the `siginfo_t` that programs get: number,
/// errno, code (`include/uapi/asm-generic/siginfo.h`, 5.10 to 7.3, x86_64 and aarch64).
const SIGINFO_CODE: u64 = 8;
/// Instead of a `kernel_siginfo`: `SEND_SIG_NOINFO`, as by `kill`, and `SEND_SIG_PRIV`, by the kernel
/// (`include/linux/sched/signal.h`).
const NO_INFO: u64 = 0;
const BY_KERNEL: u64 = 1;
/// `SI_USER` and `SI_KERNEL`.
const SI_USER: i32 = 0;
const SI_KERNEL: i32 = 128;

/// A signal is sent; the current task is the sender, unless the kernel is.
#[raw_tracepoint(tracepoint = "signal_generate")]
pub fn signal_generate(ctx: RawTracePointContext) -> i32 {
    tally(try_generate(&ctx));
    0
}

/// A signal is taken; the current task is the receiver.
#[raw_tracepoint(tracepoint = "signal_deliver")]
pub fn signal_deliver(ctx: RawTracePointContext) -> i32 {
    tally(try_deliver(&ctx));
    0
}

#[inline(always)]
fn try_generate(ctx: &RawTracePointContext) -> Result<(), Miss> {
    let signal: u32 = ctx.arg(0);
    if !is_in(RawSignal::SENT, signal) {
        return Ok(());
    }
    let target: u64 = ctx.arg(2);
    let tgid = task::tgid_of(target);
    if !is_watched(tgid) {
        return Ok(());
    }
    let Some(mut record) = begin(Kind::SENT, tgid, signal, ctx.arg(1)) else {
        return Err(Miss::RateLimited);
    };
    record.target_start = task::start_of(target);
    record.target_tid = kernel_half(target + kernel(|k| &k.task_pid));
    record.group = (ctx.arg::<u32>(3) != 0) as u32;
    record.result = ctx.arg(4);
    emit::signal(&record)
}

#[inline(always)]
fn try_deliver(ctx: &RawTracePointContext) -> Result<(), Miss> {
    let signal: u32 = ctx.arg(0);
    if !is_in(RawSignal::TAKEN, signal) {
        return Ok(());
    }
    let tgid = task::tgid();
    if !is_watched(tgid) {
        return Ok(());
    }
    let Some(mut record) = begin(Kind::DELIVERED, tgid, signal, ctx.arg(1)) else {
        return Err(Miss::RateLimited);
    };
    let RawDisposition { handler, flags, .. } = task::action_at(ctx.arg(2));
    record.target_start = record.header.start;
    record.target_tid = record.header.tid;
    record.handler = handler;
    record.flags = flags;
    emit::signal(&record)
}

/// Whether a set of signals has this one; bit 0 is signal 1.
#[inline(always)]
fn is_in(set: u64, signal: u32) -> bool {
    let bit = signal.wrapping_sub(1);
    bit < 64 && set >> bit & 1 != 0
}

#[inline(always)]
fn is_watched(tgid: u32) -> bool {
    maps::process(tgid).is_some_and(|process| process.flags & RawProcess::EXEMPT == 0)
}

/// A record with what both kinds have; `None` where the target's limit is reached.
#[inline(always)]
fn begin(kind: Kind, target: u32, signal: u32, info: u64) -> Option<RawSignal> {
    let now = emit::now();
    let charge = maps::charge_signal(target, now)?;
    let code = match info {
        NO_INFO => SI_USER,
        BY_KERNEL => SI_KERNEL,
        info => kernel_half(info + SIGINFO_CODE) as i32,
    };
    let mut record = RawSignal {
        header: RawHeader {
            when: 0,
            start: 0,
            sequence: 0,
            size: 0,
            cpu: 0,
            tgid: 0,
            tid: 0,
            uid: 0,
            kind,
            reserved: 0,
        },
        target_start: 0,
        handler: 0,
        flags: 0,
        folded: charge.swallowed,
        target,
        target_tid: 0,
        signal,
        code,
        result: 0,
        group: 0,
    };
    let size = size_of::<RawSignal>() as u32;
    // An interrupt may send SIGXCPU between another program's number and its record: at worst that
    // passes for a loss, and the servers are looked at again.
    task::fill(&mut record.header, kind, now, size, maps::number());
    Some(record)
}
