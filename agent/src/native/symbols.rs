//! Which function an address lies in.
//!
//! A table is read through once for the addresses that are asked for; nothing is sorted or kept
//! of it. Only a symbol that covers an address names it.

use std::{
    fmt::{self, Write},
    sync::Arc,
};

use object::{LittleEndian, ReadRef, elf, read::elf::Sym as _};

use crate::process::elf::{E, Elf, ElfError};

/// Bytes of a symbol table: two million symbols.
const TABLE_MAX: u64 = 48 << 20;
/// Bytes of a mangled name; names of C++ templates that are longer are cut.
const NAME_MAX: u64 = 1_024;
/// Characters of a name that users see.
const SHOWN_MAX: usize = 120;
/// Bytes of a name that the C++ demangler gets: its work may grow faster than the name does.
const CPP_MAX: usize = 512;

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    /// Its first address, in the file's own terms.
    pub(super) address: u64,
    /// Its name, demangled.
    pub(super) name: Arc<str>,
}

/// The functions at these addresses, by the table of this kind (`SHT_SYMTAB`, `SHT_DYNSYM`);
/// `None` where the file has none.
pub(super) fn find<'d, R: ReadRef<'d>>(
    elf: &Elf<'d, R>,
    kind: elf::SectionType,
    addresses: &[u64],
) -> Result<Option<Vec<Option<Symbol>>>, ElfError> {
    let Some((table, names)) = elf.table(kind, TABLE_MAX)? else {
        return Ok(None);
    };
    let mut best: Vec<Option<&elf::Sym64<LittleEndian>>> = vec![None; addresses.len()];
    for symbol in table.iter().filter(|symbol| is_code(symbol)) {
        for (best, &address) in best.iter_mut().zip(addresses) {
            if covers(symbol, address) && best.is_none_or(|best| is_better(symbol, best)) {
                *best = Some(symbol);
            }
        }
    }
    let symbol = |best: &elf::Sym64<LittleEndian>| {
        let name = elf.name_at(names, best.st_name(E), NAME_MAX)?;
        (!name.is_empty()).then(|| Symbol {
            address: best.st_value(E),
            name: shown(&String::from_utf8_lossy(name)).into(),
        })
    };
    Ok(Some(best.iter().map(|best| symbol((*best)?)).collect()))
}

fn is_code(symbol: &elf::Sym64<LittleEndian>) -> bool {
    let kind = symbol.st_type();
    (kind == elf::STT_FUNC || kind == elf::STT_GNU_IFUNC || kind == elf::STT_NOTYPE)
        && !symbol.is_undefined(E)
        && symbol.st_value(E) != 0
}

/// A symbol without a size is a label, of assembly: it names its own address only. What follows
/// it may be anything.
fn covers(symbol: &elf::Sym64<LittleEndian>, address: u64) -> bool {
    let inside = address.checked_sub(symbol.st_value(E));
    inside.is_some_and(|inside| inside < symbol.st_size(E).max(1))
}

/// Of several names for one place: the function that begins last, a function before a label, a
/// global name before a local one.
fn is_better(symbol: &elf::Sym64<LittleEndian>, best: &elf::Sym64<LittleEndian>) -> bool {
    let rank = |symbol: &elf::Sym64<LittleEndian>| {
        (
            symbol.st_value(E),
            symbol.st_type() != elf::STT_NOTYPE,
            symbol.st_bind() != elf::STB_LOCAL,
        )
    };
    rank(symbol) > rank(best)
}

/// A name as its language writes it, of bounded length.
fn shown(name: &str) -> String {
    let name = plain(name);
    let mut shown = match demangled(name) {
        Some(name) => name,
        None => name.to_owned(),
    };
    if shown.chars().count() > SHOWN_MAX + 1 {
        let end = shown.char_indices().nth(SHOWN_MAX).map_or(0, |(at, _)| at);
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// Without the version that a linker puts behind a name: `pthread_create@GLIBC_2.2.5`.
fn plain(name: &str) -> &str {
    match name.find('@') {
        Some(at @ 1..) => &name[..at],
        _ => name,
    }
}

fn demangled(name: &str) -> Option<String> {
    let mut out = Limited(String::new());
    let mut end = Ok(());
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        // Without the hash.
        end = write!(out, "{rust:#}");
    } else if name.starts_with("_Z") && name.len() <= CPP_MAX {
        let parse = cpp_demangle::ParseOptions::default().recursion_limit(64);
        let symbol = cpp_demangle::Symbol::new_with_options(name, &parse).ok()?;
        let options = cpp_demangle::DemangleOptions::new()
            .no_params()
            .recursion_limit(64);
        end = symbol.structured_demangle(&mut out, &options);
    }
    // Whatever was written before a limit is what users see.
    if end.is_err() && !out.0.is_empty() {
        out.0.push('…');
    }
    (!out.0.is_empty()).then_some(out.0)
}

/// The beginning of what is written: a short mangled name may stand for an endless one.
struct Limited(String);

impl Write for Limited {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() > 4 * SHOWN_MAX {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_read_as_their_languages_write_them() {
        for (name, expected) in [
            ("reports_start", "reports_start"),
            ("pthread_create@GLIBC_2.2.5", "pthread_create"),
            ("__libc_start_main@@GLIBC_2.34", "__libc_start_main"),
            ("@odd", "@odd"),
            ("_ZN5polar5frame4openEii", "polar::frame::open"),
            (
                "_ZN3std2io5Write9write_all17h0123456789abcdefE",
                "std::io::Write::write_all",
            ),
            ("_RNvCs15kBYyAo9fc_7mycrate7example", "mycrate::example"),
            ("_Z!", "_Z!"),
        ] {
            assert_eq!(shown(name), expected);
        }
        let long = shown(&"x".repeat(4_000));
        assert_eq!(long.chars().count(), SHOWN_MAX + 1);
        assert!(long.ends_with('…'));
    }

    /// A short name may stand for one of any length: each parameter is a function of the one before,
    /// twice.
    #[test]
    fn a_name_that_explodes_is_cut_in_time() {
        for start in ["1a", "JE", "PFvvE"] {
            let mut name = format!("_Z1fI{start}FS_S_E");
            for digit in ('0'..='9').chain('A'..='Z') {
                name.push_str(&format!("FS{digit}_S{digit}_E"));
            }
            name.push_str("EvT_");
            let begin = Instant::now();
            let shown = shown(&name);
            assert!(
                shown.starts_with("void f<") && shown.ends_with('…'),
                "{shown}"
            );
            assert!(begin.elapsed() < Duration::from_secs(1), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_shown(name in "(_Z|_R|_ZN)?[A-Za-z0-9_.$]{0,80}") {
            prop_assert!(shown(&name).chars().count() <= SHOWN_MAX + 1);
        }
    }
}
