//! Who calls, and what the kernel keeps for them: the one path into `task_struct`.

#![forbid(unsafe_code)]

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid};
use probe_abi::record::{Kind, RawDisposition, RawFile, RawHeader, RawLifecycle, SIGNALS};

use crate::{
    maps::{Number, kernel},
    read::{kernel_half, kernel_word},
};

/// Process id of the current task.
#[inline(always)]
pub fn tgid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// Process id and thread id in one word: the key of what a thread leaves for itself.
#[inline(always)]
pub fn thread() -> u64 {
    bpf_get_current_pid_tgid()
}

/// Address of the current `task_struct`.
#[inline(always)]
pub fn current() -> u64 {
    crate::emit::current_task()
}

/// Process id of a task.
#[inline(always)]
pub fn tgid_of(task: u64) -> u32 {
    kernel_half(task + kernel(|k| &k.task_tgid))
}

/// Start of a task's process, `CLOCK_BOOTTIME` nanoseconds.
#[inline(always)]
pub fn start_of(task: u64) -> u64 {
    let leader = kernel_word(task + kernel(|k| &k.task_leader));
    kernel_word(leader + kernel(|k| &k.task_start))
}

/// Address of a task's memory descriptor; alike where two tasks share their memory.
#[inline(always)]
pub fn memory_of(task: u64) -> u64 {
    kernel_word(task + kernel(|k| &k.task_mm))
}

/// Address of a task's table of handlers; alike where two tasks share it.
#[inline(always)]
pub fn handlers_of(task: u64) -> u64 {
    kernel_word(task + kernel(|k| &k.task_sighand))
}

/// Whether no thread of the task's process lives any more.
///
/// `do_exit` counts `signal->live` down before it reaches the tracepoint (`kernel/exit.c`,
/// 5.10 to 7.3).
#[inline(always)]
pub fn is_last(task: u64) -> bool {
    let signal = kernel_word(task + kernel(|k| &k.task_signal));
    signal != 0 && kernel_half(signal + kernel(|k| &k.signal_live)) == 0
}

/// The thread pointer: `pthread_self()` of the thread, or a constant beside it.
#[inline(always)]
pub fn thread_pointer(task: u64) -> u64 {
    kernel_word(task + kernel(|k| &k.task_thread_pointer))
}

/// What stands in the task's table of handlers for a signal.
///
/// The truth, unlike the struct in the caller's memory, which another thread may rewrite
/// during the call. A number that is no signal gives the default.
#[inline(always)]
pub fn disposition(task: u64, signal: u64) -> RawDisposition {
    if signal < 1 || signal > SIGNALS as u64 {
        return RawDisposition {
            handler: 0,
            flags: 0,
            mask: 0,
        };
    }
    let row = handlers_of(task)
        + kernel(|k| &k.sighand_action)
        + (signal - 1) * kernel(|k| &k.action_size);
    action_at(row)
}

/// A `k_sigaction` in kernel memory.
#[inline(always)]
pub fn action_at(address: u64) -> RawDisposition {
    RawDisposition {
        handler: kernel_word(address + kernel(|k| &k.action_handler)),
        flags: kernel_word(address + kernel(|k| &k.action_flags)),
        mask: kernel_word(address + kernel(|k| &k.action_mask)),
    }
}

/// Fills a record's head for the current task.
#[inline(always)]
pub fn fill(header: &mut RawHeader, kind: Kind, now: u64, size: u32, number: Number) {
    let id = bpf_get_current_pid_tgid();
    header.when = now;
    header.start = start_of(current());
    header.sequence = number.sequence;
    header.size = size;
    header.cpu = number.cpu;
    header.tgid = (id >> 32) as u32;
    header.tid = id as u32;
    header.uid = bpf_get_current_uid_gid() as u32;
    header.kind = kind;
    header.reserved = 0;
}

/// A record about the current process, its body still zero.
#[inline(always)]
pub fn lifecycle(kind: Kind, number: Number) -> RawLifecycle {
    let mut record = RawLifecycle {
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
        other_start: 0,
        file: RawFile {
            inode: 0,
            device: 0,
            generation: 0,
        },
        other: 0,
        flags: 0,
    };
    fill(
        &mut record.header,
        kind,
        crate::emit::now(),
        size_of::<RawLifecycle>() as u32,
        number,
    );
    record
}
