//! Bounded reads of memory that is not ours: the target's and the kernel's.
//!
//! The helpers check every address and fill with zeros where they cannot read, so these
//! functions are safe to call with any address: an address is a claim until it was read. A
//! failed read yields zeros, and zeros end every list and every string; only where the
//! difference matters does a function say that it failed.

use aya_ebpf::{
    helpers::generated as helper,
    maps::LruHashMap,
    programs::{ProbeContext, TracePointContext},
};
use probe_abi::{miss::Miss, record::RawFile};

use crate::native::Registers;

/// A word of the target's memory; zero where it cannot be read.
#[inline(always)]
pub fn user_word(address: u64) -> u64 {
    let mut value = 0_u64;
    // SAFETY: eight bytes of our own stack are the destination; the helper checks the source.
    unsafe { helper::bpf_probe_read_user((&raw mut value).cast(), 8, address as *const _) };
    value
}

/// A word of the target's memory; `None` where it cannot be read.
#[inline(always)]
pub fn try_user_word(address: u64) -> Option<u64> {
    let mut value = 0_u64;
    // SAFETY: as in `user_word`.
    let read =
        unsafe { helper::bpf_probe_read_user((&raw mut value).cast(), 8, address as *const _) };
    (read == 0).then_some(value)
}

/// Four bytes of the target's memory; zero where they cannot be read.
#[inline(always)]
pub fn user_half(address: u64) -> u32 {
    let mut value = 0_u32;
    // SAFETY: as in `user_word`, with four bytes.
    unsafe { helper::bpf_probe_read_user((&raw mut value).cast(), 4, address as *const _) };
    value
}

/// A text that ends with a zero, or where the buffer does; how long it is without that zero. `None`
/// where it cannot be read.
#[inline(always)]
pub fn user_text<const N: usize>(buffer: &mut [u64; N], address: u64) -> Option<u64> {
    // SAFETY: the destination is N words; the helper checks the source and writes the zero.
    let length = unsafe {
        helper::bpf_probe_read_user_str(
            buffer.as_mut_ptr().cast(),
            (N * 8) as u32,
            address as *const _,
        )
    };
    (length > 0).then(|| length as u64 - 1)
}

/// Fills an array from the target's memory; zeros where it cannot be read.
#[inline(always)]
pub fn user_array<const N: usize>(array: &mut [u8; N], address: u64) -> bool {
    // SAFETY: the destination is N bytes; the helper checks the source.
    unsafe {
        helper::bpf_probe_read_user(array.as_mut_ptr().cast(), N as u32, address as *const _) == 0
    }
}

/// `SIZE` bytes of the target's memory into `buffer` at a byte position; false where they cannot
/// be read, or would not fit.
#[inline(always)]
pub fn user_block<const N: usize, const SIZE: usize>(
    buffer: &mut [u64; N],
    position: u64,
    address: u64,
) -> bool {
    if position > (N * 8 - SIZE) as u64 {
        return false;
    }
    // SAFETY: the destination ends within the buffer, as was just looked at; the helper checks
    // the source.
    unsafe {
        let destination = buffer.as_mut_ptr().cast::<u8>().add(position as usize);
        helper::bpf_probe_read_user(destination.cast(), SIZE as u32, address as *const _) == 0
    }
}

/// `size` bytes of the target's memory (at most the buffer's) into a buffer of words.
#[inline(always)]
pub fn user_words<const N: usize>(buffer: &mut [u64; N], size: u32, address: u64) -> bool {
    const { assert!(N.is_power_of_two()) }
    let size = masked(u64::from(size), N as u64 * 8 - 1);
    // SAFETY: the destination holds N words and `size` is below that; the helper checks the
    // source.
    unsafe {
        helper::bpf_probe_read_user(buffer.as_mut_ptr().cast(), size as u32, address as *const _)
            == 0
    }
}

/// A size, masked where it is used.
///
/// A mask is what every verifier believes, but only of the register that was masked: what was
/// put on the stack before a compare or, up to 5.10, at all comes back without bounds ("R2 min
/// value is negative, either use unsigned or 'var &= const'", 6.1). So the compiler must neither
/// drop this mask as needless nor keep its result for later.
#[inline(always)]
fn masked(size: u64, mask: u64) -> u64 {
    // SAFETY: reads a live variable.
    unsafe { (&raw const size).read_volatile() & mask }
}

/// `size` bytes of the target's memory into `buffer` at a byte position.
///
/// `MASK` bounds the position and `MAX` the size; together they must stay inside the buffer,
/// which is asserted when this is compiled.
#[inline(always)]
pub fn user_bytes<const N: usize, const MASK: usize, const MAX: usize>(
    buffer: &mut [u64; N],
    position: u64,
    size: u64,
    address: u64,
) -> bool {
    const { assert!(MASK + MAX <= N * 8 && (MAX + 1).is_power_of_two()) };
    let position = position as usize & MASK;
    // A longer size would become another one below.
    let size = if size > MAX as u64 { MAX as u64 } else { size };
    let size = masked(size, MAX as u64);
    // SAFETY: position is at most MASK and size at most MAX, which fit; the helper checks the
    // source.
    unsafe {
        let destination = buffer.as_mut_ptr().cast::<u8>().add(position);
        helper::bpf_probe_read_user(destination.cast(), size as u32, address as *const _) == 0
    }
}

