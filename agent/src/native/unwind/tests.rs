//! Walks over tables made for the purpose, and over anything at all.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    event::{NativeResult::*, StackCopy},
    native::{cfi::Section, vdso},
};

const SP: u64 = 0x7000_0000;
/// Where `tables` say that code is, in a file's own terms and in the process.
const CODE: u64 = 0x1000;
const BIAS: u64 = 0x5555_0000;

/// `.eh_frame_hdr` and `.eh_frame` of one function with this program, over [CODE, 2 * CODE).
fn tables(arch: Arch, program: &[u8]) -> Cfi {
    const FRAMES: u64 = 0x9000;
    const INDEX: u64 = 0x8000;
    let entry = |body: &[u8]| {
        let mut body = body.to_vec();
        body.resize((body.len() + 4).next_multiple_of(8) - 4, 0);
        [&(body.len() as u32).to_le_bytes(), &body[..]].concat()
    };
    let (back, start) = match arch {
        // DW_CFA_def_cfa rsp 8, DW_CFA_offset rip 1: what a call leaves.
        Arch::X86_64 => (16, &[0x0c, 7, 8, 0x90, 1][..]),
        // DW_CFA_def_cfa sp 0.
        Arch::Aarch64 => (30, &[0x0c, 31, 0][..]),
    };
    // Version 1, "zR", factors 1 and -8, one byte of augmentation: pc-relative signed 32 bits.
    let head = [&[0, 0, 0, 0, 1][..], b"zR\0", &[1, 0x78, back, 1, 0x1b]].concat();
    let cie = entry(&[&head, start].concat());
    let at = cie.len() as u64;
    let far = |to: u64, from: u64| (to.wrapping_sub(from) as u32).to_le_bytes();
    let fde = entry(
        &[
            &(at as u32 + 4).to_le_bytes()[..],
            &far(CODE, FRAMES + at + 8),
            &(CODE as u32).to_le_bytes(),
            &[0],
            program,
        ]
        .concat(),
    );
    let index = [
        &[1, 0x1b, 0x03, 0x3b][..],
        &far(FRAMES, INDEX + 4),
        &1_u32.to_le_bytes(),
        &far(CODE, INDEX),
        &far(FRAMES + at, INDEX),
    ]
    .concat();
    let index = Section {
        address: INDEX,
        bytes: index,
    };
    let frames = Section {
        address: FRAMES,
        bytes: [cie, fde, vec![0; 4]].concat(),
    };
    Cfi::new(index, frames).expect("the kind that linkers write")
}

/// A stack of words, of which the first is at the stack pointer.
struct Stack {
    bytes: Vec<u8>,
    fp: u64,
    lr: u64,
}

impl Stack {
    fn new(words: &[u64]) -> Self {
        Self {
            bytes: words.iter().flat_map(|word| word.to_le_bytes()).collect(),
            fp: 0,
            lr: 0,
        }
    }

    /// Walks it from `ip`, with these tables for the code from [BIAS] + [CODE] on.
    fn walk(&self, arch: Arch, ip: u64, cfi: Cfi) -> Walk {
        self.walk_from(BIAS, arch, ip, cfi)
    }

    fn walk_from(&self, bias: u64, arch: Arch, ip: u64, cfi: Cfi) -> Walk {
        let copy = StackCopy {
            ip,
            sp: SP,
            fp: self.fp,
            lr: self.lr,
            bytes: &self.bytes,
        };
        let cfi = Arc::new(cfi);
        walk(
            arch,
            &mut Context::new(),
            &Recorded::new(copy),
            |address| match address.wrapping_sub(BIAS) {
                0x1000..0x2000 => Place::File(bias, Arc::clone(&cfi)),
                0x2000..0x3000 => Place::Plain,
                0x3000..0x4000 => Place::Unreadable,
                _ => Place::Nothing,
            },
        )
    }
}

/// An address in the code with tables, in that without, and in a file that cannot be read.
const FILE: u64 = BIAS + CODE + 0x10;
const MADE: u64 = BIAS + 0x2010;
const LOST: u64 = BIAS + 0x3010;

/// DW_CFA_undefined rip: the thread's first function.
const FIRST: &[u8] = &[0x07, 16];

#[test]
fn a_call_returns_to_the_word_on_the_stack() {
    let walk = |words: &[u64], program| {
        Stack::new(words).walk(Arch::X86_64, FILE, tables(Arch::X86_64, program))
    };
    let found = walk(&[FILE + 8, FILE + 9, 0], &[]);
    assert_eq!(found.addresses, [FILE - 1, FILE + 7, FILE + 8]);
    assert_eq!(found.result, Complete, "a return address of zero ends it");
    let found = walk(&[FILE + 8], FIRST);
    assert_eq!((found.addresses, found.result), (vec![FILE - 1], Complete));
}

