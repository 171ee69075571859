//! A call is told once, however often its file is probed.
//!
//! One file may have several names for user space: each overlay mount, and so each container of an
//! image, has numbers of its own for the inode that all of them share; btrfs shows one number in `maps`
//! and another by `stat`. Each name is probed once, and the kernel then runs the program once for
//! each. What tells these runs apart is the cookie of the attachment (5.15 and later).

use aya_ebpf::{EbpfContext as _, helpers::generated as helper, programs::ProbeContext};

use crate::{
    emit,
    maps::{HITS, kernel},
    read, task,
};

/// Attachments run one right after the other, but for interrupts. Longer ago, the attachment that came
/// first then may be gone by now.
const MOMENT: u64 = 1_000_000_000;

/// What a thread's last hit was that counts.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Hit {
    cookie: u64,
    instruction: u64,
    stack: u64,
    when: u64,
}

/// Whether this run is another attachment's for the call that was just told; if not, it is noted.
#[inline(always)]
pub fn is_repeated(ctx: &ProbeContext) -> bool {
    if kernel(|k| &k.has_cookie) == 0 {
        // On such a kernel the verifier sees that the rest is never reached.
        return false;
    }
    let thread = task::thread();
    let hit = Hit {
        // SAFETY: the helper takes the context that the kernel gave.
        cookie: unsafe { helper::bpf_get_attach_cookie(ctx.as_ptr()) },
        instruction: read::instruction(ctx),
        stack: read::stack(ctx),
        when: emit::now(),
    };
    if let Some(row) = HITS.get_ptr(thread) {
        // SAFETY: a live element, valid for every bit pattern, that this thread alone writes. Were it
        // given to another thread meanwhile, a call may be told twice.
        let last = unsafe { *row };
        let is_same_call = last.instruction == hit.instruction && last.stack == hit.stack;
        let is_now = hit.when.wrapping_sub(last.when) < MOMENT;
        if last.cookie != hit.cookie && is_same_call && is_now {
            return true;
        }
    }
    // Where there is no room, a call may be told twice.
    let _ = HITS.insert(thread, hit, 0);
    false
}
