//! Where a file's own pointers will lead once it is loaded. Pure and total.
//!
//! What a variable points to stands in the relocation tables, not in the variable: a loader adds the
//! address at which the file lies (ELF gABI, "Relocation"; the psABIs of x86-64 and AArch64). Both
//! have addends in the table; the packed form, `SHT_RELR`, has them in the variable.

use object::{
    LittleEndian, ReadRef,
    elf::{self, FileHeader64, Rela64, Relr64},
    read::elf::{RelrIterator, SectionHeader as _, Sym as _},
};

use super::{E, Elf, ElfError, TABLE_MAX};

/// Tables that are read. Linked files have three: of data, of functions, the packed one.
const TABLES_MAX: usize = 8;
/// Pointers of a file. A mod_wsgi that CPython is linked into has 39,000.
const POINTERS_MAX: usize = 1 << 18;

/// A file's pointers that lead into the file itself: where each is, and where it leads.
#[derive(Debug)]
pub(crate) struct Pointers(Vec<(u64, u64)>);

impl Pointers {
    /// Where the pointer at an address leads.
    pub(crate) fn at(&self, place: u64) -> Option<u64> {
        let found = self.0.binary_search_by_key(&place, |pointer| pointer.0);
        found.ok().map(|index| self.0[index].1)
    }

    /// The addresses of the pointers that lead to an address.
    pub(crate) fn to(&self, target: u64) -> impl Iterator<Item = u64> {
        let leads = move |pointer: &&(u64, u64)| pointer.1 == target;
        self.0.iter().filter(leads).map(|pointer| pointer.0)
    }
}

/// What a relocation makes of its place.
enum Kind {
    /// The file's address and the addend.
    Relative,
    /// A symbol's address and the addend.
    Symbol,
}

/// By the file's machine: x86-64's numbers and AArch64's overlap.
fn kind(machine: elf::Machine, kind: elf::RelocationType) -> Option<Kind> {
    match (machine, kind) {
        (elf::EM_X86_64, elf::R_X86_64_RELATIVE) | (elf::EM_AARCH64, elf::R_AARCH64_RELATIVE) => {
            Some(Kind::Relative)
        }
        (elf::EM_X86_64, elf::R_X86_64_64 | elf::R_X86_64_GLOB_DAT)
        | (elf::EM_AARCH64, elf::R_AARCH64_ABS64 | elf::R_AARCH64_GLOB_DAT) => Some(Kind::Symbol),
        _ => None,
    }
}

impl<'d, R: ReadRef<'d>> Elf<'d, R> {
    /// The pointers that a loader will fill in.
    pub(crate) fn pointers(&self) -> Result<Pointers, ElfError> {
        let mut pointers = Vec::new();
        let loaded = self
            .sections
            .iter()
            .filter(|s| s.sh_flags(E).contains(elf::SHF_ALLOC))
            .filter(|s| [elf::SHT_RELA, elf::SHT_RELR].contains(&s.sh_type(E)));
        for section in loaded.take(TABLES_MAX) {
            self.data_of(section)?;
            if section.sh_type(E) == elf::SHT_RELR {
                let packed: &[Relr64<LittleEndian>] = section.data_as_array(E, self.data)?;
                self.packed(packed, &mut pointers)?;
            } else {
                let table: &[Rela64<LittleEndian>] = section.data_as_array(E, self.data)?;
                self.listed(table, &mut pointers)?;
            }
        }
        // Of two for one place, which no linker writes, the first one is believed.
        pointers.sort_by_key(|pointer| pointer.0);
        pointers.dedup_by_key(|pointer| pointer.0);
        Ok(Pointers(pointers))
    }

    fn listed(
        &self,
        table: &[Rela64<LittleEndian>],
        pointers: &mut Vec<(u64, u64)>,
    ) -> Result<(), ElfError> {
        let (symbols, _) = self.table(elf::SHT_DYNSYM, TABLE_MAX)?.unwrap_or_default();
        for relocation in table {
            let base = match kind(self.machine, relocation.r_type(E, false)) {
                Some(Kind::Relative) => 0,
                Some(Kind::Symbol) => {
                    let symbol = symbols.get(relocation.r_sym(E, false) as usize);
                    match symbol.filter(|symbol| !symbol.is_undefined(E)) {
                        Some(symbol) => symbol.st_value(E),
                        None => continue,
                    }
                }
                None => continue,
            };
            let target = base.wrapping_add_signed(relocation.r_addend.get(E));
            push(pointers, relocation.r_offset.get(E), target)?;
        }
        Ok(())
    }

    fn packed(
        &self,
        table: &[Relr64<LittleEndian>],
        pointers: &mut Vec<(u64, u64)>,
    ) -> Result<(), ElfError> {
        // Read by the segment: by the pointer, each would be read and kept apart.
        let mut inside: Option<(u64, &[u8])> = None;
        for place in RelrIterator::<FileHeader64<LittleEndian>>::new(E, table) {
            let word = |(start, bytes): (u64, &[u8])| -> Option<u64> {
                let at = usize::try_from(place.checked_sub(start)?).ok()?;
                let word = bytes.get(at..at.checked_add(8)?)?;
                Some(u64::from_le_bytes(word.try_into().ok()?))
            };
            if inside.and_then(word).is_none() {
                inside = self.segment_at(place);
            }
            // Outside of what the file has there is nothing to add to: no linker writes that.
            if let Some(target) = inside.and_then(word) {
                push(pointers, place, target)?;
            }
        }
        Ok(())
    }

    /// The address and the bytes of the segment in which an address lies.
    fn segment_at(&self, address: u64) -> Option<(u64, &'d [u8])> {
        let holds = |s: &&super::Segment| {
            let inside = address.checked_sub(s.address);
            inside.is_some_and(|inside| inside < s.file_size)
        };
        let segment = self.image.0.iter().find(holds)?;
        let size = segment.file_size;
        let bytes = (size <= TABLE_MAX).then(|| self.data.read_bytes_at(segment.offset, size));
        Some((segment.address, bytes?.ok()?))
    }
}

fn push(pointers: &mut Vec<(u64, u64)>, place: u64, target: u64) -> Result<(), ElfError> {
    if pointers.len() >= POINTERS_MAX {
        return Err(ElfError::TooLarge("relocations"));
    }
    pointers.push((place, target));
    Ok(())
}

#[cfg(test)]
#[path = "relocations_tests.rs"]
mod tests;
