//! Where: what is known of CPython from the outside, as data, and how its bytes become text and
//! lines. Everything here is pure.

pub mod layout;
pub mod linetable;
pub mod text;

use std::fmt;

use serde::{Deserialize, Serialize};

/// A minor version of CPython. Struct layouts and line tables hold within one.
///
/// The one exception in what we read is 3.7: its first four releases kept the lock's holder
/// elsewhere in `_PyRuntime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// 3, for all that we know.
    pub major: u8,
    /// 11 in 3.11.
    pub minor: u8,
}

impl Version {
    /// A version from its two numbers.
    #[must_use]
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn a_version_reads_and_sorts_like_its_numbers() {
        assert_eq!(Version::new(3, 11).to_string(), "3.11");
        assert!(Version::new(3, 9) < Version::new(3, 11));
    }
}
