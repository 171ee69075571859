//! A mod_wsgi for each CPython that pyenv built here, for the matrix of tests.
//!
//! Each is built from its source by that very Python, into cargo's target directory: once, and only
//! for the Pythons that are there. pyenv's own directories stay as they are.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};
use sigblame_tests::httpd::{BUILT, Python};

use crate::{
    progress::{Installer, Step},
    workspace::target_dir,
};

/// A step for each Python.
pub(crate) fn steps() -> Result<Vec<Step>> {
    let all = target_dir()?.join(BUILT);
    let step = |python: Python| {
        let all = all.clone();
        Step {
            title: format!(
                "mod_wsgi {} for CPython {}",
                python.mod_wsgi, python.version
            ),
            there: python.module(&all).is_some(),
            // Somebody's Python may have been built without what pip needs.
            optional: true,
            install: Box::new(move |installer| install(installer, &python, &all)),
        }
    };
    Ok(Python::all().into_iter().map(step).collect())
}

fn install(installer: &Installer, python: &Python, all: &Path) -> Result<()> {
    let dir = python.package_dir(all);
    let mut pip = Command::new(python.program());
    pip.args(["-m", "pip", "install", "--disable-pip-version-check"])
        // A wheel from elsewhere may be built for another httpd, or another build of this Python.
        .args(["--no-cache-dir", "--no-binary=mod_wsgi", "--no-deps"])
        .args(["--upgrade", "--target"])
        .arg(&dir)
        .arg(format!("mod_wsgi=={}", python.mod_wsgi));
    installer.run(&mut pip)?;
    if python.module(all).is_none() {
        bail!(
            "failed to find mod_wsgi in {} after its build",
            dir.display()
        );
    }
    Ok(())
}
