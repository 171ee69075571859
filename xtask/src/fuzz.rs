//! `cargo xtask fuzz`: the fuzz targets of the agent, guided by coverage.
//!
//! Every test run fuzzes them for some seconds, blindly. Here the agent is built with LLVM's counters of
//! basic blocks, for which the stable compiler is enough. Cargo has no flags for one crate alone, so
//! this program stands between cargo and the compiler and adds them.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    run::parse_time,
    setup,
    workspace::{cargo_status, target_dir},
};

/// The tests that fuzz: `agent/src/fuzz.rs`.
const TARGETS: u32 = 8;

/// LLVM's coverage pass with one byte for each block.
const FLAGS: [&str; 4] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Copt-level=2",
];

/// Tells this program that cargo calls it in the compiler's place.
const COMPILER: &str = "SIGBLAME_FUZZ_COMPILER";

/// Stands in for the compiler, where cargo calls us for that; does not return then, but for a failure.
pub(crate) fn compile() -> Option<std::io::Error> {
    env::var_os(COMPILER)?;
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let (rustc, arguments) = arguments.split_first()?;
    let mut names = arguments
        .windows(2)
        .filter(|pair| pair[0] == "--crate-name");
    let is_agent = names.any(|pair| pair[1] == "sigblame");
    let flags = if is_agent { &FLAGS[..] } else { &[] };
    Some(Command::new(rustc).args(arguments).args(flags).exec())
}

/// How long to fuzz.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// For all targets together; at least a second each.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time, default_value = "60s")]
    limit: Duration,
}

/// Runs every target, one after the other. What they found goes on from where it ended.
pub(crate) fn fuzz(options: &Options) -> Result<ExitCode> {
    setup::setup(&[])?;
    let corpus = target_dir()?.join("fuzz");
    let seconds = (options.limit.as_secs() / u64::from(TARGETS))
        .max(1)
        .to_string();
    let wrapper = env::current_exe().context("failed to find this program")?;
    let status = cargo_status(
        &[
            "test",
            "--package=sigblame",
            "--lib",
            "--",
            "fuzz::",
            "--test-threads=1",
            "--nocapture",
        ],
        &[
            ("RUSTC_WORKSPACE_WRAPPER", &wrapper.to_string_lossy()),
            (COMPILER, "1"),
            ("SIGBLAME_FUZZ_SECONDS", &seconds),
            ("SIGBLAME_FUZZ_CORPUS", &corpus.to_string_lossy()),
        ],
    )?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
