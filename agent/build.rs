//! Builds the probe for the kernel and puts its object where `probe::object` includes it.
//!
//! A cargo inside cargo, with its own target directory (the outer one is locked). aya-build
//! does the same, but turns each line that the inner cargo prints into a warning.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

/// The one command that installs what a build needs.
const MEND: &str = "run `cargo xtask setup`, which installs it";

fn main() {
    if let Err(error) = build() {
        // Not returned from main: that would print a backtrace of this script under it.
        eprintln!("{error:#}");
        std::process::exit(1);
    }
}

fn build() -> Result<()> {
    for watched in ["build.rs", "../probe-abi", "../probe-ebpf", "../Cargo.lock"] {
        println!("cargo:rerun-if-changed={watched}");
    }
    let rustc = variable("RUSTC")?;
    check_requirements(&rustc)?;

    let out = PathBuf::from(variable("OUT_DIR")?);
    let arch = variable("CARGO_CFG_TARGET_ARCH")?;
    let target = match variable("CARGO_CFG_TARGET_ENDIAN")?.as_str() {
        "little" => "bpfel-unknown-none",
        _ => "bpfeb-unknown-none",
    };
    let target_dir = out.join("probe");
    let flags = [
        &format!("--cfg=bpf_target_arch=\"{arch}\""),
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
    ];
    let output = Command::new(variable("CARGO")?)
        .args([
            "build",
            "--quiet",
            "--release",
            "--package=probe-ebpf",
            "--bins",
        ])
        .args(["-Zbuild-std=core", "--target", target, "--target-dir"])
        .arg(&target_dir)
        // Building core is an unstable feature of Cargo; the pinned toolchain is a stable one.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", &rustc)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        // Clippy's wrapper must not be laid around the kernel's build.
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTC_WRAPPER")
        .output()
        .context("failed to start cargo for the probe")?;
    if !output.status.success() {
        bail!(
            "failed to build the probe:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    fs::copy(
        target_dir.join(target).join("release/probe"),
        out.join("probe.o"),
    )
    .context("failed to copy the probe's object")?;
    Ok(())
}

/// Says what is missing and what mends it, before the inner build fails with something odd.
fn check_requirements(rustc: &str) -> Result<()> {
    let found = env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|dir| dir.join("bpf-linker").is_file()));
    if !found {
        bail!("bpf-linker, which links the probe, is not on PATH: {MEND}");
    }
    let sysroot = Command::new(rustc)
        .args(["--print", "sysroot"])
        .output()
        .context("failed to ask rustc for its sysroot")?;
    let sysroot = String::from_utf8(sysroot.stdout).context("failed to read rustc's sysroot")?;
    let core = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml");
    if !core.exists() {
        bail!(
            "the toolchain component rust-src, from which core is built for the kernel, \
             is missing: {MEND}"
        );
    }
    Ok(())
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("failed to read {name}, which cargo sets"))
}
