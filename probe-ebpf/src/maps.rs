//! Every map and load-time global in one place: the object's whole public surface.
//!
//! Memory, written down because all of it is kernel memory:
//!
//! | map | bytes |
//! |---|---|
//! | `EVENTS` | 8 MiB |
//! | `SCRATCH` | 81 KiB for each possible processor, and 1.3 MiB for rows that are claimed |
//! | `PROCESSES` | 16,384 rows of 96 bytes, about 2.4 MiB with the table's own |
//! | `PROGRAMS` | 8,192 rows of 4 bytes, about 0.8 MiB with the table's own |
//! | `STARTS` | 1,024 rows of 24 bytes, about 0.2 MiB with the table's own |
//! | `STASH` | 4,096 rows of 56 bytes, about 0.5 MiB with the table's own |
//! | `HITS` | 4,096 rows of 32 bytes, about 0.4 MiB with the table's own |
//! | the rest | below 16 KiB |

use core::{cell::UnsafeCell, intrinsics::AtomicOrdering, ptr::read_volatile};

use aya_ebpf::{
    bindings::{BPF_EXIST, BPF_NOEXIST},
    helpers::generated as helper,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};
use probe_abi::{
    kernel::RawKernel,
    map::{
        CLAIMED_ROWS, EVENTS_SIZE, HITS_MAX, LAYOUTS_MAX, PROCESSES_MAX, PROGRAMS_MAX, STARTS_MAX,
        STASH_MAX,
    },
    miss::{MISSES as MISS_COUNT, Miss, TALLIES as TALLY_COUNT, Tally},
    process::{RATE_LIMIT, RATE_WINDOW, RawInterpreter, RawProcess, RawStart, RawWindow},
    python::RawLayout,
    record::{RawDisposition, RawFile, RawInventory},
};

use crate::{once::Hit, scratch::Scratch};

#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(EVENTS_SIZE, 0);
#[map]
pub static PROCESSES: HashMap<u32, RawProcess> = HashMap::with_max_entries(PROCESSES_MAX, 0);
#[map]
pub static PROGRAMS: LruHashMap<RawFile, u32> = LruHashMap::with_max_entries(PROGRAMS_MAX, 0);
#[map]
static STARTS: HashMap<RawStart, RawInterpreter> = HashMap::with_max_entries(STARTS_MAX, 0);
#[map]
static LAYOUTS: Array<RawLayout> = Array::with_max_entries(LAYOUTS_MAX, 0);
#[map]
static STASH: HashMap<u64, Stash> = HashMap::with_max_entries(STASH_MAX, 0);
/// Each thread's last hit of a uprobe, see `once.rs`.
#[map]
pub static HITS: LruHashMap<u64, Hit> = LruHashMap::with_max_entries(HITS_MAX, 0);
#[map]
static MISSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(MISS_COUNT, 0);
#[map]
static TALLIES: PerCpuArray<u64> = PerCpuArray::with_max_entries(TALLY_COUNT, 0);
#[map]
static SEQUENCE: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
#[map]
static ROW: PerCpuArray<RawInventory> = PerCpuArray::with_max_entries(1, 0);
/// A per-processor array stops at 32 KiB a value; this is a plain one: the rows that are claimed,
/// and one for each possible processor, for which the loader makes room.
#[map]
pub static SCRATCH: Array<Scratch> = Array::with_max_entries(CLAIMED_ROWS + 1, 0);
/// Which rows of `SCRATCH` are claimed. Elements that were given back may be on another processor's
/// list of free ones for a moment, so there are more than can be in use.
#[map]
pub static CLAIMS: HashMap<u32, u32> = HashMap::with_max_entries(2 * CLAIMED_ROWS, 0);

/// Given by the loader before the object is loaded.
#[unsafe(no_mangle)]
static KERNEL: RawKernel = RawKernel {
    task_sighand: 0,
    task_tgid: 0,
    task_pid: 0,
    task_mm: 0,
    task_leader: 0,
    task_start: 0,
    task_thread_pointer: 0,
    task_signal: 0,
    task_exit_code: 0,
    signal_live: 0,
    sighand_action: 0,
    action_size: 0,
    action_handler: 0,
    action_flags: 0,
    action_mask: 0,
    task_stack: 0,
    regs_size: 0,
    regs_ip: 0,
    regs_sp: 0,
    regs_fp: 0,
    regs_lr: 0,
    regs_argument: 0,
    has_task_regs: 0,
    has_cookie: 0,
    binprm_file: 0,
    file_inode: 0,
    inode_number: 0,
    inode_super: 0,
    inode_generation: 0,
    super_device: 0,
    enter_signal: 0,
    enter_action: 0,
    exit_result: 0,
};

