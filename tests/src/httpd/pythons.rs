//! Other CPythons than the system's: those that pyenv built, each with a mod_wsgi of its own.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::Installation;

/// Which mod_wsgi is built for which minor of CPython 3, as `cargo xtask setup matrix` does it.
///
/// Each was built and run with httpd 2.4.71. mod_wsgi 6 asks for CPython 3.10, and 5.0.2 for 3.8
/// (their `setup.py`); 4.9.4 is the last one before.
const MOD_WSGI: &[(u32, &str)] = &[
    (6, "4.9.4"),
    (7, "4.9.4"),
    (8, "5.0.2"),
    (9, "5.0.2"),
    (10, "6.1.1"),
    (11, "6.1.1"),
    (12, "6.1.1"),
    (13, "6.1.1"),
    (14, "6.1.1"),
];

/// A CPython with a shared library, in a directory of its own.
#[derive(Clone, Debug)]
pub struct Python {
    /// Of 3.`minor`.
    pub minor: u32,
    /// Like `3.8.18`.
    pub version: String,
    /// Its `sys.prefix`.
    pub home: PathBuf,
    /// The version of mod_wsgi that is built for it.
    pub mod_wsgi: &'static str,
}

impl Python {
    /// pyenv's CPythons, the newest one of each minor, in order.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let Some(versions) = versions_dir() else {
            return Vec::new();
        };
        MOD_WSGI
            .iter()
            .filter_map(|&(minor, mod_wsgi)| {
                let (_, version) = fs::read_dir(&versions)
                    .ok()?
                    .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                    .filter(|name| has_library(&versions.join(name), minor))
                    .filter_map(|name| {
                        let patch = name.strip_prefix(&format!("3.{minor}."))?;
                        Some((patch.parse::<u32>().ok()?, name))
                    })
                    .max()?;
                Some(Self {
                    minor,
                    home: versions.join(&version),
                    version,
                    mod_wsgi,
                })
            })
            .collect()
    }

    /// Its interpreter.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.home.join(format!("bin/python3.{}", self.minor))
    }

    /// Where its mod_wsgi is installed, below the directory that is meant for all of them.
    #[must_use]
    pub fn package_dir(&self, all: &Path) -> PathBuf {
        all.join(format!("{}-{}", self.version, self.mod_wsgi))
    }

    /// The same directory, where it was built for the running test.
    #[must_use]
    pub fn package(&self) -> Option<PathBuf> {
        let dir = self.package_dir(&built_dir()?);
        dir.is_dir().then_some(dir)
    }

    /// Its mod_wsgi, where that was built.
    #[must_use]
    pub fn module(&self, all: &Path) -> Option<PathBuf> {
        let server = self.package_dir(all).join("mod_wsgi/server");
        super::install::find_mod_wsgi(&server)
    }

    /// The system's httpd with this Python; an error says what is missing.
    ///
    /// # Errors
    /// When there is no httpd, or no mod_wsgi was built.
    pub fn installation(&self) -> Result<Installation, String> {
        let system = Installation::find().ok_or("httpd with mod_wsgi is not installed")?;
        let built = built_dir().and_then(|all| self.module(&all));
        let mod_wsgi = built.ok_or_else(|| {
            let (mod_wsgi, version) = (self.mod_wsgi, &self.version);
            format!("no mod_wsgi {mod_wsgi} was built for CPython {version}")
        })?;
        Ok(Installation {
            mod_wsgi,
            python_home: Some(self.home.clone()),
            ..system
        })
    }
}

/// The mod_wsgi that the system's CPython is linked into, below [`BUILT`].
pub const LINKED_IN: &str = "linked-in/mod_wsgi.so";

/// The system's httpd with a mod_wsgi that has the system's CPython in it; an error says what is
/// missing.
///
/// # Errors
/// When there is no httpd, or no such mod_wsgi was built.
pub fn linked_in() -> Result<Installation, String> {
    let system = Installation::find().ok_or("httpd with mod_wsgi is not installed")?;
    let built = built_dir().map(|all| all.join(LINKED_IN));
    let mod_wsgi = built.filter(|path| path.is_file());
    Ok(Installation {
        mod_wsgi: mod_wsgi.ok_or("no mod_wsgi was built with CPython linked into it")?,
        ..system
    })
}

/// Where xtask keeps what it built, below cargo's target directory.
pub const BUILT: &str = "xtask/mod_wsgi";

/// The same directory, found from the running test's program.
fn built_dir() -> Option<PathBuf> {
    let test = env::current_exe().ok()?;
    let mut above = test.ancestors().skip(1).map(|dir| dir.join(BUILT));
    above.find(|dir| dir.is_dir())
}

/// Where pyenv keeps the versions that it built.
fn versions_dir() -> Option<PathBuf> {
    let root = match env::var_os("PYENV_ROOT") {
        Some(root) => PathBuf::from(root),
        None => env::home_dir()?.join(".pyenv"),
    };
    Some(root.join("versions")).filter(|dir| dir.is_dir())
}

/// Without a shared library there is nothing that mod_wsgi could load. 3.6 and 3.7 have an `m` in
/// its name (PEP 3149, given up in 3.8).
fn has_library(home: &Path, minor: u32) -> bool {
    ["m", ""].into_iter().any(|flags| {
        let name = format!("lib/libpython3.{minor}{flags}.so.1.0");
        home.join(name).is_file()
    })
}
