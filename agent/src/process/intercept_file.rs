//! Where mod_wsgi's signal intercept is in its file. Pure and total.
//!
//! With `WSGIRestrictSignal On`, `signal.signal` is an object of the type `mod_wsgi.SignalIntercept`
//! whose call swallows the registration: `SignalIntercept_call`, a static function. Up to 5.x the type
//! is a static, exported `PyTypeObject` (`src/server/wsgi_interp.c`, 4.7.1 to 5.0.2), from 6.0 one
//! that is made from a static `PyType_Spec` (`src/server/wsgi_signal.c`, 6.1.1). `strip` takes the
//! function's symbol away, but neither the type's nor the name: there is one pointer to the name in
//! every build, from which the function is found.
//!
//! Several ways apply to most builds. A probe in the wrong place would be in the middle of an
//! instruction, so all that apply have to agree.

use std::fmt;

use object::{ReadRef, elf, read::elf::Sym as _};
use thiserror::Error;

use super::{
    elf::{E, Elf, ElfError, Pointers},
    python_file::find as position,
};

/// The type's name, as it stands in the file.
const NAME: &[u8; 25] = b"mod_wsgi.SignalIntercept\0";
/// `tp_name` and `tp_call` in a `PyTypeObject` of 64 bits (`Include/cpython/object.h`, the same
/// in 3.6 to 3.15). Free-threaded builds have a larger head, but the same distances.
const TYPE_NAME: u64 = 24;
const TYPE_CALL: u64 = 128;
/// `tp_dealloc`, as far behind the name as `slots` is in a `PyType_Spec` (`Include/object.h`):
/// the one is code, the other is not.
const DEALLOC_OR_SLOTS: u64 = 24;
/// Bytes of a `PyType_Slot`: a number, and a pointer at 8.
const SLOT: u64 = 16;
/// `Py_tp_call` (`Include/typeslots.h`), part of the stable ABI.
const SLOT_CALL: u32 = 50;
/// Slots of a specification that are looked at; mod_wsgi's has two.
const SLOTS_MAX: u64 = 64;
/// Places of the name, and pointers to each, that are looked at. Linked files have one of each.
const NAMES_MAX: usize = 4;

/// The function of mod_wsgi's signal intercept. Addresses are the file's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intercept {
    /// Address of the function.
    pub address: u64,
    /// Its offset in the file, for a uprobe.
    pub offset: u64,
    /// Every way that led there, the most direct one first; at least one.
    pub ways: Vec<Way>,
}

/// What led to the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Its own symbol.
    Symbol,
    /// The exported type.
    ExportedType,
    /// A type, found by its name.
    NamedType,
    /// A type's specification, found by its name.
    NamedSpecification,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Symbol => "its symbol",
            Self::ExportedType => "its exported type",
            Self::NamedType => "the type of its name",
            Self::NamedSpecification => "the specification of its name",
        })
    }
}

/// Why the function is not known.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoIntercept {
    /// The file is broken.
    #[error("failed to find the signal intercept of mod_wsgi: {0}")]
    Elf(#[from] ElfError),
    /// Nothing in the file speaks of it.
    #[error(
        "failed to find the signal intercept of mod_wsgi: the file has neither its symbol nor its name"
    )]
    NoName,
    /// The name stands alone.
    #[error(
        "failed to find the signal intercept of mod_wsgi: nothing in the file points to its name"
    )]
    NoPointer,
    /// What has the name is none of the structures that we know.
    #[error(
        "failed to find the signal intercept of mod_wsgi: what points to its name is no type that has a call"
    )]
    NoCall,
    /// Two ways lead to different functions.
    #[error(
        "failed to find the signal intercept of mod_wsgi: {0} and {1} lead to different functions"
    )]
    Disagreement(Way, Way),
}