/// How many rows `STASH` has.
///
/// While it is zero, as it is nearly always, the exit of a call that nobody watches needs no
/// look-up: it is the path that every `rt_sigaction` of the host takes.
static STASHED: Counter = Counter(UnsafeCell::new(0));

#[repr(transparent)]
struct Counter(UnsafeCell<u64>);

// SAFETY: it is changed by atomic additions only, and read as one word.
unsafe impl Sync for Counter {}

impl Counter {
    #[inline(always)]
    fn add(&self, amount: u64) {
        // SAFETY: a static of the right size and alignment.
        unsafe { add(self.0.get(), amount) };
    }

    /// A thread sees its own additions, on whichever processor it made them.
    #[inline(always)]
    fn is_zero(&self) -> bool {
        // SAFETY: as above; another processor's addition may come too late to be seen.
        unsafe { read_volatile(self.0.get()) == 0 }
    }
}

/// What the entry of a registration leaves for its exit.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Stash {
    pub old: RawDisposition,
    pub asked: RawDisposition,
    pub signal: u64,
}

/// One of the kernel's offsets.
///
/// The read is volatile because the value that stands here at compile time is not the one that
/// the loader puts in.
#[inline(always)]
pub fn kernel(field: impl FnOnce(&RawKernel) -> &u32) -> u64 {
    // SAFETY: a reference to a field of a static; nothing writes to it while programs run.
    u64::from(unsafe { read_volatile(field(&KERNEL)) })
}

/// A layout row.
#[inline(always)]
pub fn layout(index: u32) -> Result<&'static RawLayout, Miss> {
    LAYOUTS.get(index).ok_or(Miss::NoLayout)
}

/// What starts in a function.
#[inline(always)]
pub fn start(function: &RawStart) -> Option<RawInterpreter> {
    let row = STARTS.get_ptr(function)?;
    // SAFETY: a live element, valid for every bit pattern, that is never removed.
    Some(unsafe { *row })
}

/// The row of a watched process.
#[inline(always)]
pub fn process(tgid: u32) -> Option<&'static RawProcess> {
    let row = PROCESSES.get_ptr(tgid)?;
    // SAFETY: a live element, valid for every bit pattern. Were it removed and reused while
    // the program runs, the worst is another watched process's addresses, at which user memory
    // is read under the same checks.
    Some(unsafe { &*row })
}

/// Whether what a process does is counted only.
#[inline(always)]
pub fn is_exempt(process: &RawProcess) -> bool {
    let exempt = process.flags & RawProcess::EXEMPT != 0;
    if exempt {
        count(Tally::Exempt);
    }
    exempt
}

/// Leaves a registration's entry for its exit.
#[inline(always)]
pub fn stash(thread: u64, entry: &Stash) -> Result<(), Miss> {
    if STASH.insert(thread, entry, BPF_NOEXIST.into()).is_ok() {
        STASHED.add(1);
        return Ok(());
    }
    // Full, or left by a call whose exit was not seen.
    STASH
        .insert(thread, entry, BPF_EXIST.into())
        .map_err(|_| Miss::NoStash)
}

/// Takes what the entry left; `None` for a call that was not stashed.
#[inline(always)]
pub fn unstash(thread: u64) -> Option<Stash> {
    if STASHED.is_zero() {
        return None;
    }
    let row = STASH.get_ptr(thread)?;
    // SAFETY: a live element that only this thread inserts and removes.
    let entry = unsafe { *row };
    forget(thread);
    Some(entry)
}

/// Forgets what a thread's entry left: the thread dies inside the call.
#[inline(always)]
pub fn forget(thread: u64) {
    if !STASHED.is_zero() && STASH.remove(thread).is_ok() {
        STASHED.add(1_u64.wrapping_neg());
    }
}

