//! Exactly what continuous integration runs, in order. `.ci/run` only calls this.

use std::process::ExitCode;

use anyhow::Result;

use crate::{setup, test, workspace::cargo_run};

/// Formatting, clippy and documentation with warnings as errors, then every test.
pub(crate) fn ci() -> Result<ExitCode> {
    setup::setup(&[])?;
    cargo_run(&["fmt", "--all", "--check"], &[])?;
    cargo_run(
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--",
            "-D",
            "warnings",
        ],
        &[],
    )?;
    cargo_run(
        &["doc", "--workspace", "--no-deps"],
        &[("RUSTDOCFLAGS", "-D warnings")],
    )?;
    test::test(&test::Options::default())
}
