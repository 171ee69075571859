//! Hook: raw `sched_process_fork`, `sched_process_exec`, `sched_process_exit`.
//!
//! Since: 5.10
//! Fires when: a watched process forks, runs another program or ends; any process runs a
//! program that user space has not looked at yet.
//! Emits: `RawLifecycle`
//! Why this hook: the raw fork tracepoint gives both tasks, before the child runs, so that the
//! child's row is there before its first instruction; the ordinary one gives a thread id.

#![forbid(unsafe_code)]

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use probe_abi::{
    miss::{Miss, Tally},
    process::{PROGRAM_HTTPD, PROGRAM_OTHER, RawProcess, RawWindow},
    record::{Kind, RawFile, RawLifecycle},
};

use crate::{
    emit,
    maps::{self, PROCESSES, PROGRAMS, kernel, tally},
    read::{self, kernel_half, kernel_word},
    task,
};

/// A process or a thread is made; the current task is the parent.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn lifecycle_fork(ctx: RawTracePointContext) -> i32 {
    tally(try_fork(ctx.arg(0), ctx.arg(1)));
    0
}

/// A process runs another program.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn lifecycle_exec(ctx: RawTracePointContext) -> i32 {
    tally(try_exec(ctx.arg(2)));
    0
}

/// A thread ends; the current task is that thread.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn lifecycle_exit(_ctx: RawTracePointContext) -> i32 {
    tally(try_exit());
    0
}

#[inline(always)]
fn try_fork(parent: u64, child: u64) -> Result<(), Miss> {
    let Some(row) = maps::process(task::tgid_of(parent)) else {
        return Ok(());
    };
    let tgid = task::tgid_of(child);
    if tgid == task::tgid_of(parent) {
        return Ok(());
    }
    let shares_memory = task::memory_of(parent) == task::memory_of(child);
    let shares_handlers = task::handlers_of(parent) == task::handlers_of(child);
    // What a child sets in a table that it shares, the parent has: such a child is never
    // exempt. With the memory shared and the table its own, it is a vfork or a posix_spawn.
    let mut flags = row.flags;
    if shares_memory && !shares_handlers {
        flags |= RawProcess::EXEMPT;
        maps::count(Tally::SharedChild);
    }
    let copy = RawProcess {
        interpreters: row.interpreters,
        current: row.current,
        registrations: RawWindow::NEW,
        attempts: RawWindow::NEW,
        signals: RawWindow::NEW,
        layout: row.layout,
        flags,
    };
    PROCESSES
        .insert(tgid, copy, 0)
        .map_err(|_| Miss::ProcessesFull)?;
    if flags & RawProcess::EXEMPT != 0 {
        return Ok(());
    }
    let mut record = task::lifecycle(Kind::FORK, maps::number());
    record.other = tgid;
    record.other_start = task::start_of(child);
    record.flags = if shares_handlers {
        RawLifecycle::SHARES_HANDLERS
    } else {
        0
    };
    emit::lifecycle(&record)
}

#[inline(always)]
fn try_exec(program: u64) -> Result<(), Miss> {
    let tgid = task::tgid();
    let exempt = maps::process(tgid).map(|row| row.flags & RawProcess::EXEMPT != 0);
    if exempt.is_some() {
        let _ = PROCESSES.remove(tgid);
    }
    let file = file_of(program);
    match read::program(&PROGRAMS, file) {
        PROGRAM_HTTPD => watch(tgid)?,
        // Nobody's business, unless user space follows this process.
        PROGRAM_OTHER if exempt != Some(false) => return Ok(()),
        _ => {}
    }
    let mut record = task::lifecycle(Kind::EXEC, maps::number());
    record.file = file;
    emit::lifecycle(&record)
}

/// Watches a process that runs an httpd. Its interpreter is not known yet.
#[inline(always)]
fn watch(tgid: u32) -> Result<(), Miss> {
    let row = RawProcess {
        interpreters: 0,
        current: 0,
        registrations: RawWindow::NEW,
        attempts: RawWindow::NEW,
        signals: RawWindow::NEW,
        layout: 0,
        flags: 0,
    };
    PROCESSES
        .insert(tgid, row, 0)
        .map_err(|_| Miss::ProcessesFull)
}

/// The key of the file that `struct linux_binprm` runs.
#[inline(always)]
fn file_of(program: u64) -> RawFile {
    let file = kernel_word(program + kernel(|k| &k.binprm_file));
    let inode = kernel_word(file + kernel(|k| &k.file_inode));
    let superblock = kernel_word(inode + kernel(|k| &k.inode_super));
    RawFile {
        inode: kernel_word(inode + kernel(|k| &k.inode_number)),
        device: kernel_half(superblock + kernel(|k| &k.super_device)),
        generation: kernel_half(inode + kernel(|k| &k.inode_generation)),
    }
}

#[inline(always)]
fn try_exit() -> Result<(), Miss> {
    let tgid = task::tgid();
    let Some(row) = maps::process(tgid) else {
        return Ok(());
    };
    let exempt = row.flags & RawProcess::EXEMPT != 0;
    maps::forget(task::thread());
    let current = task::current();
    if !task::is_last(current) {
        return Ok(());
    }
    let _ = PROCESSES.remove(tgid);
    if exempt {
        return Ok(());
    }
    let mut record = task::lifecycle(Kind::EXIT, maps::number());
    record.other = kernel_half(current + kernel(|k| &k.task_exit_code));
    emit::lifecycle(&record)
}