/// Each way in which a stack may end early has its reason, and no frame that is not one.
#[test]
fn a_stack_that_ends_early_says_why() {
    let walk = |words: &[u64], fp| {
        let stack = Stack {
            fp,
            ..Stack::new(words)
        };
        stack.walk(Arch::X86_64, FILE, tables(Arch::X86_64, &[]))
    };
    let cases: [(&[u64], u64, &[u64], Reason); 6] = [
        (&[FILE + 8], 0, &[FILE - 1, FILE + 7], Reason::CopyEnded),
        (&[7, 0], 0, &[FILE - 1], Reason::NotCode),
        (&[LOST, 0], 0, &[FILE - 1, LOST - 1], Reason::Unreadable),
        // Made code without a frame pointer, and with one that leads to no code.
        (&[MADE, 0], 0, &[FILE - 1, MADE - 1], Reason::NoUnwindInfo),
        (
            &[MADE, 1, 2, 3],
            SP + 16,
            &[FILE - 1, MADE - 1],
            Reason::NoUnwindInfo,
        ),
        // A guess of a guess is dropped with it.
        (
            &[MADE, 1, SP + 32, MADE, 1, 2],
            SP + 16,
            &[FILE - 1, MADE - 1],
            Reason::NoUnwindInfo,
        ),
    ];
    for (words, fp, addresses, reason) in cases {
        let found = walk(words, fp);
        assert_eq!(found.addresses, addresses, "{reason:?}");
        assert_eq!(found.result, Truncated(reason));
    }
    let found = Stack::new(&[]).walk(Arch::X86_64, 1, tables(Arch::X86_64, &[]));
    assert_eq!(
        (found.result, found.unknown),
        (Failed(Reason::NotCode), Some(0))
    );
}

/// Code made at run time that keeps frame pointers is passed, where that leads to a file's code.
#[test]
fn made_code_with_frame_pointers_is_passed() {
    let stack = Stack {
        fp: SP + 16,
        ..Stack::new(&[MADE, 9, SP + 32, MADE + 4, 0, FILE + 8, 0])
    };
    let found = stack.walk(Arch::X86_64, FILE, tables(Arch::X86_64, &[]));
    assert_eq!(found.addresses, [FILE - 1, MADE - 1, MADE + 3, FILE + 7]);
    assert_eq!(found.result, Complete);
}

/// A cycle and an endless stack end.
#[test]
fn no_stack_is_walked_for_ever() {
    let program = tables(Arch::X86_64, &[]);
    let found = Stack::new(&[FILE; 4096]).walk(Arch::X86_64, FILE, program);
    assert_eq!(found.addresses.len(), FRAMES_MAX);
    assert_eq!(found.result, Truncated(Reason::TooDeep));
    // DW_CFA_def_cfa_offset 0: the caller's frame is its own.
    let program = tables(Arch::X86_64, &[0x0e, 0]);
    let below = Stack::new(&[FILE; 4]).walk(Arch::X86_64, FILE, program);
    assert!(matches!(below.result, Truncated(_)), "{below:?}");
    assert!(below.addresses.len() < 3, "{below:?}");
}

/// DW_CFA_def_cfa_expression with DW_OP_skip to itself, and one that pushes for ever: gimli itself
/// would go on until somebody stops it.
#[test]
fn an_expression_that_jumps_back_ends() {
    for expression in [
        &[0x2f, 0xfd, 0xff][..],
        &[0x12, 0x2f, 0xfc, 0xff],
        &[0x70, 0, 0x06],
    ] {
        let length = expression.len() as u8;
        let program = [&[0x0f, length], expression].concat();
        let stack = Stack::new(&[FILE; 4]);
        let found = stack.walk(Arch::X86_64, FILE, tables(Arch::X86_64, &program));
        assert_eq!(
            found.result,
            Truncated(Reason::BadUnwindInfo),
            "{expression:?}"
        );
    }
}

/// glibc's return from a signal handler has its rules as expressions that read the stack: DW_OP_breg7
/// 8, DW_OP_deref.
#[test]
fn an_expression_may_read_the_stack() {
    let program = [0x0f, 3, 0x77, 8, 0x06];
    let stack = Stack::new(&[1, SP + 32, 2, FILE + 8]);
    let found = stack.walk(Arch::X86_64, FILE, tables(Arch::X86_64, &program));
    assert_eq!(found.addresses, [FILE - 1, FILE + 7]);
}

/// On aarch64 a leaf returns to the link register; its caller has saved that, signed perhaps.
#[test]
fn the_link_register_is_the_leafs_only() {
    let stack = Stack {
        lr: (FILE + 8) | 0x00b4_0000_0000_0000,
        ..Stack::new(&[0; 16])
    };
    // A table that never saves it: the second frame cannot have it any more.
    let found = stack.walk(Arch::Aarch64, FILE, tables(Arch::Aarch64, &[0x0e, 16]));
    assert_eq!(found.addresses, [FILE - 1, FILE + 7]);
    assert_eq!(found.result, Truncated(Reason::BadUnwindInfo));
    // DW_CFA_def_cfa_offset 16, DW_CFA_offset x30 1.
    let saved = Stack::new(&[7, FILE + 8, 7, 0, 0]);
    let found = saved.walk(
        Arch::Aarch64,
        FILE,
        tables(Arch::Aarch64, &[0x0e, 16, 0x9e, 1]),
    );
    assert_eq!((found.addresses.len(), found.result), (2, Complete));
}

