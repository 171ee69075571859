//! Where things are, and how cargo is called.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The workspace's directory.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// Where cargo puts what it builds, for which a user may have a setting.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version=1"])
        .output()
        .context("failed to start cargo")?;
    let metadata: Value = serde_json::from_slice(&output.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        format!("failed to read what cargo says about the workspace: {said}")
    })?;
    let dir = metadata["target_directory"]
        .as_str()
        .context("failed to find the target directory in what cargo says")?;
    Ok(dir.into())
}

/// Where the output of installers goes.
pub(crate) fn log_dir() -> Result<PathBuf> {
    let dir = target_dir()?.join("xtask");
    fs::create_dir_all(&dir).with_context(|| format!("failed to make {}", dir.display()))?;
    Ok(dir)
}

/// A cargo command in the workspace, with cargo's own programs on its `PATH`: the agent's build
/// looks for bpf-linker there, and not every shell has that directory.
pub(crate) fn cargo() -> Command {
    cargo_with(None)
}

/// As [`cargo`], with one more directory of programs.
pub(crate) fn cargo_with(programs: Option<PathBuf>) -> Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root());
    if let Ok(path) = env::join_paths(program_dirs().into_iter().chain(programs)) {
        command.env("PATH", path);
    }
    command
}

/// Starts a cargo command whose output the user sees, and waits for it.
pub(crate) fn cargo_status(arguments: &[&str], variables: &[(&str, &str)]) -> Result<ExitStatus> {
    let shown: Vec<String> = variables
        .iter()
        .map(|(name, value)| format!("{name}=\"{value}\" "))
        .collect();
    eprintln!("+ {}cargo {}", shown.concat(), arguments.join(" "));
    cargo()
        .args(arguments)
        .envs(variables.iter().copied())
        .status()
        .context("failed to start cargo")
}

/// As [`cargo_status`], and a failure is an error.
pub(crate) fn cargo_run(arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let status = cargo_status(arguments, variables)?;
    if !status.success() {
        bail!("failed to run `cargo {}`: {status}", arguments.join(" "));
    }
    Ok(())
}

/// Where programs are looked for: `PATH`, and cargo's own directory behind it.
fn program_dirs() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    if let Some(bin) = cargo_bin_dir()
        && !dirs.contains(&bin)
    {
        dirs.push(bin);
    }
    dirs
}

/// Where `cargo install` puts programs.
fn cargo_bin_dir() -> Option<PathBuf> {
    for variable in ["CARGO_INSTALL_ROOT", "CARGO_HOME"] {
        if let Some(dir) = env::var_os(variable).filter(|dir| !dir.is_empty()) {
            return Some(Path::new(&dir).join("bin"));
        }
    }
    env::home_dir().map(|home| home.join(".cargo/bin"))
}

/// The program of that name.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    program_dirs()
        .into_iter()
        // A user's PATH often lacks the directories of servers.
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
}

/// Whether we may do everything.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
