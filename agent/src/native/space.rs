//! Where code lies in a process: its executable mappings.

use std::{collections::HashMap, sync::Arc};

use super::recorded::Walks;
use crate::{
    event::Code,
    process::{
        ModuleKind,
        facts::FileFacts,
        files::Identity,
        proc::{FileId, Mapping},
    },
};

/// Mappings of code that are kept of a process. A JVM has one for each 64 KiB of its own code at
/// worst; beyond this, code is taken for none.
const REGIONS_MAX: usize = 16_384;

/// What a region's code comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A mapped file; its facts are `None` where it could not be read or is no ELF file.
    File(FileId, Option<Arc<FileFacts>>),
    /// The kernel's own page.
    Vdso,
    /// No file.
    Anonymous,
}

/// One executable mapping.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) mapping: Mapping,
    pub(super) source: Source,
}

impl Region {
    /// What to add to the file's own addresses.
    pub(super) fn bias(&self) -> Option<u64> {
        match &self.source {
            Source::File(_, facts) => {
                let Mapping {
                    start, end, offset, ..
                } = self.mapping;
                facts.as_ref()?.image.bias(start, end, offset)
            }
            // Its tables say addresses from zero on, and it is mapped as one piece.
            Source::Vdso => Some(self.mapping.start),
            Source::Anonymous => None,
        }
    }

    /// The name that users see.
    pub(super) fn name(&self) -> &str {
        match self.source {
            Source::File(..) => {
                let path = self.mapping.path.as_str();
                path.rsplit('/').next().unwrap_or(path)
            }
            Source::Vdso => "[vdso]",
            Source::Anonymous => "[anonymous]",
        }
    }

    /// Whose code it is.
    pub(super) fn code(&self) -> Code {
        match &self.source {
            Source::File(_, facts) => {
                let Some(kind) = facts.as_ref().map(|facts| facts.kind) else {
                    return Code::Unknown;
                };
                let path = self.mapping.path.as_str();
                match kind {
                    ModuleKind::Other if is_standard_extension(path) => Code::StandardLibrary,
                    ModuleKind::Other if is_carrier(self.name()) => Code::Carrier,
                    kind => Code::Module(kind),
                }
            }
            Source::Vdso => Code::Vdso,
            Source::Anonymous => Code::Anonymous,
        }
    }
}

/// Where CPython puts the extensions of its own library (`DESTSHARED` in its Makefile, 3.6 to
/// 3.15); pip and distributions install elsewhere.
fn is_standard_extension(path: &str) -> bool {
    path.contains("/lib-dynload/") && !path.contains("/site-packages/")
}

/// Memory that has a file's name, as compilers at run time use to map it twice.
fn is_memory(path: &str) -> bool {
    path.starts_with("/memfd:") || path.starts_with("/dev/zero")
}

/// libffi by the name that it gives its file in every distribution and wheel.
fn is_carrier(name: &str) -> bool {
    name.starts_with("libffi") && name.contains(".so")
}

/// The code of one process.
#[derive(Clone, Debug, Default)]
pub struct Space {
    regions: Vec<Region>,
    /// Files that were opened, and what they were then; `None` for one that cannot be.
    pub(super) opened: HashMap<FileId, Option<Identity>>,
    /// The last stacks.
    pub(super) walks: Walks,
}

impl Space {
    /// From what is mapped, by address; `facts` tells what a file is.
    pub fn new(
        mappings: impl Iterator<Item = Mapping>,
        mut facts: impl FnMut(&Mapping, FileId) -> Option<Arc<FileFacts>>,
    ) -> Self {
        let code = mappings.filter(|mapping| mapping.executable);
        let region = |mapping: Mapping| {
            let source = match mapping.file {
                Some(_) if is_memory(&mapping.path) => Source::Anonymous,
                Some(file) => Source::File(file, facts(&mapping, file)),
                None if mapping.path == "[vdso]" => Source::Vdso,
                None => Source::Anonymous,
            };
            Region { mapping, source }
        };
        Self {
            regions: code.take(REGIONS_MAX).map(region).collect(),
            opened: HashMap::new(),
            walks: Walks::default(),
        }
    }

    /// The region in which an address lies.
    pub(super) fn at(&self, address: u64) -> Option<&Region> {
        let after = self.regions.partition_point(|r| r.mapping.start <= address);
        let region = self.regions.get(after.checked_sub(1)?)?;
        (address < region.mapping.end).then_some(region)
    }
}