/// A record's place in the stream ([`probe_abi::record::RawHeader::cpu`]).
#[derive(Clone, Copy)]
pub struct Number {
    pub cpu: u32,
    pub sequence: u64,
}

/// What a process's rate limit says of a record.
#[derive(Clone, Copy)]
pub struct Charge {
    /// Calls that were folded since its last record.
    pub swallowed: u64,
    /// Records in this window, this one among them.
    pub spent: u64,
}

/// Charges a registration's record to a process; `None` when its limit is reached.
#[inline(always)]
pub fn charge_registration(tgid: u32, now: u64) -> Option<Charge> {
    let row = PROCESSES.get_ptr_mut(tgid)?;
    // SAFETY: a live element.
    unsafe { charge(&raw mut (*row).registrations, now) }
}

/// Charges an attempt's record to a process; `None` when its limit is reached.
#[inline(always)]
pub fn charge_attempt(tgid: u32, now: u64) -> Option<Charge> {
    let row = PROCESSES.get_ptr_mut(tgid)?;
    // SAFETY: a live element.
    unsafe { charge(&raw mut (*row).attempts, now) }
}

/// Charges a signal's record to a process; `None` when its limit is reached.
#[inline(always)]
pub fn charge_signal(tgid: u32, now: u64) -> Option<Charge> {
    let row = PROCESSES.get_ptr_mut(tgid)?;
    // SAFETY: a live element.
    unsafe { charge(&raw mut (*row).signals, now) }
}

/// Two threads of one process may race here: the window and what was spent in it are approximate,
/// but what was folded is added atomically and not lost.
///
/// # Safety
///
/// `window` is in a live element.
#[inline(always)]
unsafe fn charge(window: *mut RawWindow, now: u64) -> Option<Charge> {
    // SAFETY: the caller's promise.
    unsafe {
        if now.wrapping_sub(read_volatile(&raw const (*window).start)) > RATE_WINDOW {
            (*window).start = now;
            (*window).spent = 0;
        }
        if read_volatile(&raw const (*window).spent) >= RATE_LIMIT {
            add(&raw mut (*window).folded, 1);
            return None;
        }
        (*window).spent += 1;
        let spent = (*window).spent;
        let swallowed = read_volatile(&raw const (*window).folded);
        if swallowed != 0 {
            add(&raw mut (*window).folded, swallowed.wrapping_neg());
        }
        Some(Charge { swallowed, spent })
    }
}

/// An atomic addition. `AtomicU64` has none on this target, which lacks compare-and-swap.
///
/// # Safety
///
/// `counter` is valid and aligned to eight.
#[inline(always)]
unsafe fn add(counter: *mut u64, amount: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        core::intrinsics::atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(counter, amount)
    };
}

/// Counts a miss. Atomically: uprobes can be preempted while they do.
#[inline(always)]
pub fn miss(miss: Miss) {
    if let Some(counter) = MISSES.get_ptr_mut(miss as u32) {
        // SAFETY: this processor's own counter, aligned to eight.
        unsafe { add(counter, 1) }
    }
}

/// Counts something that is no miss.
#[inline(always)]
pub fn count(tally: Tally) {
    if let Some(counter) = TALLIES.get_ptr_mut(tally as u32) {
        // SAFETY: as above.
        unsafe { add(counter, 1) }
    }
}

/// Ends a program: counts what it missed.
#[inline(always)]
pub fn tally(result: Result<(), Miss>) {
    if let Err(reason) = result {
        miss(reason);
    }
}

/// The place of the next record in the stream, for programs that cannot be preempted.
#[inline(always)]
pub fn number() -> Number {
    let sequence = match SEQUENCE.get_ptr_mut(0) {
        Some(counter) => {
            // SAFETY: this processor's own counter.
            unsafe {
                *counter += 1;
                *counter
            }
        }
        None => 0,
    };
    Number {
        cpu: crate::emit::processor(),
        sequence,
    }
}

/// This processor's row of the inventory.
#[inline(always)]
pub fn inventory_row() -> Option<&'static mut RawInventory> {
    let row = ROW.get_ptr_mut(0)?;
    // SAFETY: this processor's own element, valid for every bit pattern.
    Some(unsafe { &mut *row })
}
