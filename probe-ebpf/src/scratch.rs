//! Where a record is built: rows that belong to a processor, and rows that are claimed.
//!
//! A program that cannot be preempted uses its processor's row: tracepoints run with preemption
//! off, and the kernel does not enter `fexit` programs twice on one processor. Uprobes can be
//! preempted (seen on Linux 6.12 with `preempt=full`: one row for each processor was overwritten by
//! another thread in 2 of 100 runs), so that they claim a row for as long as they run.

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::generated as helper};
use probe_abi::{
    map::CLAIMED_ROWS,
    miss::Miss,
    native::STACK_SIZE,
    python::{FILE_SIZE, NAME_SIZE, RECORD_SIZE, TABLE_SIZE},
    record::{RawHeader, RawRegistration},
};

use crate::maps::{CLAIMS, Number, SCRATCH};

/// Rows that are tried before a program gives up.
const TRIES: u32 = 8;

/// Bytes of frames that a record can hold.
pub const TAIL: usize = RECORD_SIZE;
/// Bytes behind the frames: for the copy of the stack, or, while frames are written, so that a
/// masked position plus a capped length stays inside.
pub const SLACK: usize = STACK_SIZE;
const _: () = assert!(SLACK >= TABLE_SIZE + FILE_SIZE + NAME_SIZE + 64);
/// Words of the tail with its slack.
pub const TAIL_WORDS: usize = (TAIL + SLACK) / 8;

/// The walk's cursor, its buffers, and the record being built.
///
/// The cursor lives here and not in registers so that the verifier sees the same state on
/// each turn of the loop (`walk.rs`).
#[repr(C)]
pub struct Scratch {
    /// Index of the layout row.
    pub layout: u32,
    /// Frames written so far.
    pub frames: u32,
    /// The calling thread's thread pointer.
    pub thread_pointer: u64,
    /// The interpreter to look at when the list of thread states ends.
    pub interpreter: u64,
    /// The interpreter whose thread states are being looked at.
    pub here: u64,
    /// The thread state to look at.
    pub thread: u64,
    /// The thread state found, its interpreter and its innermost frame.
    pub found_thread: u64,
    pub found_interpreter: u64,
    pub found_frame: u64,
    /// The frame to look at.
    pub frame: u64,
    /// Beyond the written frames: the last one that a traceback shows.
    pub outermost: u64,
    /// Whether the outermost frame is being written, for which there is always room.
    pub last: u64,
    /// Whether native code lies between the last frame written and the next.
    pub crossed: u64,
    /// Most bytes of the stack to copy.
    pub stack_limit: u64,
    /// Code object and file name of the frame before.
    pub code_before: u64,
    pub file_before: u64,
    /// Bytes of the tail in use.
    pub position: u64,
    /// Records made in this row by those who claimed it.
    pub sequence: u64,
    pub frame_copy: [u64; 16],
    pub code_copy: [u64; 32],
    pub text_copy: [u64; 8],
    /// Or a [`probe_abi::record::RawIntercept`], which has what a walk fills in at the same places.
    pub record: RawRegistration,
    pub tail: [u64; TAIL_WORDS],
}

/// Which row of `SCRATCH`: what the steps of a walk are told, for the verifier takes a number from
/// anywhere and a pointer only since 5.12.
pub type Slot = u32;

/// This processor's row, for programs that cannot be preempted.
#[inline(always)]
pub fn of_processor() -> Slot {
    // SAFETY: the helper has no precondition.
    unsafe { helper::bpf_get_smp_processor_id() }.wrapping_add(CLAIMED_ROWS)
}

/// Claims a row for a program that can be preempted; [`release`] gives it back.
///
/// The insertion is the claim: the target has no compare-and-swap.
#[inline(always)]
pub fn claim() -> Result<Slot, Miss> {
    let first = crate::emit::processor();
    for turn in 0..TRIES {
        let slot = first.wrapping_add(turn) % CLAIMED_ROWS;
        if CLAIMS.insert(slot, 1, BPF_NOEXIST.into()).is_ok() {
            return Ok(slot);
        }
    }
    Err(Miss::NoScratch)
}

/// Gives a claimed row back.
#[inline(always)]
pub fn release(slot: Slot) {
    let _ = CLAIMS.remove(slot);
}

/// A row.
#[inline(always)]
pub fn row(slot: Slot) -> Result<&'static mut Scratch, Miss> {
    let row = SCRATCH.get_ptr_mut(slot).ok_or(Miss::NoScratch)?;
    // SAFETY: a live array element, aligned to eight, valid for every bit pattern. It is this
    // program's alone while it runs: its processor's, or claimed.
    Ok(unsafe { &mut *row })
}

/// The place of the next record in the stream, for who claimed a row. The row's own count, because
/// another program may send a record of this processor before this one is sent.
#[inline(always)]
pub fn number(slot: Slot, scratch: &mut Scratch) -> Number {
    scratch.sequence = scratch.sequence.wrapping_add(1);
    Number {
        cpu: RawHeader::CLAIMED | slot,
        sequence: scratch.sequence,
    }
}
