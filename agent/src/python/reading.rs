//! How the stacks of an interpreter can be read, if at all. Pure and total.
//!
//! A row of the table, unless the interpreter says of itself what the row does not: then what it
//! says, if that can be, because a distributor's build may differ from the headers that we know.

use std::fmt;

use probe_abi::python::RawLayout;

use super::{
    Version,
    debug_offsets::{self, Disagreement},
    layout::{self, Runtime, check::check},
};

/// Where the fields of an interpreter are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Where a row of the table says ([`layout::ROWS`]), by its index.
    Row(u32),
    /// Where the interpreter itself says.
    Own(Box<RawLayout>),
    /// Nobody knows: its stacks are not walked.
    Unsupported(Unsupported),
}

/// Why the stacks of an interpreter cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// A version that has no row, or a file that does not tell which one it is.
    Version,
    /// An alpha or beta release, whose layout is not yet that of its minor.
    PreRelease,
    /// A debug build, whose objects have more fields, and which does not say where (before 3.13).
    DebugBuild,
    /// The list of interpreters has no symbol, and the code that reads it is not as expected
    /// (stripped builds of 3.6).
    NoList,
    /// What it says of itself cannot be; the column that shows it.
    Implausible(&'static str),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "sigblame knows no layout of this version",
            Self::PreRelease => "it is a pre-release, with a layout of its own",
            Self::DebugBuild => "debug builds before 3.13 have layouts of their own",
            Self::NoList => "its list of interpreters is not where 3.6 has it",
            Self::Implausible(field) => {
                return write!(f, "what it says of itself cannot be: {field}");
            }
        })
    }
}

/// What a file says of its interpreter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'a> {
    /// `PY_VERSION_HEX`, where it is known.
    pub hex: Option<u64>,
    /// The version that the file's name for the linker or its literals tell.
    pub named: Option<Version>,
    /// It is a debug build.
    pub debug: bool,
    /// The bytes at `_PyRuntime`.
    pub runtime: Option<&'a [u8]>,
}

/// What to make of an interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its version, where the file tells.
    pub version: Option<Version>,
    /// How it is read.
    pub reading: Reading,
    /// Where `_PyRuntime` has what a search starts from.
    pub runtime: Option<Runtime>,
    /// In what the interpreter and the table differ.
    pub disagreements: Vec<Disagreement>,
}

/// Decides how an interpreter is read.
#[must_use]
pub fn choose(said: &Said<'_>) -> Choice {
    let head = said.runtime.and_then(debug_offsets::head);
    let hex = head.map(|head| head.hex).or(said.hex);
    let mut version = hex.and_then(from_hex).or(said.named);
    if head.is_some_and(|head| head.free_threaded) {
        version = version.map(Version::free_threaded);
    }
    let mut choice = Choice {
        version,
        reading: Reading::Unsupported(Unsupported::Version),
        runtime: None,
        disagreements: Vec::new(),
    };
    let Some((version, (index, row))) = version.and_then(|v| Some((v, layout::find(v)?))) else {
        return choice;
    };
    let early = hex.is_some_and(is_early);
    if head.is_none() {
        choice.reading = if early {
            Reading::Unsupported(Unsupported::PreRelease)
        } else if said.debug {
            Reading::Unsupported(Unsupported::DebugBuild)
        } else {
            choice.runtime = row.runtime;
            Reading::Row(index)
        };
        return choice;
    }
    let own = said
        .runtime
        .and_then(|bytes| debug_offsets::read(bytes, version, row));
    let Some(own) = own else {
        choice.reading = Reading::Unsupported(Unsupported::Implausible("_Py_DebugOffsets"));
        return choice;
    };
    choice.disagreements = own.disagreements;
    choice.runtime = Some(Runtime {
        interpreters: own.interpreters,
        current: None,
    });
    choice.reading = if choice.disagreements.is_empty() {
        Reading::Row(index)
    } else if early {
        // Not even the table of offsets need be the minor's.
        Reading::Unsupported(Unsupported::PreRelease)
    } else if own.interpreters > layout::check::FAR.into() {
        Reading::Unsupported(Unsupported::Implausible("interpreters_head"))
    } else {
        match check(&own.raw) {
            Ok(()) => Reading::Own(Box::new(own.raw)),
            Err(field) => Reading::Unsupported(Unsupported::Implausible(field)),
        }
    };
    choice
}

/// From `PY_VERSION_HEX`: 0x030B02F0 is 3.11.2.
fn from_hex(hex: u64) -> Option<Version> {
    let [major, minor, ..] = u32::try_from(hex).ok()?.to_be_bytes();
    (major == 3).then_some(Version::new(major, minor))
}

/// Alpha (0xa) or beta (0xb); from the first candidate on, layouts are final.
fn is_early(hex: u64) -> bool {
    matches!(hex >> 4 & 0xf, 0xa | 0xb)
}
