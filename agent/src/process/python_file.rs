//! The interpreter in a file: where CPython's runtime is, and of which version. Pure and total.
//!
//! `_PyRuntime` (`Python/pylifecycle.c`, 3.7 and later) is in the dynamic symbols
//! of every libpython, of statically linked programs, and of a mod_wsgi that was linked against
//! a static libpython, stripped or not. 3.6 has `_PyThreadState_Current` there.

mod head;

use std::{path::PathBuf, sync::Arc};

use object::{ReadRef, elf, read::elf::Sym as _};
use probe_abi::process::{START_CODE, START_SKIP};

use super::{
    elf::{E, Elf, ElfError},
    proc::FileId,
};
use crate::python::{
    Version,
    layout::{self, Runtime},
    reading::{Reading, Unsupported},
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

/// Where to put the uprobe that sees an interpreter start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UprobeTarget {
    /// A path that leads to the file now, through the process; gone when the process is.
    pub path: PathBuf,
    /// The file: one uprobe serves every process that maps it.
    pub file: FileId,
    /// The function to probe.
    pub start: Start,
    /// The interpreter that it starts.
    pub python: PythonFile,
}

impl PythonFile {
    /// The same in a process that has the file at a distance from its own addresses.
    pub(super) fn loaded(&self, bias: u64) -> Self {
        Self {
            interpreters: self.interpreters.wrapping_add(bias),
            current: self.current.map(|current| current.wrapping_add(bias)),
            ..self.clone()
        }
    }
}

/// First bytes of `_Py_DebugOffsets`, which `_PyRuntime` starts with from 3.13 on.
const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");

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
        // `_Py_DebugOffsets`: cookie, PY_VERSION_HEX, free_threaded (3.13 to 3.15).
        let word = |at| elf.value_at(self.runtime?.checked_add(at)?);
        let self_described = word(0) == Some(COOKIE);
        let version = (self.version.and_then(|at| elf.value_at(at)))
            .and_then(from_hex)
            .or_else(|| word(8).filter(|_| self_described).and_then(from_hex))
            .or_else(|| from_soname(soname))
            .or_else(|| elf.constants().find_map(from_cache_tag))
            .map(|version| {
                if self_described && word(16) == Some(1) {
                    version.free_threaded()
                } else {
                    version
                }
            });
        let start = self.starts.iter().flatten().next();
        let start = start.and_then(|&address| start_at(elf, address));
        let debug = self.debug || flags(soname).contains(&b'd');
        let list = version
            .and_then(layout::find)
            .ok_or(Unsupported::Version)
            .and_then(|(index, row)| {
                if debug && !self_described {
                    return Err(Unsupported::DebugBuild);
                }
                Ok((index, self.list(elf, row.runtime)?))
            });
        Ok(Some(match list {
            Ok((index, (interpreters, current))) => PythonFile {
                version,
                interpreters,
                current,
                reading: Reading::Row(index),
                start,
            },
            Err(reason) => PythonFile {
                version,
                interpreters: known,
                current: None,
                reading: Reading::Unsupported(reason),
                start,
            },
        }))
    }

    /// Addresses of the head of the list of interpreters, and of the pointer to the thread state
    /// that holds the lock.
    fn list<'d, R: ReadRef<'d>>(
        &self,
        elf: &Elf<'d, R>,
        runtime: Option<Runtime>,
    ) -> Result<(u64, Option<u64>), Unsupported> {
        if let Some((runtime, at)) = self.runtime.zip(runtime) {
            let current = at.current.map(|current| runtime.wrapping_add(current));
            return Ok((runtime.wrapping_add(at.interpreters), current));
        }
        let head = || head::read_by(elf, self.older_head?);
        let list = self.older_list.or_else(head).ok_or(Unsupported::NoList)?;
        Ok((list, self.older))
    }
}

fn start_at<'d, R: ReadRef<'d>>(elf: &Elf<'d, R>, address: u64) -> Option<Start> {
    Some(Start {
        address,
        offset: elf.image.code_offset_of(address)?,
        code: elf.bytes_at(address.checked_add(START_SKIP)?)?,
    })
}

/// From `PY_VERSION_HEX`: 0x030B02F0 is 3.11.2.
fn from_hex(hex: u64) -> Option<Version> {
    let [major, minor, ..] = u32::try_from(hex).ok()?.to_be_bytes();
    (major == 3).then_some(Version::new(major, minor))
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
