//! The kernel's page of code that every process has: it is on stacks below a signal handler on
//! aarch64, and below the few calls that the kernel answers there.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    sync::Arc,
};

use super::cfi::{Cfi, Section};
use crate::process::{elf::Elf, proc};

/// Bytes of it: two pages on the kernels that we know.
const SIZE_MAX: u64 = 1 << 20;

/// Its tables.
pub(super) fn tables() -> Option<Arc<Cfi>> {
    let (index, frames) = sections()?;
    Cfi::new(index, frames).map(Arc::new)
}

/// `.eh_frame_hdr` and `.eh_frame` of our own copy: the kernel maps the same pages into every
/// 64-bit process.
pub(super) fn sections() -> Option<(Section, Section)> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let vdso = proc::mappings(&maps).find(|mapping| mapping.path == "[vdso]")?;
    let size = vdso.end.checked_sub(vdso.start)?;
    let mut image = vec![0; usize::try_from(size.min(SIZE_MAX)).ok()?];
    let memory = File::open("/proc/self/mem").ok()?;
    memory.read_exact_at(&mut image, vdso.start).ok()?;
    let elf = Elf::parse(&image[..]).ok()?;
    let section = |name| {
        let (address, bytes) = elf.section(name, SIZE_MAX).ok()??;
        let bytes = bytes.to_vec();
        Some(Section { address, bytes })
    };
    Some((section(b".eh_frame_hdr")?, section(b".eh_frame")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This kernel's has tables: a stack that goes through it does not end there.
    #[test]
    fn this_kernels_page_has_tables() {
        assert!(tables().is_some());
    }
}
