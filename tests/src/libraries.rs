//! Well-known Python packages that change signal handlers, most of them in native code: which, and
//! where xtask puts them. The live tests use each one as an application would; the audit's read them.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// A package of Python's package index.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// Its name there.
    pub name: &'static str,
    /// What the tests' expectations were seen with.
    pub version: &'static str,
    /// Its files begin with this, in the directory of all packages.
    proof: &'static str,
}

const fn package(name: &'static str, version: &'static str, proof: &'static str) -> Package {
    Package {
        name,
        version,
        proof,
    }
}

/// All of them, 540 MB when they are installed, most of it polars and pyarrow.
pub const PACKAGES: &[Package] = &[
    // Rust.
    package("polars", "2.1.0", "polars"),
    // C: libcurl, bundled.
    package("pycurl", "7.49.0", "pycurl"),
    // Cython and C: libev, bundled.
    package("gevent", "26.9.0", "gevent"),
    package("greenlet", "3.5.6", "greenlet"),
    // Cython and C: libuv, bundled.
    package("uvloop", "0.23.0", "uvloop"),
    // C++.
    package("pyarrow", "26.0.1", "pyarrow"),
    // Go.
    package("tls-client", "2.0.0", "tls_client"),
    // C++ and Java; needs a Java virtual machine.
    package("JPype1", "1.7.1", "jpype1"),
    // For the audit only, which nothing of them is run for. Rust, C++ and Python.
    package("ddtrace", "4.16.0", "ddtrace"),
    // Python, with billiard's processes.
    package("celery", "5.7.0", "celery"),
    // Python, with signals of another kind.
    package("Django", "5.2.19", "django"),
];

/// The directory that has them, below cargo's target directory.
pub const DIR: &str = "xtask/libraries";

/// A virtual environment of Python's, with the packages or some of them.
#[derive(Clone, Debug)]
pub struct Environment {
    home: PathBuf,
}

impl Environment {
    /// The one that belongs to the running test, made or not.
    #[must_use]
    pub fn find() -> Option<Self> {
        // `target/PROFILE/deps/TEST`.
        let test = env::current_exe().ok()?;
        Some(Self::at(&test.ancestors().nth(3)?.join(DIR)))
    }

    /// The one in this directory, made or not.
    #[must_use]
    pub fn at(home: &Path) -> Self {
        Self {
            home: home.to_path_buf(),
        }
    }

    /// Its prefix, as Python calls it.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Whether it has this very version of a package.
    #[must_use]
    pub fn has(&self, package: &Package) -> bool {
        let metadata = format!("{}-{}.dist-info", package.proof, package.version);
        let Ok(pythons) = fs::read_dir(self.home.join("lib")) else {
            return false;
        };
        pythons.filter_map(Result::ok).any(|python| {
            let packages = python.path().join("site-packages");
            // The last file that an installer writes.
            packages.join(&metadata).join("RECORD").is_file()
        })
    }
}

/// Where a Java virtual machine is installed, as JPype finds one by itself on Linux.
#[must_use]
pub fn java() -> Option<PathBuf> {
    let homes = fs::read_dir("/usr/lib/jvm").ok()?;
    let mut homes: Vec<PathBuf> = homes.filter_map(|home| Some(home.ok()?.path())).collect();
    homes.sort();
    homes
        .into_iter()
        .find(|home| home.join("lib/server/libjvm.so").is_file())
}
