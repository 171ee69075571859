//! `cargo xtask offsets`: the table of CPython layouts, printed or held against CPython's headers.
//!
//! The rows are the agent's, so the work is an example of its crate: xtask builds without the agent.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;

use crate::workspace::cargo_status;

/// What to do with the table.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Compile with every CPython's headers that are installed here, and compare.
    #[arg(long)]
    check: bool,
    /// More directories with a `Python.h`.
    #[arg(long, requires = "check")]
    include: Vec<PathBuf>,
}

/// Prints the rows, or what differs from the headers.
pub(crate) fn offsets(options: &Options) -> Result<ExitCode> {
    let mut arguments: Vec<String> = ["run", "--quiet", "--package", "sigblame", "--example"]
        .map(str::to_owned)
        .to_vec();
    arguments.extend(["offsets", "--"].map(str::to_owned));
    if options.check {
        arguments.push("--check".to_owned());
    }
    for dir in &options.include {
        arguments.push(format!("--include={}", dir.display()));
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Ok(if cargo_status(&arguments, &[])?.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
