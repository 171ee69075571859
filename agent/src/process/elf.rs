//! An ELF file: its segments, symbols and constants. Pure and total.
//!
//! Every size in a file is a claim. Tables beyond the limits below are refused, each name is
//! looked at for a bounded length, and so the time is bounded by the limits, not by the file.

mod relocations;

use object::{
    LittleEndian, ReadRef,
    elf::{self, FileHeader64, ProgramHeader64, SectionHeader64, Sym64},
    read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, SectionHeader as _, Sym as _},
};
use thiserror::Error;

pub(crate) use relocations::Pointers;

/// Little endian, like every architecture we support.
pub(crate) const E: LittleEndian = LittleEndian;
/// Sections of a file. Linked files have some forty.
const SECTIONS_MAX: u16 = 4_096;
/// Segments of a file. Linked files have some ten.
const SEGMENTS_MAX: u16 = 512;
/// Bytes of one table or constant section; LLVM 22's symbol names, the largest seen, take 4 MiB.
const TABLE_MAX: u64 = 16 << 20;
/// Bytes of a symbol's name that we look at; those that we know are shorter.
const NAME_MAX: usize = 128;

/// Why a file has no facts.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ElfError {
    /// It is no 64-bit little-endian ELF file, or a broken one.
    #[error("failed to parse the ELF file: {0}")]
    Malformed(#[from] object::Error),
    /// A table is larger than in any real file.
    #[error("failed to parse the ELF file: its {0} exceed the limit")]
    TooLarge(&'static str),
}

/// The loadable segments of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image(pub Vec<Segment>);

/// One loadable segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Address in the file's own terms.
    pub address: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub file_size: u64,
    /// Bytes in memory: `.bss` comes behind what the file has.
    pub memory_size: u64,
    /// It holds code.
    pub executable: bool,
}

impl Image {
    /// What to add to the file's addresses, given one *executable* mapping of the file.
    ///
    /// Two segments may share a page of the file, so an offset alone does not tell which one
    /// is mapped; the X flag does (seen with polars, whose first two segments share a page).
    #[must_use]
    pub fn bias(&self, start: u64, end: u64, offset: u64) -> Option<u64> {
        let mapped_end = offset.saturating_add(end.saturating_sub(start));
        let shared = |s: &&Segment| {
            let segment_end = s.offset.saturating_add(s.file_size);
            segment_end
                .min(mapped_end)
                .saturating_sub(s.offset.max(offset))
        };
        let segment = self
            .0
            .iter()
            .filter(|s| s.executable)
            .max_by_key(shared)
            .filter(|s| shared(s) > 0)?;
        let at_offset = segment
            .address
            .wrapping_sub(segment.offset)
            .wrapping_add(offset);
        Some(start.wrapping_sub(at_offset))
    }

    /// One past the last address of the file in memory, in the file's own terms.
    #[must_use]
    pub fn end(&self) -> u64 {
        let end = |s: &Segment| s.address.saturating_add(s.memory_size);
        self.0.iter().map(end).max().unwrap_or_default()
    }

    /// Where an address is in the file.
    #[must_use]
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        self.find(address, |_| true)
    }

    /// Where code is in the file, if it is code: an address that uprobes take.
    #[must_use]
    pub fn code_offset_of(&self, address: u64) -> Option<u64> {
        self.find(address, |segment| segment.executable)
    }

    fn find(&self, address: u64, fits: impl Fn(&Segment) -> bool) -> Option<u64> {
        self.0.iter().filter(|s| fits(s)).find_map(|s| {
            let inside = address.checked_sub(s.address)?;
            (inside < s.file_size).then(|| s.offset.checked_add(inside))?
        })
    }
}

/// The symbols of a table, and the section with their names.
pub(crate) type Table<'d> = (&'d [Sym64<LittleEndian>], usize);

/// A parsed file: headers only, the rest on demand.
pub(crate) struct Elf<'d, R: ReadRef<'d>> {
    data: R,
    sections: &'d [SectionHeader64<LittleEndian>],
    names: &'d [u8],
    machine: elf::Machine,
    pub(crate) image: Image,
}

