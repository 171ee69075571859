//! Runs every test that can run here, and says by name which could not.

use std::{
    fs,
    io::{Read as _, Write as _},
    path::Path,
    process::{ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};
use rustix::mount::{MountFlags, mount};

use self::tally::Tally;
use crate::{
    packages::{self, Group},
    roots, setup, stop,
    workspace::{cargo, cargo_run, cargo_with, is_root},
};

mod tally;

/// What every run of the live tests begins with.
const LIVE: [&str; 6] = [
    "test",
    "--workspace",
    "--features",
    "sigblame-tests/live",
    "--test",
    "live",
];

/// Tells the matrix of Pythons to leave nothing out.
const EVERYTHING: &str = "SIGBLAME_MATRIX";

/// How the tests are run.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Leave out what needs root, even as root.
    #[arg(long)]
    unprivileged: bool,
}

/// Runs the tests. The last line is the sum: `N passed, N failed, N skipped`.
pub(crate) fn test(options: &Options) -> Result<ExitCode> {
    prepare(options)?;
    // Tests start the agent as a program; cargo builds it for none of them by itself.
    cargo_run(&["build", "--workspace", "--bins"], &[])?;

    let mut tally = Tally::default();
    run(&["test", "--workspace", "--no-fail-fast"], &mut tally)?;
    match obstacle(options) {
        None => {
            let one_by_one = ["--no-fail-fast", "--", "--test-threads=1"];
            run(&[&LIVE[..], &one_by_one].concat(), &mut tally)?;
        }
        Some(why) => {
            for name in live_names()? {
                tally.skip(&name, why);
            }
        }
    }

    Ok(conclude(&tally))
}

/// Runs the matrix of Pythons alone, and all of it: each with every MPM, and other Debian suites.
pub(crate) fn matrix() -> Result<ExitCode> {
    let options = Options::default();
    prepare(&options)?;
    if let Some(why) = obstacle(&options) {
        bail!("failed to run the matrix: {why}");
    }
    roots::make(&roots::SUITES)?;
    cargo_run(&["build", "--workspace", "--bins"], &[])?;
    let mut tally = Tally::default();
    let matrix = ["--no-fail-fast", "--", "--test-threads=1", "matrix::"];
    run_with(
        &[&LIVE[..], &matrix].concat(),
        &[(EVERYTHING, "1")],
        &mut tally,
    )?;
    Ok(conclude(&tally))
}

fn conclude(tally: &Tally) -> ExitCode {
    tally.report();
    if tally.failed() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn prepare(options: &Options) -> Result<()> {
    let groups = [Group::Demo, Group::Test, Group::Matrix];
    if packages::can_install() {
        setup::setup(&groups)?;
    } else {
        setup::setup(&[])?;
        let missing: Vec<&str> = groups.into_iter().flat_map(packages::missing).collect();
        if !missing.is_empty() {
            eprintln!(
                "not installed, so that some tests are skipped: {} (Debian's names)",
                missing.join(" ")
            );
        }
    }
    if is_root() && !options.unprivileged {
        mount_tracefs();
    }
    Ok(())
}

/// Tracepoints are described there. Without it the tests say what is missing, so that a failure
/// here is no more than a remark.
pub(crate) fn mount_tracefs() {
    let at = Path::new("/sys/kernel/tracing");
    if at.join("events").exists() {
        return;
    }
    match mount("tracefs", at, "tracefs", MountFlags::empty(), None) {
        Ok(()) => eprintln!("mounted tracefs at {}", at.display()),
        Err(error) => eprintln!("failed to mount tracefs at {}: {error}", at.display()),
    }
}

/// Why the live tests cannot run, if they cannot.
fn obstacle(options: &Options) -> Option<&'static str> {
    if options.unprivileged {
        Some("left out by --unprivileged")
    } else if !is_root() {
        Some("needs root")
    } else if !fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false) {
        Some("needs a kernel with BTF")
    } else {
        None
    }
}

/// Runs tests, shows what they say as they say it, and counts.
fn run(arguments: &[&str], tally: &mut Tally) -> Result<()> {
    run_with(arguments, &[], tally)
}

/// The same with variables in the tests' environment.
fn run_with(arguments: &[&str], variables: &[(&str, &str)], tally: &mut Tally) -> Result<()> {
    stop::check()?;
    eprintln!("+ cargo {}", arguments.join(" "));
    let mut child = cargo_with(Some(setup::python_dir()?.join("bin")))
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to start cargo")?;
    let mut output = child
        .stdout
        .take()
        .context("failed to read cargo's output")?;
    let mut screen = std::io::stdout();
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        // Not line by line: the name of a test that hangs has to be seen.
        let length = output
            .read(&mut buffer)
            .context("failed to read cargo's output")?;
        if length == 0 {
            break;
        }
        screen.write_all(&buffer[..length])?;
        screen.flush()?;
        for byte in &buffer[..length] {
            if *byte == b'\n' {
                tally.read(&String::from_utf8_lossy(&line));
                line.clear();
            } else {
                line.push(*byte);
            }
        }
    }
    let status = child.wait().context("failed to wait for cargo")?;
    stop::check()?;
    tally.end_of_run(status.success(), &format!("cargo {}", arguments.join(" ")));
    Ok(())
}

/// The names of the live tests, from the binary itself.
fn live_names() -> Result<Vec<String>> {
    eprintln!("+ cargo {} -- --list", LIVE.join(" "));
    let output = cargo()
        .args(LIVE)
        .args(["--", "--list"])
        .stderr(Stdio::inherit())
        .output()
        .context("failed to start cargo")?;
    if !output.status.success() {
        bail!("failed to list the live tests: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect())
}