/// The bytes of the vdso's own tables, which are real, with some of them changed.
fn changed(flips: &[(usize, u8)]) -> Option<Cfi> {
    let (mut index, mut frames) = vdso::sections().expect("every kernel has it");
    for (at, value) in flips {
        // Rarely in the index: it has nothing but addresses.
        let bytes = if at % 8 == 0 {
            &mut index.bytes
        } else {
            &mut frames.bytes
        };
        let size = bytes.len();
        bytes[at / 8 % size] = *value;
    }
    Cfi::new(index, frames)
}

/// For the fuzzer: sizes of index and frames and an address, two bytes each, then both tables, and
/// what is left is the stack.
pub(crate) fn walk_anything(bytes: &[u8]) {
    let Some((head, rest)) = bytes.split_first_chunk::<6>() else {
        return;
    };
    let [index_size, frames_size, at] =
        [0, 2, 4].map(|i| usize::from(u16::from_le_bytes([head[i], head[i + 1]])));
    let (mut index, mut frames) = vdso::sections().expect("every kernel has it");
    let (taken, rest) = rest.split_at(index_size.min(rest.len()));
    index.bytes = taken.to_vec();
    let (taken, rest) = rest.split_at(frames_size.min(rest.len()));
    frames.bytes = taken.to_vec();
    let words: Vec<u64> = rest
        .as_chunks()
        .0
        .iter()
        .map(|&word| u64::from_le_bytes(word))
        .collect();
    if let Some(cfi) = Cfi::new(index, frames) {
        let stack = Stack::new(&words);
        let found = stack.walk_from(BIAS + CODE, Arch::HOST, BIAS + CODE + at as u64, cfi);
        assert!(found.addresses.len() <= FRAMES_MAX);
    }
}

/// The vdso's own tables with a stack that leads from function to function.
pub(crate) fn walks() -> Vec<Vec<u8>> {
    let (index, frames) = vdso::sections().expect("every kernel has it");
    let head = [index.bytes.len(), frames.bytes.len()].map(|size| (size as u16).to_le_bytes());
    let seed = |at: u16| {
        let words = (0..32).flat_map(|word| (BIAS + CODE + word * 64).to_le_bytes());
        let mut bytes = [&head[0][..], &head[1], &at.to_le_bytes()].concat();
        bytes.extend(index.bytes.iter().chain(&frames.bytes));
        bytes.extend(words);
        bytes
    };
    (0..32).map(|step| seed(step * 64)).collect()
}

proptest! {
    /// Whatever a file says and whatever lies on the stack, the walk ends and gives no more frames
    /// than it may.
    #[test]
    fn any_program_ends(
        program in vec(any::<u8>(), 0..64),
        words in vec(prop_oneof![any::<u64>(), Just(FILE), SP..SP + 512], 0..64),
        fp in prop_oneof![any::<u64>(), SP..SP + 512],
    ) {
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let stack = Stack { fp, lr: FILE, ..Stack::new(&words) };
            let found = stack.walk(arch, FILE, tables(arch, &program));
            prop_assert!((1..=FRAMES_MAX).contains(&found.addresses.len()));
        }
    }

    #[test]
    fn any_tables_end(
        index in vec(any::<u8>(), 0..64),
        frames in vec(any::<u8>(), 0..256),
        address: u64,
        words in vec(any::<u64>(), 0..16),
    ) {
        let index = [&[1, 0x1b, 0x03, 0x3b][..], &index].concat();
        let section = |bytes| Section { address, bytes };
        if let Some(cfi) = Cfi::new(section(index), section(frames)) {
            Stack::new(&words).walk(Arch::X86_64, FILE, cfi);
        }
    }

    #[test]
    fn changed_tables_end(
        flips in vec(any::<(usize, u8)>(), 0..16),
        at in 0..0x1000_u64,
        words in vec(prop_oneof![Just(FILE), any::<u64>()], 0..64),
    ) {
        if let Some(cfi) = changed(&flips) {
            // The vdso's own addresses begin at zero.
            Stack::new(&words).walk_from(BIAS + CODE, Arch::HOST, BIAS + CODE + at, cfi);
        }
    }
}

/// Each frame's program may be long, and each byte of it dear: all frames' together are bounded.
#[test]
fn the_programs_of_a_walk_are_bounded() {
    // 190 rules, and pairs of DW_CFA_remember_state and DW_CFA_restore_state, which copy them all.
    let rules = (40..230_u16).flat_map(|r| [0x14, (r as u8 & 0x7f) | 0x80, (r >> 7) as u8, 1]);
    let program: Vec<u8> = rules.chain([0x0a, 0x0b].repeat(30_000)).collect();
    let found =
        Stack::new(&[FILE + 8; 300]).walk(Arch::X86_64, FILE, tables(Arch::X86_64, &program));
    assert_eq!(found.addresses.len(), 3, "of 256");
    assert_eq!(found.result, Truncated(Reason::BadUnwindInfo));
}
