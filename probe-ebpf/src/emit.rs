//! The ring: the only way from here to user space. A full ring is counted.

use aya_ebpf::helpers::generated as helper;
use probe_abi::{
    miss::Miss,
    record::{RawLifecycle, RawRegistration, RawSignal},
};

use crate::{
    maps::EVENTS,
    scratch::{Scratch, TAIL_WORDS},
};

/// Nanoseconds on `CLOCK_BOOTTIME`.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper has no precondition.
    unsafe { helper::bpf_ktime_get_boot_ns() }
}

/// The processor that runs this program.
#[inline(always)]
pub fn processor() -> u32 {
    // SAFETY: the helper has no precondition.
    unsafe { helper::bpf_get_smp_processor_id() }
}

/// Address of the current `task_struct`.
#[inline(always)]
pub fn current_task() -> u64 {
    // SAFETY: the helper has no precondition.
    unsafe { helper::bpf_get_current_task() as u64 }
}

/// The length of the record that a scratch row holds.
#[inline(always)]
pub fn length(position: u64) -> u64 {
    const TAIL_SIZE: u64 = TAIL_WORDS as u64 * 8;
    let tail = if position > TAIL_SIZE {
        TAIL_SIZE
    } else {
        position
    };
    size_of::<RawRegistration>() as u64 + tail
}

/// Sends the record that a scratch row holds, with its frames.
#[inline(always)]
pub fn record(scratch: &Scratch) -> Result<(), Miss> {
    let length = length(scratch.position);
    // SAFETY: `record` and `tail` are neighbours in a `repr(C)` struct without a hole between
    // them, and `length` is at most the size of both.
    let sent = unsafe {
        helper::bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast(),
            (&raw const scratch.record).cast_mut().cast(),
            length,
            0,
        )
    };
    if sent == 0 {
        Ok(())
    } else {
        Err(Miss::RingFull)
    }
}

/// Sends a signal's record.
#[inline(always)]
pub fn signal(record: &RawSignal) -> Result<(), Miss> {
    // SAFETY: the record is initialised as a whole, and its size is that of its type.
    let sent = unsafe {
        helper::bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast(),
            (&raw const *record).cast_mut().cast(),
            size_of::<RawSignal>() as u64,
            0,
        )
    };
    if sent == 0 {
        Ok(())
    } else {
        Err(Miss::RingFull)
    }
}

/// Sends a birth, a change of program or of configuration, or a death.
#[inline(always)]
pub fn lifecycle(record: &RawLifecycle) -> Result<(), Miss> {
    // SAFETY: the record is initialised as a whole, and its size is that of its type.
    let sent = unsafe {
        helper::bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast(),
            (&raw const *record).cast_mut().cast(),
            size_of::<RawLifecycle>() as u64,
            0,
        )
    };
    if sent == 0 {
        Ok(())
    } else {
        Err(Miss::RingFull)
    }
}
