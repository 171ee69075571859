//! How the stacks of an interpreter can be read, if at all.

use std::fmt;

/// Where the fields of an interpreter are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Where a row of the table says ([`super::layout::ROWS`]), by its index.
    Row(u32),
    /// Nobody knows: its stacks are not walked.
    Unsupported(Unsupported),
}

/// Why the stacks of an interpreter cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// A version that has no row, or a file that does not tell which one it is.
    Version,
    /// A debug build, whose objects have more fields, and which does not say where (before 3.13).
    DebugBuild,
    /// The list of interpreters has no symbol, and the code that reads it is not as expected
    /// (stripped builds of 3.6).
    NoList,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "sigblame knows no layout of this version",
            Self::DebugBuild => "debug builds before 3.13 have layouts of their own",
            Self::NoList => "its list of interpreters is not where 3.6 has it",
        })
    }
}
