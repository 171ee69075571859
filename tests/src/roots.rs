//! Roots of other Debian suites: their httpd, mod_wsgi and CPython in a directory to chroot into.
//!
//! `cargo xtask roots` makes them below cargo's target directory. Here is what it and the tests
//! have to agree on: where a root is, and how to tell that it is whole.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The suites that can be had, oldest first.
pub const SUITES: [&str; 4] = ["bullseye", "bookworm", "trixie", "sid"];

/// What is installed in each, beyond what every Debian has. httpd without its package `apache2`,
/// which adds only a service and its configuration.
pub const PACKAGES: [&str; 4] = [
    "apache2-bin",
    "libapache2-mod-wsgi-py3",
    "python3",
    "ca-certificates",
];

/// Where a root says what was installed in it, as its last file.
const STAMP: &str = "etc/sigblame-root";

/// A directory that holds a whole Debian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    suite: String,
    path: PathBuf,
}

impl Root {
    /// The root of that suite, made already; `None` where nobody has.
    ///
    /// It is looked for where `SIGBLAME_ROOTS` says, else below the target directory of the
    /// running test.
    #[must_use]
    pub fn find(suite: &str) -> Option<Self> {
        let dir = match env::var_os("SIGBLAME_ROOTS") {
            Some(dir) => dir.into(),
            // `target/PROFILE/deps/TEST`.
            None => dir(env::current_exe().ok()?.ancestors().nth(3)?),
        };
        Self::at(&dir, suite)
    }

    /// The same in a directory of roots.
    #[must_use]
    pub fn at(dir: &Path, suite: &str) -> Option<Self> {
        let path = dir.join(suite);
        let said = fs::read_to_string(path.join(STAMP)).ok()?;
        (said == stamp()).then(|| Self {
            suite: suite.to_owned(),
            path,
        })
    }

    /// Debian's name for it.
    #[must_use]
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// Where it is. Its owner is root, and everybody may read it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The minor version of its `python3`, like `(3, 13)`.
    #[must_use]
    pub fn python(&self) -> Option<(u8, u8)> {
        let target = fs::read_link(self.path.join("usr/bin/python3")).ok()?;
        let name = target.file_name()?.to_str()?;
        let (major, minor) = name.strip_prefix("python")?.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    }
}

/// The directory of roots below cargo's target directory.
#[must_use]
pub fn dir(target: &Path) -> PathBuf {
    target.join("xtask/roots")
}

/// Declares a root whole.
///
/// # Errors
/// When the file cannot be written.
pub fn declare(path: &Path) -> std::io::Result<()> {
    fs::write(path.join(STAMP), stamp())
}

/// A root that was made before a package was added to the list is not whole.
fn stamp() -> String {
    format!("{}\n", PACKAGES.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_root_is_there_when_it_was_declared() {
        let scratch = Scratch::new("roots").unwrap();
        let path = scratch.make_dir("trixie/etc").unwrap();
        let path = path.parent().unwrap();
        assert_eq!(Root::at(scratch.path(), "trixie"), None);

        declare(path).unwrap();
        let root = Root::at(scratch.path(), "trixie").unwrap();
        assert_eq!(root.path(), path);
        assert_eq!(root.python(), None);

        let bin = scratch.make_dir("trixie/usr/bin").unwrap();
        std::os::unix::fs::symlink("python3.13", bin.join("python3")).unwrap();
        assert_eq!(root.python(), Some((3, 13)));
    }

    #[test]
    fn a_root_with_other_packages_is_none() {
        let scratch = Scratch::new("roots").unwrap();
        let etc = scratch.make_dir("sid/etc").unwrap();
        fs::write(etc.join("sigblame-root"), "python3\n").unwrap();
        assert_eq!(Root::at(scratch.path(), "sid"), None);
    }
}
