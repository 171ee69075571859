//! The head of the list of interpreters in a stripped 3.6, where the variable has no symbol: read
//! from the function that returns it. Pure and total.
//!
//! `PyInterpreterState_Head` (Python/pystate.c, 3.6) is exported, and returns `interp_head`, a static
//! variable: it is one load of that variable and a return.

use object::ReadRef;

use crate::process::elf::Elf;

/// Address of the variable that the function at `address` returns.
pub(super) fn read_by<'d, R: ReadRef<'d>>(elf: &Elf<'d, R>, address: u64) -> Option<u64> {
    let code: [u8; 16] = elf.bytes_at(address)?;
    if cfg!(target_arch = "aarch64") {
        aarch64(&code, address)
    } else {
        x86_64(&code, address)
    }
}

/// `mov rax, [rip + distance]; ret`, after an `endbr64` where the build has branch protection.
fn x86_64(code: &[u8], address: u64) -> Option<u64> {
    const ENDBR64: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
    const RET: u8 = 0xc3;
    let (code, address) = match code.strip_prefix(ENDBR64) {
        Some(rest) => (rest, address.checked_add(4)?),
        None => (code, address),
    };
    let [0x48, 0x8b, 0x05, d0, d1, d2, d3, RET, ..] = *code else {
        return None;
    };
    let distance = i32::from_le_bytes([d0, d1, d2, d3]);
    address
        .checked_add(7)?
        .checked_add_signed(i64::from(distance))
}

/// `adrp xN, page; ldr x0, [xN, #offset]; ret`, after a `bti c` where the build has branch
/// protection.
fn aarch64(code: &[u8], address: u64) -> Option<u64> {
    const BTI_C: u32 = 0xd503_245f;
    const RET: u32 = 0xd65f_03c0;
    let word = |at: usize| {
        let bytes = code.get(at * 4..at * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let (first, address) = if word(0)? == BTI_C {
        (1, address.checked_add(4)?)
    } else {
        (0, address)
    };
    let (adrp, ldr) = (word(first)?, word(first + 1)?);
    let register = adrp & 31;
    let is_ldr = ldr & 0xffc0_03ff == 0xf940_0000 | register << 5;
    if adrp & 0x9f00_0000 != 0x9000_0000 || !is_ldr || word(first + 2)? != RET {
        return None;
    }
    // Pages of 4 KiB, as a signed number of 21 bits: the lowest two are apart.
    let pages = (adrp >> 5 & 0x7_ffff) << 2 | adrp >> 29 & 3;
    let pages = i64::from((pages << 11).cast_signed() >> 11);
    let offset = u64::from(ldr >> 10 & 0xfff) * 8;
    (address & !0xfff)
        .checked_add_signed(pages << 12)?
        .checked_add(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3.6.15 of pyenv: `174b90: mov 0x18a349(%rip),%rax # 2feee0 <interp_head>`, as objdump has it.
    #[test]
    fn the_load_of_a_real_3_6_is_understood() {
        let code = [0x48, 0x8b, 0x05, 0x49, 0xa3, 0x18, 0x00, 0xc3];
        assert_eq!(x86_64(&code, 0x17_4b90), Some(0x2f_eee0));
        let protected = [&[0xf3, 0x0f, 0x1e, 0xfa][..], &code].concat();
        assert_eq!(x86_64(&protected, 0x17_4b8c), Some(0x2f_eee0));
        // Through a pointer, as 3.7 does it, is something else.
        let pointer = [0x48, 0x8b, 0x05, 0x49, 0xa3, 0x18, 0x00, 0x48, 0x8b, 0x40];
        assert_eq!(x86_64(&pointer, 0x17_4b90), None);
        for end in 0..code.len() {
            assert_eq!(x86_64(&code[..end], 0x17_4b90), None);
        }
    }

    /// What an assembler makes of `adrp x0, #0x12345000; ldr x0, [x0, #0xee0]; ret` at 0x174b90.
    #[test]
    fn a_page_and_an_offset_are_added() {
        let words = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_le_bytes()).collect()
        };
        let (adrp, ldr, ret) = (0xb000_0c40, 0xf947_7000, 0xd65f_03c0);
        let code = words(&[adrp, ldr, ret, 0]);
        assert_eq!(aarch64(&code, 0x17_4b90), Some(0x2f_dee0));
        let protected = words(&[0xd503_245f, adrp, ldr, ret]);
        assert_eq!(aarch64(&protected, 0x17_4b8c), Some(0x2f_dee0));
        let other_register = words(&[adrp, ldr | 1 << 5, ret, 0]);
        assert_eq!(aarch64(&other_register, 0x17_4b90), None);
        let backwards = words(&[0x90ff_ffe0, ldr, ret, 0]);
        assert_eq!(aarch64(&backwards, 0x17_4b90), Some(0x17_0ee0));
        assert_eq!(aarch64(&code[..8], 0x17_4b90), None);
    }
}
