//! Where: what is known of CPython from the outside, as data, and how its bytes become text and
//! lines. Everything here is pure.

pub mod debug_offsets;
pub mod layout;
pub mod linetable;
#[cfg(any(test, feature = "testing"))]
pub mod model;
pub mod reading;
pub mod text;

use std::fmt;

/// A minor version of CPython and its build. Struct layouts and line tables hold within one.
///
/// The one exception in what we read is 3.7: its first four releases kept the lock's holder
/// elsewhere in `_PyRuntime`.
///
/// It is written as `3.11` or `3.13t`, as CPython's own tools do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 3, for all that we know.
    pub major: u8,
    /// 11 in 3.11.
    pub minor: u8,
    /// Built without the global interpreter lock: other layouts.
    pub free_threaded: bool,
}

impl Version {
    /// A usual build, from its two numbers.
    #[must_use]
    pub const fn new(major: u8, minor: u8) -> Self {
        Self {
            major,
            minor,
            free_threaded: false,
        }
    }

    /// The build without the global interpreter lock.
    #[must_use]
    pub const fn free_threaded(self) -> Self {
        Self {
            free_threaded: true,
            ..self
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let build = if self.free_threaded { "t" } else { "" };
        write!(f, "{}.{}{build}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn a_version_reads_and_sorts_like_its_numbers() {
        assert_eq!(Version::new(3, 11).to_string(), "3.11");
        assert_eq!(Version::new(3, 13).free_threaded().to_string(), "3.13t");
        assert!(Version::new(3, 9) < Version::new(3, 11));
    }
}
