//! Installs what a build needs. Looks first, so that it costs nothing when all is there.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    libraries,
    packages::{self, Group, LLVM_PREFIX},
    progress::{self, Step},
    pythons,
    workspace::{cargo, find_program, log_dir, root},
};

/// The toolchain's components beyond the compiler, and the file in the sysroot that proves each.
const COMPONENTS: [(&str, &str); 3] = [
    // `core` is built for the kernel from this.
    ("rust-src", "lib/rustlib/src/rust/library/core/Cargo.toml"),
    ("clippy", "bin/cargo-clippy"),
    ("rustfmt", "bin/rustfmt"),
];

/// What links the probe, and the version that is installed where there is none.
const LINKER: &str = "bpf-linker";
const LINKER_VERSION: &str = "0.13.0";

/// Programs of Python's package index, each with its version: one that knows the published schemas
/// of Kubernetes, another reader of Python stacks, and another reader of Python source.
const PYTHON_TOOLS: [(&str, &str); 3] = [
    ("kubernetes-validate", "1.37.0"),
    ("py-spy", "0.4.3"),
    ("ruff", "0.17.6"),
];

/// Installs what a build needs, and the packages of `groups`.
pub(crate) fn setup(groups: &[Group]) -> Result<()> {
    let mut steps = vec![components()?, packages::step(Group::Build)];
    let linker = find_program(LINKER).is_some();
    if !linker {
        steps.push(packages::step(Group::Linker));
    }
    steps.push(Step {
        title: LINKER.to_owned(),
        there: linker,
        optional: false,
        install: Box::new(|installer| {
            let mut command = cargo();
            command
                .args(["install", LINKER, "--version", LINKER_VERSION, "--locked"])
                // Its default feature is the newest LLVM rather than the toolchain's.
                .args(["--no-default-features", "--features", "llvm-22"])
                .env("LLVM_PREFIX", LLVM_PREFIX);
            installer.run(&mut command)?;
            if find_program(LINKER).is_none() {
                bail!("failed to find {LINKER} after its installation: put cargo's bin directory on PATH");
            }
            Ok(())
        }),
    });
    for group in groups {
        if !matches!(group, Group::Build | Group::Linker) {
            steps.push(packages::step(*group));
        }
        match group {
            Group::Test => steps.extend([python_tools()?, libraries::step()?]),
            Group::Matrix => steps.extend(pythons::steps()?),
            _ => {}
        }
    }
    progress::perform(steps)
}

/// Installs the packages of one group and nothing else.
pub(crate) fn add(group: Group) -> Result<()> {
    progress::perform(vec![packages::step(group)])
}

/// Where the tests' tools from Python's package index are, out of the way of the user's own.
pub(crate) fn python_dir() -> Result<PathBuf> {
    Ok(log_dir()?.join("python"))
}

/// The step that installs the tools from Python's package index.
pub(crate) fn python_tools() -> Result<Step> {
    let dir = python_dir()?;
    let missing: Vec<_> = PYTHON_TOOLS
        .into_iter()
        .filter(|(name, _)| !dir.join("bin").join(name).exists())
        .collect();
    Ok(Step {
        title: format!(
            "Python tools for the tests: {}",
            PYTHON_TOOLS.map(|(name, _)| name).join(", ")
        ),
        there: missing.is_empty(),
        optional: false,
        install: Box::new(move |installer| {
            let mut venv = Command::new("/usr/bin/python3");
            installer.run(venv.args(["-m", "venv"]).arg(&dir))?;
            // Not the script beside it, which names the directory that it was made in.
            let mut pip = Command::new(dir.join("bin/python3"));
            pip.args(["-m", "pip", "install", "--disable-pip-version-check"]);
            pip.args(
                missing
                    .iter()
                    .map(|(name, version)| format!("{name}=={version}")),
            );
            installer.run(&mut pip)
        }),
    })
}

fn components() -> Result<Step> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(root())
        .output()
        .context("failed to start rustc")?;
    let sysroot = String::from_utf8(output.stdout).context("failed to read rustc's sysroot")?;
    let sysroot = Path::new(sysroot.trim());
    let missing: Vec<&str> = COMPONENTS
        .into_iter()
        .filter(|(_, proof)| !sysroot.join(proof).exists())
        .map(|(name, _)| name)
        .collect();
    let named = if missing.is_empty() {
        COMPONENTS.map(|(name, _)| name).join(", ")
    } else {
        missing.join(", ")
    };
    Ok(Step {
        title: format!("toolchain components {named}"),
        there: missing.is_empty(),
        optional: false,
        install: Box::new(move |installer| {
            if find_program("rustup").is_none() {
                bail!(
                    "failed to find rustup, which installs {}: install the toolchain of \
                     rust-toolchain.toml with it, or add these from where your Rust came from",
                    missing.join(" ")
                );
            }
            let mut rustup = Command::new("rustup");
            rustup
                .args(["component", "add"])
                .args(&missing)
                .current_dir(root());
            installer.run(&mut rustup)
        }),
    })
}
