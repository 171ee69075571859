//! Whether we are alone: a tracepoint of the system calls that anybody enables slows every system
//! call of the host, and another sigblame would be measured in place of nothing.

use std::{fmt, fs, path::Path, time::Duration};

use anyhow::Result;
use sigblame_tests::wait_for;

use crate::stop;

/// How long others may go on before we give up.
const PATIENCE: Duration = Duration::from_secs(120);
/// `BPF_PROG_TYPE_TRACEPOINT`, as `fdinfo` shows it.
const TRACEPOINT: &str = "prog_type:\t5\n";

/// Somebody else was at work, so that what was measured is worth nothing.
#[derive(Debug)]
pub(super) struct Disturbed(pub(super) String);

impl fmt::Display for Disturbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Disturbed {}

/// Waits until nobody has programs at tracepoints.
pub(super) fn wait() -> Result<()> {
    if others(None).is_empty() {
        return Ok(());
    }
    eprintln!(
        "waiting for others that trace system calls: {}",
        others(None).join(", ")
    );
    wait_for(PATIENCE, || {
        (stop::asked() || others(None).is_empty()).then_some(())
    });
    stop::check()?;
    check(None)
}

/// Fails when somebody but `ours` has programs at tracepoints.
pub(super) fn check(ours: Option<u32>) -> Result<()> {
    let others = others(ours);
    if others.is_empty() {
        return Ok(());
    }
    Err(Disturbed(format!(
        "failed to measure alone: {} trace system calls, too; stop them first",
        others.join(", ")
    ))
    .into())
}

/// Processes with a program for tracepoints.
fn others(ours: Option<u32>) -> Vec<String> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            (ours != Some(pid) && traces(&entry.path())).then(|| {
                let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                format!("{} ({pid})", name.trim())
            })
        })
        .collect()
}

/// A process may end while we look.
fn traces(process: &Path) -> bool {
    fs::read_dir(process.join("fdinfo"))
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| fs::read_to_string(entry.path()).is_ok_and(|text| text.contains(TRACEPOINT)))
}
