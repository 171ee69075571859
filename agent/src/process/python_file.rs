//! The interpreter in a file: where CPython's runtime is, and of which version. Pure and total.
//!
//! `_PyRuntime` (`Python/pylifecycle.c`, 3.7 and later) is in the dynamic symbols
//! of every libpython, of statically linked programs, and of a mod_wsgi that was linked against
//! a static libpython, stripped or not. 3.6 has `_PyThreadState_Current` there.

mod head;

use std::sync::Arc;

use object::{ReadRef, elf, read::elf::Sym as _};
use probe_abi::process::{START_CODE, START_SKIP};

use super::{
    elf::{E, Elf, ElfError},
    proc::FileId,
};
use crate::python::{
    Version,
    debug_offsets::{self, Disagreement},
    layout::Runtime,
    reading::{self, Choice, Reading, Said, Unsupported},
};

/// The interpreter in a file. Addresses are the file's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonFile {
    /// Its version, where the file tells.
    pub version: Option<Version>,
    /// Address of the head of the list of interpreters; where that cannot be read, of something
    /// that is there.
    pub interpreters: u64,
    /// Address of the pointer to the thread state that holds the interpreter lock, up to 3.11.
    pub current: Option<u64>,
    /// How its stacks can be read.
    pub reading: Reading,
    /// In what the interpreter's own description and the table of layouts differ.
    pub disagreements: Vec<Disagreement>,
    /// The function that every way of starting an interpreter reaches.
    pub start: Option<Start>,
}

/// A function that starts an interpreter. Addresses are the file's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Address of the function.
    pub address: u64,
    /// Its offset in the file, for a uprobe.
    pub offset: u64,
    /// Its code from byte [`START_SKIP`] on.
    pub code: [u8; START_CODE],
}

/// An interpreter in a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonAt {
    /// The file.
    pub file: FileId,
    /// Its path, as the process has it.
    pub path: Arc<str>,
    /// The interpreter, with addresses of the process.
    pub python: PythonFile,
}

impl PythonFile {
    /// The same in a process that has the file at a distance from its own addresses.
    #[must_use]
    pub fn loaded(&self, bias: u64) -> Self {
        Self {
            interpreters: self.interpreters.wrapping_add(bias),
            current: self.current.map(|current| current.wrapping_add(bias)),
            ..self.clone()
        }
    }
}

/// Where the linker puts `_PyRuntime` from 3.10 on (`Include/internal/pycore_runtime.h`), which tells
/// of an interpreter in a file without symbols.
const SECTION: &[u8] = b".PyRuntime";

/// The symbols that tell of an interpreter.
#[derive(Default)]
pub(super) struct Symbols {
    runtime: Option<u64>,
    version: Option<u64>,
    /// What every way of starting an interpreter reaches, the innermost function that has a symbol:
    /// one may be inlined into the one before it.
    starts: [Option<u64>; STARTS.len()],
    /// `_PyThreadState_Current`, `interp_head` and `PyInterpreterState_Head`: 3.6 and before.
    older: Option<u64>,
    older_list: Option<u64>,
    older_head: Option<u64>,
    debug: bool,
    /// The file imports Python's functions, so the interpreter is in another file.
    pub(super) imported: bool,
}

/// Functions that start an interpreter: 3.8 and later, 3.7, 3.6, and one that all have.
/// `Py_Initialize` and `Py_InitializeEx` reach the first that a version has (`Python/pylifecycle.c`).
const STARTS: [&[u8]; 4] = [
    b"Py_InitializeFromConfig",
    b"_Py_InitializeFromConfig",
    b"_Py_InitializeEx_Private",
    b"Py_InitializeEx",
];

impl Symbols {
    /// Takes note of a defined symbol.
    pub(super) fn add(&mut self, name: &[u8], value: u64) {
        match name {
            b"_PyRuntime" => self.runtime = Some(value),
            b"Py_Version" => self.version = Some(value),
            b"_PyThreadState_Current" => self.older = Some(value),
            b"interp_head" => self.older_list = Some(value),
            b"PyInterpreterState_Head" => self.older_head = Some(value),
            // What only builds with Py_REF_DEBUG or Py_TRACE_REFS have (`Objects/object.c`).
            b"_Py_NegativeRefcount" | b"_Py_PrintReferences" => self.debug = true,
            _ => {
                if let Some(at) = STARTS.iter().position(|start| *start == name) {
                    self.starts[at] = Some(value);
                }
            }
        }
    }

