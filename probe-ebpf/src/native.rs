//! The steps of the native capture: the caller's registers, and a piece of its stack.
//!
//! Nothing is unwound here: user space has the modules' tables. The loops are in `walk.rs`.

#![forbid(unsafe_code)]

use probe_abi::{
    miss::Miss,
    native::{FINE_STEP, RawNative, STACK_SIZE, STACK_SIZE_BURST, STACKS_ANY, STACKS_FULL, STEP},
};

use crate::{
    maps::kernel,
    read::{kernel_word, task_registers, user_block},
    scratch::Scratch,
    task,
};

/// Bytes of a task's own kernel stack, from which `task_pt_regs` counts back: x86_64 and aarch64
/// without KASAN (`THREAD_SIZE`, 5.10 to 5.14, the kernels without the helper).
const THREAD_SIZE: u64 = 16_384;

/// The registers from which a stack is unwound, as they are behind a call.
pub struct Registers {
    pub ip: u64,
    pub sp: u64,
    pub fp: u64,
    /// Zero on x86_64, which has none.
    pub lr: u64,
}

/// The registers with which the current task entered the kernel.
#[inline(always)]
pub fn of_call(signal: u64) -> Result<Registers, Miss> {
    let registers = address_of_call(signal)?;
    Ok(Registers {
        ip: kernel_word(registers + kernel(|k| &k.regs_ip)),
        sp: kernel_word(registers + kernel(|k| &k.regs_sp)),
        fp: kernel_word(registers + kernel(|k| &k.regs_fp)),
        lr: if cfg!(bpf_target_arch = "aarch64") {
            kernel_word(registers + kernel(|k| &k.regs_lr))
        } else {
            0
        },
    })
}

/// Address of the registers with which the current task entered the kernel.
///
/// The helper knows (5.15 and later). Before, they lie at the end of the kernel's stack, which
/// holds unless the kernel was built in an unusual way: the proof is that they hold the system
/// call's own argument.
#[inline(always)]
fn address_of_call(signal: u64) -> Result<u64, Miss> {
    if kernel(|k| &k.has_task_regs) != 0 {
        // On a kernel without the helper the verifier sees that this branch is never taken, for
        // the offsets are constants to it.
        return Ok(task_registers());
    }
    let stack = kernel_word(task::current() + kernel(|k| &k.task_stack));
    let registers = (stack + THREAD_SIZE).wrapping_sub(kernel(|k| &k.regs_size));
    let argument = kernel_word(registers + kernel(|k| &k.regs_argument));
    if argument & 0xffff_ffff == signal {
        Ok(registers)
    } else {
        Err(Miss::Registers)
    }
}

/// Fills the record's `native` part, its stack not yet copied.
#[inline(always)]
pub fn start(
    scratch: &mut Scratch,
    registers: Result<Registers, Miss>,
    spent: u64,
) -> Result<(), Miss> {
    scratch.record.native = RawNative {
        ip: 0,
        sp: 0,
        fp: 0,
        lr: 0,
        size: 0,
        flags: 0,
    };
    scratch.stack_limit = if spent > STACKS_ANY {
        0
    } else if spent > STACKS_FULL {
        STACK_SIZE_BURST as u64
    } else {
        STACK_SIZE as u64
    };
    let registers = registers?;
    scratch.record.native.ip = registers.ip;
    scratch.record.native.sp = registers.sp;
    scratch.record.native.fp = registers.fp;
    scratch.record.native.lr = registers.lr;
    scratch.record.native.flags = RawNative::KNOWN;
    Ok(())
}

/// Copies one step of the stack; 0 means go on.
#[inline(always)]
pub fn step(scratch: &mut Scratch) -> u32 {
    if u64::from(scratch.record.native.size) >= scratch.stack_limit {
        scratch.record.native.flags |= RawNative::CUT;
        return 1;
    }
    copy::<STEP>(scratch)
}

/// Copies one small step, where the mapping ends within a step; 0 means go on.
#[inline(always)]
pub fn fine_step(scratch: &mut Scratch) -> u32 {
    copy::<FINE_STEP>(scratch)
}

#[inline(always)]
fn copy<const SIZE: usize>(scratch: &mut Scratch) -> u32 {
    let at = scratch.record.native.sp + u64::from(scratch.record.native.size);
    if !user_block::<_, SIZE>(&mut scratch.tail, scratch.position, at) {
        return 1;
    }
    scratch.position += SIZE as u64;
    scratch.record.native.size += SIZE as u32;
    0
}

/// Whether the copy ended at its limit.
#[inline(always)]
pub fn is_cut(scratch: &Scratch) -> bool {
    scratch.record.native.flags & RawNative::CUT != 0
}
