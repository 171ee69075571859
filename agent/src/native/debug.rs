//! A file's debug file, which has the names that distributions strip: found where debuggers look
//! for it, below the process's own root.
//!
//! The two belong together where they have one build id. Without one they would have to be
//! compared by a checksum over the whole debug file, which may have gigabytes: such are left out.

use std::{fs::File, path::Path};

use object::{ReadRef, elf};

use super::symbols::{self, Symbol};
use crate::process::{
    directory::Directory,
    elf::Elf,
    files::{self, Identity},
};

/// Bytes of a note section.
const NOTE_MAX: u64 = 4 << 10;
/// Where debug files are installed.
const INSTALLED: &str = "usr/lib/debug";

/// What a file says of its debug file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The build id, as hexadecimal digits.
    id: String,
    /// The name that `.gnu_debuglink` gives.
    name: Option<String>,
}

impl Link {
    /// Reads it; `None` for a file without a build id.
    pub(super) fn of<'d, R: ReadRef<'d>>(elf: &Elf<'d, R>) -> Option<Self> {
        let id = build_id(elf)?;
        let name = elf.section(b".gnu_debuglink", NOTE_MAX).ok().flatten();
        let name = name.and_then(|(_, bytes)| {
            let end = bytes.iter().position(|byte| *byte == 0)?;
            let name = std::str::from_utf8(&bytes[..end]).ok()?;
            (!name.is_empty() && !name.contains('/')).then(|| name.to_owned())
        });
        Some(Self { id, name })
    }

    /// Where it may be, below a root: GDB's manual, "Debugging Information in Separate Files".
    fn paths(&self, module: &str) -> Vec<String> {
        let mut paths = Vec::new();
        if let Some((head, tail)) = self.id.split_at_checked(2) {
            paths.push(format!("{INSTALLED}/.build-id/{head}/{tail}.debug"));
        }
        let folder = Path::new(module.trim_start_matches('/')).parent();
        if let (Some(name), Some(folder)) = (&self.name, folder.and_then(Path::to_str)) {
            paths.push(format!("{folder}/{name}"));
            paths.push(format!("{folder}/.debug/{name}"));
            paths.push(format!("{INSTALLED}/{folder}/{name}"));
        }
        paths
    }

    /// Opens it, if it is there.
    pub(super) fn open(&self, directory: &Directory, module: &str) -> Option<File> {
        let paths = self.paths(module);
        paths.iter().find_map(|path| directory.open_inside(path))
    }
}

/// The build id: one note, `NT_GNU_BUILD_ID` of the owner `GNU`, in a section of its own.
fn build_id<'d, R: ReadRef<'d>>(elf: &Elf<'d, R>) -> Option<String> {
    let (_, note) = elf.section(b".note.gnu.build-id", NOTE_MAX).ok()??;
    let (head, rest) = note.split_at_checked(16)?;
    let word = |at: usize| {
        head.get(at..at + 4)?
            .try_into()
            .ok()
            .map(u32::from_le_bytes)
    };
    if (word(0)?, word(8)?, &head[12..]) != (4, 3, b"GNU\0") {
        return None;
    }
    let id = rest.get(..word(4)? as usize)?;
    (2..=64).contains(&id.len()).then(|| {
        let digits = id.iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    })
}

/// The functions at these addresses, by a debug file that belongs to the link.
pub(super) fn symbols(file: &File, link: &Link, addresses: &[u64]) -> Option<Vec<Option<Symbol>>> {
    let (_, metadata) = Identity::of(file).ok()?;
    let found = files::read(file, &metadata, |data| {
        let elf = Elf::parse(data).ok()?;
        if build_id(&elf)? != link.id {
            return None;
        }
        symbols::find(&elf, elf::SHT_SYMTAB, addresses).ok()?
    });
    found.ok()?
}