impl<'d, R: ReadRef<'d>> Elf<'d, R> {
    pub(crate) fn parse(data: R) -> Result<Self, ElfError> {
        let header = FileHeader64::<LittleEndian>::parse(data)?;
        header.endian()?;
        // Beyond these, or zero, the real count stands elsewhere and is a claim of any size.
        if header.e_shnum(E) > SECTIONS_MAX {
            return Err(ElfError::TooLarge("sections"));
        }
        if header.e_phnum(E) > SEGMENTS_MAX {
            return Err(ElfError::TooLarge("segments"));
        }
        let segments: &[ProgramHeader64<_>] = header.program_headers(E, data)?;
        let loaded = segments
            .iter()
            .filter(|segment| segment.p_type(E) == elf::PT_LOAD);
        let image = loaded.map(|segment| Segment {
            address: segment.p_vaddr(E),
            offset: segment.p_offset(E),
            file_size: segment.p_filesz(E),
            memory_size: segment.p_memsz(E),
            executable: segment.p_flags(E).contains(elf::PF_X),
        });
        let mut elf = Self {
            data,
            sections: &[],
            names: &[],
            machine: header.e_machine(E),
            image: Image(image.collect()),
        };
        if header.e_shnum(E) > 0 {
            elf.sections = header.section_headers(E, data)?;
            let names = header.shstrndx(E, data)?;
            elf.names = elf.section_data(usize::try_from(names).unwrap_or(usize::MAX))?;
        }
        Ok(elf)
    }

    fn section_data(&self, index: usize) -> Result<&'d [u8], ElfError> {
        match self.sections.get(index) {
            Some(section) => self.data_of(section),
            None => Ok(&[]),
        }
    }

    fn data_of(&self, section: &SectionHeader64<LittleEndian>) -> Result<&'d [u8], ElfError> {
        self.data_within(section, TABLE_MAX)
    }

    fn data_within(
        &self,
        section: &SectionHeader64<LittleEndian>,
        limit: u64,
    ) -> Result<&'d [u8], ElfError> {
        if section.sh_type(E) != elf::SHT_NOBITS && section.sh_size(E) > limit {
            return Err(ElfError::TooLarge("tables"));
        }
        Ok(section.data(E, self.data)?)
    }

    /// The address and the bytes of the section with this name; `None` where there is none. A
    /// file with its debug information only has the sections, but not their bytes.
    pub(crate) fn section(
        &self,
        name: &[u8],
        limit: u64,
    ) -> Result<Option<(u64, &'d [u8])>, ElfError> {
        let named = |s: &&SectionHeader64<_>| text(self.names, s.sh_name(E)) == Some(name);
        match self.sections.iter().find(named) {
            Some(s) => Ok(Some((s.sh_addr(E), self.data_within(s, limit)?))),
            None => Ok(None),
        }
    }

    /// The symbols of a table, and the section with their names, which is not read as a whole;
    /// `None` where there is no such table.
    pub(crate) fn table(
        &self,
        kind: elf::SectionType,
        limit: u64,
    ) -> Result<Option<Table<'d>>, ElfError> {
        let Some(table) = self.sections.iter().find(|s| s.sh_type(E) == kind) else {
            return Ok(None);
        };
        self.data_within(table, limit)?;
        let symbols = table.data_as_array(E, self.data)?;
        Ok(Some((symbols, table.sh_link(E) as usize)))
    }

    /// The beginning of a name in a section of names.
    pub(crate) fn name_at(&self, names: usize, at: u32, limit: u64) -> Option<&'d [u8]> {
        let (offset, size) = self.sections.get(names)?.file_range(E)?;
        let start = offset.checked_add(at.into())?;
        let end = offset.checked_add(size)?.min(start.checked_add(limit)?);
        let size = end.checked_sub(start)?;
        let whole = self.data.read_bytes_at_until(start..end, 0);
        whole
            .or_else(|()| self.data.read_bytes_at(start, size))
            .ok()
    }

    /// The symbols of a table (`SHT_DYNSYM`, `SHT_SYMTAB`); none where there is no such table.
    pub(super) fn symbols(
        &self,
        kind: elf::SectionType,
    ) -> Result<impl Iterator<Item = (&'d [u8], &'d Sym64<LittleEndian>)> + use<'d, R>, ElfError>
    {
        let table = self.sections.iter().find(|s| s.sh_type(E) == kind);
        let (symbols, names) = match table {
            Some(table) => {
                self.data_of(table)?;
                let names = self.section_data(table.sh_link(E) as usize)?;
                (table.data_as_array(E, self.data)?, names)
            }
            None => (&[][..], &[][..]),
        };
        Ok(symbols
            .iter()
            .filter_map(move |s: &Sym64<_>| Some((text(names, s.st_name(E))?, s))))
    }

    /// The name that the file asks to be linked by.
    pub(super) fn soname(&self) -> Result<Option<&'d [u8]>, ElfError> {
        let Some(table) = self
            .sections
            .iter()
            .find(|s| s.sh_type(E) == elf::SHT_DYNAMIC)
        else {
            return Ok(None);
        };
        self.data_of(table)?;
        let entries: &[elf::Dyn64<_>] = table.data_as_array(E, self.data)?;
        let Some(entry) = entries.iter().find(|d| d.d_tag(E) == elf::DT_SONAME) else {
            return Ok(None);
        };
        let names = self.section_data(table.sh_link(E) as usize)?;
        let at = u32::try_from(entry.d_val(E)).unwrap_or(u32::MAX);
        Ok(text(names, at))
    }

    /// The addresses and the data of the constant sections, where string literals live.
    pub(super) fn constants(&self) -> impl Iterator<Item = (u64, &'d [u8])> {
        self.sections
            .iter()
            .filter(|s| text(self.names, s.sh_name(E)).is_some_and(|n| n.starts_with(b".rodata")))
            // Linked files have one, or three where mold put literals and numbers apart; a file
            // that claims thousands is not worth the memory.
            .take(4)
            .filter_map(|s| Some((s.sh_addr(E), self.data_of(s).ok()?)))
    }

    /// Address of a section.
    pub(super) fn address_of(&self, name: &[u8]) -> Option<u64> {
        let mut sections = self.sections.iter();
        let section = sections.find(|s| text(self.names, s.sh_name(E)) == Some(name))?;
        Some(section.sh_addr(E))
    }

    /// A 64-bit value at an address, as the file has it before it is loaded.
    pub(super) fn value_at(&self, address: u64) -> Option<u64> {
        self.bytes_at(address).map(u64::from_le_bytes)
    }

    /// The bytes at an address.
    pub(super) fn bytes_at<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let offset = self.image.offset_of(address)?;
        let bytes = self.data.read_bytes_at(offset, N as u64).ok()?;
        bytes.try_into().ok()
    }
}

/// A NUL-terminated name; `None` where it is longer than any that we know.
fn text(names: &[u8], at: u32) -> Option<&[u8]> {
    let rest = names.get(at as usize..)?;
    let rest = &rest[..rest.len().min(NAME_MAX)];
    Some(&rest[..rest.iter().position(|&byte| byte == 0)?])
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;