    /// Puts the interpreter's facts together.
    ///
    /// The full symbol table is large and seldom there, so it is asked only where the file can
    /// hold an interpreter that it does not export, or is a 3.6, whose list no file exports.
    pub(super) fn resolve<'d, R: ReadRef<'d>>(
        mut self,
        elf: &Elf<'d, R>,
        soname: &[u8],
        may_embed: bool,
    ) -> Result<Option<PythonFile>, ElfError> {
        let hidden = may_embed && !self.imported;
        if self.runtime.is_none() && (hidden || self.older.is_some()) {
            for (name, symbol) in elf.symbols(elf::SHT_SYMTAB)? {
                if !symbol.is_undefined(E) {
                    self.add(name, symbol.st_value(E));
                }
            }
        }
        self.runtime = self.runtime.or_else(|| elf.address_of(SECTION));
        let Some(known) = self.runtime.or(self.older) else {
            return Ok(None);
        };
        let description = (self.runtime).and_then(|at| elf.bytes_at::<{ debug_offsets::SIZE }>(at));
        let hex = self.version.and_then(|at| elf.value_at(at));
        let described = description
            .as_ref()
            .and_then(|bytes| debug_offsets::head(bytes));
        // The literals are long to search.
        let named = || {
            from_soname(soname)
                .or_else(|| elf.constants().find_map(|(_, data)| from_cache_tag(data)))
        };
        let Choice {
            version,
            mut reading,
            runtime,
            disagreements,
        } = reading::choose(&Said {
            hex,
            named: if hex.is_none() && described.is_none() {
                named()
            } else {
                None
            },
            debug: self.debug || flags(soname).contains(&b'd'),
            runtime: description.as_ref().map(<[u8; _]>::as_slice),
        });
        let mut list = (known, None);
        if !matches!(reading, Reading::Unsupported(_)) {
            match self.list(elf, runtime) {
                Some(found) => list = found,
                None => reading = Reading::Unsupported(Unsupported::NoList),
            }
        }
        let start = self.starts.iter().flatten().next();
        Ok(Some(PythonFile {
            version,
            interpreters: list.0,
            current: list.1,
            reading,
            disagreements,
            start: start.and_then(|&address| start_at(elf, address)),
        }))
    }

    /// Addresses of the head of the list of interpreters, and of the pointer to the thread state
    /// that holds the lock.
    fn list<'d, R: ReadRef<'d>>(
        &self,
        elf: &Elf<'d, R>,
        runtime: Option<Runtime>,
    ) -> Option<(u64, Option<u64>)> {
        if let Some((runtime, at)) = self.runtime.zip(runtime) {
            let current = at.current.map(|current| runtime.wrapping_add(current));
            return Some((runtime.wrapping_add(at.interpreters), current));
        }
        let head = || head::read_by(elf, self.older_head?);
        Some((self.older_list.or_else(head)?, self.older))
    }
}

fn start_at<'d, R: ReadRef<'d>>(elf: &Elf<'d, R>, address: u64) -> Option<Start> {
    Some(Start {
        address,
        offset: elf.image.code_offset_of(address)?,
        code: elf.bytes_at(address.checked_add(START_SKIP)?)?,
    })
}

/// From `libpython3.10.so.1.0`.
fn from_soname(soname: &[u8]) -> Option<Version> {
    minor(soname.strip_prefix(b"libpython3.")?)
}

/// The letters between the version and the `.so`: `m` up to 3.7, `d` of debug builds, `t` of
/// free-threaded ones.
fn flags(soname: &[u8]) -> &[u8] {
    let rest = soname.strip_prefix(b"libpython3.").unwrap_or_default();
    let end = rest.iter().position(|&byte| byte == b'.');
    &rest[..end.unwrap_or(0)]
}

/// From the literal `cpython-310`, the tag of compiled files: for static builds before 3.11.
fn from_cache_tag(data: &[u8]) -> Option<Version> {
    const TAG: &[u8] = b"\0cpython-3";
    let mut rest = data;
    while let Some(at) = find(rest, TAG) {
        rest = &rest[at + TAG.len()..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if rest.get(digits) == Some(&0) {
            return minor(rest);
        }
    }
    None
}

fn minor(text: &[u8]) -> Option<Version> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let minor = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    Some(Version::new(3, minor))
}

/// Position of the first occurrence.
pub(super) fn find(data: &[u8], what: &[u8]) -> Option<usize> {
    data.windows(what.len()).position(|window| window == what)
}