/// Address of the registers with which the current task entered the kernel (5.15 and later).
#[inline(always)]
pub fn task_registers() -> u64 {
    // SAFETY: the helpers have no precondition, and the one's result is the other's argument.
    unsafe { helper::bpf_task_pt_regs(helper::bpf_get_current_task_btf()) as u64 }
}

/// A word of kernel memory; zero where it cannot be read.
#[inline(always)]
pub fn kernel_word(address: u64) -> u64 {
    let mut value = 0_u64;
    // SAFETY: as in `user_word`.
    unsafe { helper::bpf_probe_read_kernel((&raw mut value).cast(), 8, address as *const _) };
    value
}

/// Four bytes of kernel memory; zero where they cannot be read.
#[inline(always)]
pub fn kernel_half(address: u64) -> u32 {
    let mut value = 0_u32;
    // SAFETY: as in `user_word`, with four bytes.
    unsafe { helper::bpf_probe_read_kernel((&raw mut value).cast(), 4, address as *const _) };
    value
}

/// Fills `destination` from kernel memory.
#[inline(always)]
pub fn kernel_bytes<const N: usize, const M: usize>(
    destination: &mut [[u8; N]; M],
    address: u64,
) -> bool {
    // SAFETY: the destination is exclusively ours, as large as its type, and any bytes are a
    // value of it; the helper checks the source.
    unsafe {
        helper::bpf_probe_read_kernel(
            (&raw mut *destination).cast(),
            (N * M) as u32,
            address as *const _,
        ) == 0
    }
}

/// The word that holds byte `offset` of a copy, shifted so that this byte is the lowest.
///
/// Offsets come from a layout row. They are masked, not checked: a wrong row gives a wrong
/// value, never a read outside the copy.
#[inline(always)]
pub fn field<const N: usize>(copy: &[u64; N], offset: u32) -> u64 {
    copy[(offset as usize >> 3) & (N - 1)] >> ((offset & 7) * 8)
}

/// A word of a tracepoint's arguments, at an offset that its format file named.
#[inline(always)]
pub fn context(ctx: &TracePointContext, offset: u64) -> u64 {
    // SAFETY: the arguments of a tracepoint lie in kernel memory; aya reads them with the
    // helper that checks the address.
    unsafe { ctx.read_at::<u64>(offset as usize) }.unwrap_or(0)
}

/// Address of the probed instruction.
#[inline(always)]
pub fn instruction(ctx: &ProbeContext) -> u64 {
    #[cfg(bpf_target_arch = "x86_64")]
    // SAFETY: the kernel passes the registers, and lets a uprobe read them.
    let address = unsafe { (*ctx.regs).rip };
    #[cfg(bpf_target_arch = "aarch64")]
    // SAFETY: as above.
    let address = unsafe { (*ctx.regs).pc };
    address
}

/// The stack pointer at the probed instruction.
#[inline(always)]
pub fn stack(ctx: &ProbeContext) -> u64 {
    #[cfg(bpf_target_arch = "x86_64")]
    // SAFETY: as in `instruction`.
    let address = unsafe { (*ctx.regs).rsp };
    #[cfg(bpf_target_arch = "aarch64")]
    // SAFETY: as in `instruction`.
    let address = unsafe { (*ctx.regs).sp };
    address
}

/// The registers of the function that called the probed one, which has just been entered.
///
/// The call is undone, so that they are what a call leaves behind: on x86_64 it put the return
/// address on the stack, on aarch64 into the link register.
#[inline(always)]
pub fn caller(ctx: &ProbeContext) -> Result<Registers, Miss> {
    // SAFETY: the kernel passes the registers, and lets a uprobe read them.
    #[cfg(bpf_target_arch = "x86_64")]
    let (sp, fp) = unsafe { ((*ctx.regs).rsp, (*ctx.regs).rbp) };
    #[cfg(bpf_target_arch = "x86_64")]
    let registers = Registers {
        ip: try_user_word(sp).ok_or(Miss::UserStack)?,
        sp: sp.wrapping_add(8),
        fp,
        lr: 0,
    };
    // SAFETY: as above.
    #[cfg(bpf_target_arch = "aarch64")]
    let (sp, fp, lr) = unsafe { ((*ctx.regs).sp, (*ctx.regs).regs[29], (*ctx.regs).regs[30]) };
    #[cfg(bpf_target_arch = "aarch64")]
    let registers = Registers { ip: lr, sp, fp, lr };
    Ok(registers)
}

/// What user space has said of a program; zero where it has not.
#[inline(always)]
pub fn program(programs: &LruHashMap<RawFile, u32>, file: RawFile) -> u32 {
    match programs.get_ptr(file) {
        // SAFETY: a live element; an integer that is replaced meanwhile is another integer.
        Some(verdict) => unsafe { *verdict },
        None => 0,
    }
}
