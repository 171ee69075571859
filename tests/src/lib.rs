//! The harness of the tests, and of `cargo xtask run`: real servers and scoped processes.
//!
//! Nothing here is built with the agent, which is a program to this library. Whatever it starts, it
//! ends: by process id, never by name, and the kernel ends it should we be killed.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

pub mod agent;
pub mod demo;
pub mod http;
pub mod httpd;
pub mod libraries;
pub mod process;
pub mod roots;
pub mod scratch;

/// How long the harness sleeps between two looks at something it waits for.
const TICK: Duration = Duration::from_millis(20);

/// Where this package's files are: `apps`, `fixtures`, `golden`.
#[must_use]
pub fn package_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

/// The agent's program: what `SIGBLAME_BIN` names, or what cargo built beside the running test.
///
/// `cargo xtask test` builds it first; cargo alone does not build it for this package's tests.
///
/// # Errors
/// When it is not there.
pub fn agent_program() -> Result<PathBuf> {
    let program = match env::var_os("SIGBLAME_BIN") {
        Some(path) => path.into(),
        None => {
            let test = env::current_exe().context("failed to find the running test's program")?;
            // `target/PROFILE/deps/TEST` stands beside `target/PROFILE/sigblame`.
            let profile = test.ancestors().nth(2).unwrap_or(Path::new(""));
            profile.join("sigblame")
        }
    };
    if !program.is_file() {
        bail!(
            "failed to find the agent at {}: run `cargo build -p sigblame`, or set SIGBLAME_BIN",
            program.display()
        );
    }
    Ok(program)
}

/// Waits until `probe` gives a value, at most `limit`; `None` when it never did.
pub fn wait_for<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if start.elapsed() >= limit {
            return None;
        }
        thread::sleep(TICK);
    }
}

/// Says that the calling test does nothing on this machine, and why. The test then returns.
///
/// libtest has no word for this and will count the test as passed; `cargo xtask test` reads these
/// lines and counts it as skipped, once however often it says so. The line is written past libtest's capture
/// of output, which would swallow it.
pub fn skip(test: &str, why: &str) {
    let line = format!("\nskipped: {test}: {why}\n");
    // A closed standard output is no reason to fail a test.
    let _closed = std::io::stdout().lock().write_all(line.as_bytes());
}
