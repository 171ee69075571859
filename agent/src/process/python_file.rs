//! The interpreter in a file: where CPython's runtime is, and of which version. Pure and total.
//!
//! `_PyRuntime` (`Python/pylifecycle.c`, 3.7 and later) is in the dynamic symbols
//! of every libpython, of statically linked programs, and of a mod_wsgi that was linked against
//! a static libpython, stripped or not.

use std::path::PathBuf;

use object::{ReadRef, elf, read::elf::Sym as _};
use probe_abi::process::{START_CODE, START_SKIP};

use super::{
    elf::{E, Elf, ElfError},
    proc::FileId,
};

/// The interpreter in a file. Addresses are the file's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PythonFile {
    /// Major and minor version.
    pub version: (u8, u8),
    /// Address of `_PyRuntime`.
    pub runtime: u64,
    /// The function that every way of starting an interpreter reaches.
    pub start: Option<Start>,
    /// Built without the global interpreter lock: other layouts.
    pub free_threaded: bool,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PythonAt {
    /// Address of `_PyRuntime` in the process.
    pub runtime: u64,
    /// Major and minor version.
    pub version: (u8, u8),
    /// Built without the global interpreter lock: other layouts.
    pub free_threaded: bool,
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

/// First bytes of `_Py_DebugOffsets`, which `_PyRuntime` starts with from 3.13 on.
const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");

/// The symbols that tell of an interpreter.
#[derive(Default)]
pub(super) struct Symbols {
    runtime: Option<u64>,
    initialise: Option<u64>,
    version: Option<u64>,
    /// 3.6 and earlier, which have no `_PyRuntime`.
    older: bool,
    /// The file imports Python's functions, so the interpreter is in another file.
    pub(super) imported: bool,
}

impl Symbols {
    /// Takes note of a defined symbol.
    pub(super) fn add(&mut self, name: &[u8], value: u64) {
        match name {
            b"_PyRuntime" => self.runtime = Some(value),
            b"Py_InitializeFromConfig" => self.initialise = Some(value),
            b"Py_Version" => self.version = Some(value),
            b"_PyThreadState_Current" => self.older = true,
            _ => {}
        }
    }

    /// Whether an interpreter of any version is in the file.
    pub(super) fn any(&self) -> bool {
        self.runtime.is_some() || self.older
    }

    /// Puts the interpreter's facts together.
    ///
    /// The full symbol table is large and seldom there, so it is asked only where the file can
    /// hold an interpreter that it does not export.
    pub(super) fn resolve<'d, R: ReadRef<'d>>(
        mut self,
        elf: &Elf<'d, R>,
        soname: &[u8],
        may_embed: bool,
    ) -> Result<Option<PythonFile>, ElfError> {
        if may_embed && self.runtime.is_none() && !self.imported {
            for (name, symbol) in elf.symbols(elf::SHT_SYMTAB)? {
                if !symbol.is_undefined(E) {
                    self.add(name, symbol.st_value(E));
                }
            }
        }
        let Some(runtime) = self.runtime else {
            return Ok(None);
        };
        // `_Py_DebugOffsets`: cookie, PY_VERSION_HEX, free_threaded (3.13 to 3.15).
        let word = |at| elf.value_at(runtime.checked_add(at)?);
        let self_described = word(0) == Some(COOKIE);
        let version = (self.version.and_then(|at| elf.value_at(at)))
            .and_then(from_hex)
            .or_else(|| word(8).filter(|_| self_described).and_then(from_hex))
            .or_else(|| from_soname(soname))
            .or_else(|| elf.constants().find_map(from_cache_tag));
        let Some(version) = version else {
            return Ok(None);
        };
        Ok(Some(PythonFile {
            version,
            runtime,
            start: self.initialise.and_then(|address| start(elf, address)),
            free_threaded: self_described && word(16) == Some(1),
        }))
    }
}

fn start<'d, R: ReadRef<'d>>(elf: &Elf<'d, R>, address: u64) -> Option<Start> {
    Some(Start {
        address,
        offset: elf.image.code_offset_of(address)?,
        code: elf.bytes_at(address.checked_add(START_SKIP)?)?,
    })
}

/// From `PY_VERSION_HEX`: 0x030B02F0 is 3.11.2.
fn from_hex(hex: u64) -> Option<(u8, u8)> {
    let [major, minor, ..] = u32::try_from(hex).ok()?.to_be_bytes();
    (major == 3).then_some((major, minor))
}

/// From `libpython3.10.so.1.0`; 3.7 adds an `m`, debug and free-threaded builds `d` and `t`.
fn from_soname(soname: &[u8]) -> Option<(u8, u8)> {
    minor(soname.strip_prefix(b"libpython3.")?)
}

/// From the literal `cpython-310`, the tag of compiled files: for static builds before 3.11.
fn from_cache_tag(data: &[u8]) -> Option<(u8, u8)> {
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

fn minor(text: &[u8]) -> Option<(u8, u8)> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let minor = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    Some((3, minor))
}

/// Position of the first occurrence.
pub(super) fn find(data: &[u8], what: &[u8]) -> Option<usize> {
    data.windows(what.len()).position(|window| window == what)
}
