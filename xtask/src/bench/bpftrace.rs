//! The peer: bpftrace with the same filter on the same process.
//!
//! It cannot read Python frames. What it prints per event is pid, thread, signal, handler, result
//! and up to twenty *native* addresses: the nearest that it has to a stack.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use sigblame_tests::{process::Scoped, scratch::Scratch, wait_for};

use super::{MARKS, attempt, server::Worker};
use crate::stop;

/// How long it may take to attach, and to print what it has seen.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to end.
const GRACE: Duration = Duration::from_secs(10);
/// What each line that stands for an event begins with.
const EVENT: &str = "event ";
/// And each that stands for a blocked attempt.
const ATTEMPT: &str = "attempt ";

/// Both ends of the call with a stash between them, as sigblame's lower rung has them.
fn script(pid: u32, (module, function): &(PathBuf, u64)) -> String {
    let module = module.display();
    format!(
        r#"
tracepoint:syscalls:sys_enter_rt_sigaction
/pid == {pid} && args->act != 0/
{{
    @signal[tid] = args->sig;
    @handler[tid] = *(uint64 *)uptr(args->act);
}}
tracepoint:syscalls:sys_exit_rt_sigaction
/pid == {pid} && @signal[tid]/
{{
    printf("{EVENT}%d %d %d %lx %d %s\n", pid, tid, @signal[tid], @handler[tid], args->ret,
        ustack(perf, 20));
    delete(@signal[tid]);
    delete(@handler[tid]);
}}
uprobe:{module}:{function:#x}
/pid == {pid}/
{{
    $items = uptr(arg1) + 24;
    printf("{ATTEMPT}%d %d %d %lx %s\n", pid, tid, *(uint32 *)(*(uint64 *)$items + 24),
        *(uint64 *)($items + 8), ustack(perf, 20));
}}
"#
    )
}

/// A running bpftrace.
pub(super) struct Bpftrace {
    process: Scoped,
    scratch: Scratch,
}

impl Bpftrace {
    /// Starts it and waits until it prints what the worker does.
    pub(super) fn attach(worker: &mut Worker) -> Result<Self> {
        let scratch = Scratch::new("bench")?;
        let output = File::create(scratch.path().join("output"))
            .context("failed to make the file for bpftrace's output")?;
        let script = script(worker.pid, &attempt::function(worker.pid)?);
        let begin = Instant::now();
        let process = Scoped::spawn(
            Command::new("bpftrace")
                // Looked up for each event anew, names take it milliseconds.
                .env("BPFTRACE_NO_USER_SYMBOLS", "1")
                // It takes an address without a symbol only where it is told not to mind.
                .args(["--unsafe", "-q", "-B", "line", "-e", &script])
                .stdin(Stdio::null())
                .stdout(output.try_clone()?)
                .stderr(output),
            GRACE,
        )?;
        let bpftrace = Self { process, scratch };
        // It says that it attaches, not that it has done so.
        loop {
            worker.toggle(MARKS)?;
            if wait_for(Duration::from_millis(200), || match bpftrace.seen() {
                Ok(0) => None,
                seen => Some(seen),
            })
            .transpose()?
            .is_some()
            {
                break;
            }
            stop::check()?;
            if bpftrace.process.has_ended() || begin.elapsed() > PATIENCE {
                bail!(
                    "failed to attach bpftrace; it said:\n{}",
                    bpftrace.output()?
                );
            }
        }
        Ok(bpftrace)
    }

    fn output(&self) -> Result<String> {
        let bytes = fs::read(self.scratch.path().join("output"))
            .context("failed to read bpftrace's output")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn seen(&self) -> Result<u64> {
        Ok(count(&self.output()?, EVENT))
    }

    pub(super) fn attempts(&self) -> Result<u64> {
        Ok(count(&self.output()?, ATTEMPT))
    }

    pub(super) fn check(&self, before: u64, events: u32) -> Result<()> {
        let expected = before + u64::from(events);
        let seen = wait_for(PATIENCE, || match self.seen() {
            Ok(seen) if seen < expected && !self.process.has_ended() && !stop::asked() => None,
            other => Some(other),
        });
        stop::check()?;
        let seen = seen.unwrap_or_else(|| self.seen())?;
        let output = self.output()?;
        if seen != expected || output.contains("Lost") {
            let last = output.lines().rfind(|line| line.contains("Lost"));
            bail!(
                "failed to measure bpftrace: it printed {} of {events} events within {} s; {}",
                seen.saturating_sub(before),
                PATIENCE.as_secs(),
                last.unwrap_or("it reports no loss")
            );
        }
        Ok(())
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(super) fn stop(self) -> Result<()> {
        self.process.stop().map(drop)
    }
}

fn count(output: &str, kind: &str) -> u64 {
    let events = output.lines().filter(|line| line.starts_with(kind));
    events.map(|_| 1).sum()
}
