//! The harness of the tests, and of `cargo xtask run`: real servers and scoped processes.
//!
//! Nothing here knows the agent. Whatever this library starts, it ends: by process id, never by
//! name, and the kernel ends it should we be killed.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

pub mod demo;
pub mod http;
pub mod httpd;
pub mod process;
pub mod scratch;

/// How long the harness sleeps between two looks at something it waits for.
const TICK: Duration = Duration::from_millis(20);

/// Where this package's files are: `apps`, `fixtures`, `golden`.
#[must_use]
pub fn package_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
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
/// lines and counts it as skipped. One call per test. The line is written past libtest's capture
/// of output, which would swallow it.
pub fn skip(test: &str, why: &str) {
    let line = format!("\nskipped: {test}: {why}\n");
    // A closed standard output is no reason to fail a test.
    let _closed = std::io::stdout().lock().write_all(line.as_bytes());
}
