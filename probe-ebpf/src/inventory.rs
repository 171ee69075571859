//! Hook: the task iterator (`iter/task`), read on demand.
//!
//! Since: 5.10 (task iterators came with 5.8, which nobody runs any more)
//! Fires when: user space reads the iterator's file; once per task.
//! Emits: `RawInventory` per watched process, through the iterator's own file.
//! Why this hook: it gives every disposition with the handler's address for processes that
//! were there before the agent, and costs nothing between reads.

use aya_ebpf::{bindings::seq_file, helpers::generated as helper};
use probe_abi::record::RawInventory;

use crate::{
    maps::{self, kernel},
    read::{kernel_bytes, kernel_half},
    task,
};

/// `struct bpf_iter__task`, which the kernel passes (`kernel/bpf/task_iter.c`).
#[repr(C)]
pub struct TaskContext {
    meta: *const *mut seq_file,
    task: *const u8,
}

/// Writes one row for a watched process's leader; other tasks are passed over.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
pub extern "C" fn inventory(ctx: *const TaskContext) -> i32 {
    // SAFETY: the kernel passes a valid context; both fields are pointers that the verifier
    // knows, the task null at the end of the walk.
    let (meta, leader) = unsafe { ((*ctx).meta, (*ctx).task as u64) };
    if leader == 0 {
        return 0;
    }
    let tgid = task::tgid_of(leader);
    if tgid != kernel_half(leader + kernel(|k| &k.task_pid)) || maps::process(tgid).is_none() {
        return 0;
    }
    let handlers = task::handlers_of(leader);
    let Some(row) = maps::inventory_row() else {
        return 0;
    };
    if handlers == 0 || !kernel_bytes(&mut row.actions, handlers + kernel(|k| &k.sighand_action)) {
        return 0;
    }
    row.start = task::start_of(leader);
    row.tgid = tgid;
    row.reserved = 0;
    // SAFETY: `meta` points to the iterator's `seq_file`; the row is as large as its type.
    unsafe {
        helper::bpf_seq_write(
            *meta,
            (&raw const *row).cast_mut().cast(),
            size_of::<RawInventory>() as u32,
        );
    }
    0
}
