//! A real stack of this very program, unwound as the agent would; and names.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

use super::*;
use crate::{
    event::{Code, NativeResult, StackCopy},
    process::{ModuleKind, directory::Directory, files::FileCache, proc},
};

/// Bytes of stack that are copied: unoptimised code takes more of it than a library's.
const SIZE: usize = 256 << 10;

/// Where this function runs: an address in it, the stack pointer, the frame pointer.
#[inline(always)]
fn registers() -> [u64; 3] {
    let (ip, sp, fp): (u64, u64, u64);
    // SAFETY: it reads registers only.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("lea {}, [rip]", "mov {}, rsp", "mov {}, rbp", out(reg) ip, out(reg) sp, out(reg) fp);
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("adr {}, .", "mov {}, sp", "mov {}, x29", out(reg) ip, out(reg) sp, out(reg) fp);
    }
    [ip, sp, fp]
}

/// This process's code.
fn space() -> Space {
    let maps = fs::read_to_string("/proc/self/maps").expect("maps");
    let directory = Directory::new(Path::new("/proc"), std::process::id());
    let mut files = FileCache::default();
    Space::new(proc::mappings(&maps), |mapping, file| {
        let (open, _) = directory.open(mapping, file)?;
        files.facts(&open).ok()
    })
}

#[inline(never)]
fn innermost(space: &mut Space) -> crate::event::NativeStack {
    let [ip, sp, fp] = registers();
    let mut bytes = vec![0; SIZE];
    let memory = File::open("/proc/self/mem").expect("our own memory");
    let read = memory.read_at(&mut bytes, sp).expect("our own stack");
    bytes.truncate(read);
    let want = Want {
        copy: StackCopy {
            ip,
            sp,
            fp,
            lr: 0,
            bytes: &bytes,
        },
        old: None,
        new: Some(innermost as *const () as u64),
        may_read: true,
    };
    let mut binaries = Binaries::default();
    let (stack, unknown) = binaries.unwind(Path::new("/proc"), std::process::id(), space, &want);
    assert!(!unknown);
    let again = binaries.unwind(Path::new("/proc"), std::process::id(), space, &want);
    assert_eq!(again.0, stack, "what is remembered is what was read");
    stack
}

#[inline(never)]
fn outer(space: &mut Space) -> crate::event::NativeStack {
    std::hint::black_box(innermost(space))
}

/// From a function of this test down to the thread's first one, in the C library.
#[test]
fn a_real_stack_is_whole_and_named() {
    let stack = outer(&mut space());
    assert_eq!(stack.result, NativeResult::Complete, "{stack:#?}");
    let symbol = |at: usize| stack.frames[at].symbol.as_deref().unwrap_or_default();
    assert!(
        symbol(0).ends_with("native::tests::innermost"),
        "{stack:#?}"
    );
    assert!(symbol(1).ends_with("native::tests::outer"), "{stack:#?}");
    let new = stack.new_symbol.as_deref().unwrap_or_default();
    assert!(new.ends_with("native::tests::innermost"), "{new}");
    let last = stack.frames.last().expect("frames");
    assert_eq!(last.code, Code::Module(ModuleKind::Libc));
}

/// Code that was not there at the last look is told as unknown, so that there is another look.
#[test]
fn what_the_maps_do_not_have_is_unknown() {
    let copy = StackCopy {
        ip: registers()[0],
        sp: 0,
        fp: 0,
        lr: 0,
        bytes: &[],
    };
    let want = Want {
        copy,
        old: None,
        new: None,
        may_read: true,
    };
    let pid = std::process::id();
    let unwind = |space: &mut Space| {
        let (stack, unknown) = Binaries::default().unwind(Path::new("/proc"), pid, space, &want);
        (stack.result, unknown)
    };
    let not_code = NativeResult::Failed(crate::event::Reason::NotCode);
    assert_eq!(unwind(&mut Space::default()), (not_code, true));
    let ended = NativeResult::Truncated(crate::event::Reason::CopyEnded);
    let (result, unknown) = unwind(&mut space());
    assert!(!unknown);
    assert!(
        result == ended || matches!(result, NativeResult::Truncated(_)),
        "{result}"
    );
}