/// Finds the function in mod_wsgi's file.
///
/// # Errors
///
/// When no way leads to a function, or two lead to different ones.
pub(super) fn find<'d, R: ReadRef<'d>>(elf: &Elf<'d, R>) -> Result<Intercept, NoIntercept> {
    let symbols = Symbols::read(elf);
    let direct = symbols.functions.iter().map(|&at| (Way::Symbol, at));
    let direct = direct.filter(|&(_, address)| elf.image.code_offset_of(address).is_some());
    let mut found: Vec<_> = direct.collect();
    let pointers = elf.pointers();
    // Where the relocations are broken the symbol still tells; where there is none, that is why.
    let missing = match &pointers {
        Ok(pointers) => {
            let search = Search { elf, pointers };
            found.extend(symbols.types.iter().filter_map(|&at| search.exported(at)));
            search.by_name(&mut found)
        }
        Err(error) => error.clone().into(),
    };
    let Some(&(way, address)) = found.first() else {
        return Err(missing);
    };
    if let Some(&(other, _)) = found.iter().find(|other| other.1 != address) {
        return Err(NoIntercept::Disagreement(way, other));
    }
    let offset = elf.image.code_offset_of(address).ok_or(missing)?;
    let mut ways: Vec<Way> = found.into_iter().map(|(way, _)| way).collect();
    ways.dedup();
    Ok(Intercept {
        address,
        offset,
        ways,
    })
}

/// What the symbol tables say. A static function may be there twice, in two files of the source.
#[derive(Default)]
struct Symbols {
    functions: Vec<u64>,
    types: Vec<u64>,
}

impl Symbols {
    fn read<'d, R: ReadRef<'d>>(elf: &Elf<'d, R>) -> Self {
        let mut found = Self::default();
        for table in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
            // One table that is broken or too large leaves the other, and the name.
            for (name, symbol) in elf.symbols(table).into_iter().flatten() {
                let addresses = match name {
                    b"SignalIntercept_call" => &mut found.functions,
                    b"SignalIntercept_Type" => &mut found.types,
                    _ => continue,
                };
                let address = symbol.st_value(E);
                if !symbol.is_undefined(E)
                    && !addresses.contains(&address)
                    && addresses.len() < NAMES_MAX
                {
                    addresses.push(address);
                }
            }
        }
        found
    }
}

/// A search along pointers.
struct Search<'s, 'd, R: ReadRef<'d>> {
    elf: &'s Elf<'d, R>,
    pointers: &'s Pointers,
}

impl<'d, R: ReadRef<'d>> Search<'_, 'd, R> {
    /// The function of the exported type, if that has the name.
    fn exported(&self, at: u64) -> Option<(Way, u64)> {
        let name = self.pointers.at(at.checked_add(TYPE_NAME)?)?;
        if self.elf.bytes_at(name) != Some(*NAME) {
            return None;
        }
        let function = self.code_at(at.checked_add(TYPE_CALL)?)?;
        Some((Way::ExportedType, function))
    }

    /// The functions that are found by the name, and what was missing for more.
    fn by_name(&self, found: &mut Vec<(Way, u64)>) -> NoIntercept {
        let mut missing = NoIntercept::NoName;
        for (section, data) in self.elf.constants() {
            let mut from = 0;
            for _ in 0..NAMES_MAX {
                let Some(at) = data.get(from..).and_then(|rest| position(rest, NAME)) else {
                    break;
                };
                let name = section.saturating_add((from + at) as u64);
                from += at + NAME.len();
                if missing == NoIntercept::NoName {
                    missing = NoIntercept::NoPointer;
                }
                for pointer in self.pointers.to(name).take(NAMES_MAX) {
                    missing = NoIntercept::NoCall;
                    found.extend(self.named(pointer));
                }
            }
        }
        missing
    }

    /// The function of what has its name at an address.
    fn named(&self, name: u64) -> Option<(Way, u64)> {
        let next = self.pointers.at(name.checked_add(DEALLOC_OR_SLOTS)?)?;
        if self.elf.image.code_offset_of(next).is_some() {
            let function = self.code_at(name.checked_add(TYPE_CALL - TYPE_NAME)?)?;
            return Some((Way::NamedType, function));
        }
        let mut slots = (0..SLOTS_MAX).map_while(|index| {
            let slot = next.checked_add(index * SLOT)?;
            let id = self.elf.bytes_at(slot).map(u32::from_le_bytes)?;
            (id != 0).then_some((id, slot))
        });
        let (_, slot) = slots.find(|(id, _)| *id == SLOT_CALL)?;
        let function = self.code_at(slot.checked_add(8)?)?;
        Some((Way::NamedSpecification, function))
    }

    /// Where the pointer at an address leads, if it leads to code.
    fn code_at(&self, place: u64) -> Option<u64> {
        let target = self.pointers.at(place)?;
        let is_code = self.elf.image.code_offset_of(target).is_some();
        is_code.then_some(target)
    }
}

#[cfg(test)]
#[path = "intercept_file_tests.rs"]
mod tests;
