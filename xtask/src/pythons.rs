//! A mod_wsgi for each CPython that pyenv built here, and one that has CPython in it, for the
//! matrix of tests.
//!
//! Each is built from its source by that very Python, into cargo's target directory: once, and only
//! for the Pythons that are there. pyenv's own directories stay as they are.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};
use sigblame_tests::{
    httpd::{BUILT, LINKED_IN, Python},
    scratch::Scratch,
};

use crate::{
    progress::{Installer, Step},
    setup,
    workspace::target_dir,
};

/// It builds without its own build script, which wants a shared library where there is one.
const LINKED_IN_MOD_WSGI: &str = "5.0.2";

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
    let linked_in = Step {
        title: format!("mod_wsgi {LINKED_IN_MOD_WSGI} with CPython linked into it"),
        there: target_dir()?.join(BUILT).join(LINKED_IN).exists(),
        optional: true,
        install: Box::new(link_in),
    };
    Ok(Python::all()
        .into_iter()
        .map(step)
        .chain([linked_in])
        .collect())
}

/// Links the system's CPython into a mod_wsgi, as its own build does where Python has no shared
/// library (`setup.py` of 5.0.2).
fn link_in(installer: &Installer) -> Result<()> {
    let module = target_dir()?.join(BUILT).join(LINKED_IN);
    let scratch = Scratch::new("mod_wsgi")?;
    let dir = scratch.path();
    let mut pip = Command::new(setup::python_dir()?.join("bin/python3"));
    pip.args([
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--no-deps",
    ])
    .args(["--no-binary=mod_wsgi", "--dest"])
    .arg(dir)
    .arg(format!("mod_wsgi=={LINKED_IN_MOD_WSGI}"));
    installer.run(&mut pip)?;
    let mut tar = Command::new("tar");
    tar.arg("xf")
        .arg(dir.join(format!("mod_wsgi-{LINKED_IN_MOD_WSGI}.tar.gz")))
        .arg("-C")
        .arg(dir);
    installer.run(&mut tar)?;
    let source = dir.join(format!("mod_wsgi-{LINKED_IN_MOD_WSGI}/src/server"));
    let library = fs::read_dir(said("python3-config", &["--configdir"])?)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().ends_with("-pic.a"))
        .context("failed to find the static libpython that the package python3-dev has")?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O2", "-D_GNU_SOURCE"])
        .args(said("python3-config", &["--includes"])?.split_whitespace())
        .args(said("apr-1-config", &["--includes"])?.split_whitespace())
        .arg(format!("-I{}", said("apxs", &["-q", "INCLUDEDIR"])?))
        .arg("-o")
        .arg(dir.join("mod_wsgi.so"));
    for entry in fs::read_dir(&source)? {
        let path = entry?.path();
        if path.extension().is_some_and(|suffix| suffix == "c") {
            cc.arg(path);
        }
    }
    cc.arg("-Wl,--whole-archive")
        .arg(library)
        .arg("-Wl,--no-whole-archive")
        .args(["-lexpat", "-lz", "-lm", "-ldl", "-lutil", "-lpthread"]);
    installer.run(&mut cc)?;
    if let Some(parent) = module.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(dir.join("mod_wsgi.so"), &module)
        .with_context(|| format!("failed to write {}", module.display()))?;
    Ok(())
}

/// What one of the system's programs prints; others may be first on `PATH`.
fn said(program: &str, arguments: &[&str]) -> Result<String> {
    let path = Path::new("/usr/bin").join(program);
    let output = Command::new(&path)
        .args(arguments)
        .output()
        .with_context(|| format!("failed to start {}", path.display()))?;
    if !output.status.success() {
        bail!("failed to ask {}: {}", path.display(), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
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
