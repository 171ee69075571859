//! The unwatched process: this program again, pinned to one processor, making system calls.

use std::{env, hint::black_box, mem, process::Command, ptr};

use anyhow::{Context as _, Result, bail};
use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// Calls whose times are taken together; a sample is the median of such blocks.
const BLOCK: u32 = 5_000;

/// What the hidden command is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Calls of each kind.
    calls: u32,
}

/// Nanoseconds per call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// `rt_sigaction` that sets SIGUSR2, two handlers in turn.
    pub(super) sigaction: f64,
    /// `getppid`, which stands for any other system call.
    pub(super) other: f64,
}

/// Runs the load in a process of its own.
pub(super) fn spawn(calls: u32) -> Result<Sample> {
    let program = env::current_exe().context("failed to find our own program")?;
    let output = Command::new(program)
        .args(["bench-load", &calls.to_string()])
        .output()
        .context("failed to start the load")?;
    if !output.status.success() {
        bail!(
            "failed to run the load: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(sigaction)), Some(Ok(other))) => Ok(Sample { sigaction, other }),
        _ => bail!("failed to read the load's answer: {text}"),
    }
}

/// The hidden command: measures and prints a [`Sample`].
pub(crate) fn run(options: &Options) -> Result<()> {
    pin(None)?;
    let blocks = (options.calls / BLOCK).max(1);
    let mut actions = [action(first), action(second)];
    let mut set = || {
        actions.swap(0, 1);
        // SAFETY: a valid struct whose handler does nothing, and no struct for the old one.
        let result =
            unsafe { libc::sigaction(libc::SIGUSR2, &raw const actions[0], ptr::null_mut()) };
        black_box(result);
    };
    let sigaction = time(blocks, &mut set);
    let other = time(blocks, || {
        // SAFETY: the call has no precondition.
        black_box(unsafe { libc::getppid() });
    });
    println!("{sigaction} {other}");
    Ok(())
}

/// Keeps a process on the last of our processors, or ourselves: the measured code on one, what
/// observes it on the others.
pub(super) fn pin(pid: Option<Pid>) -> Result<()> {
    let ours = sched_getaffinity(None).context("failed to read our processors")?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| ours.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(last.unwrap_or(0));
    sched_setaffinity(pid, &one).context("failed to pin a process to one processor")
}

fn action(handler: extern "C" fn(libc::c_int)) -> libc::sigaction {
    // SAFETY: all zeros are a value of the struct: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action
}

extern "C" fn first(_: libc::c_int) {}
extern "C" fn second(number: libc::c_int) {
    // Different from the first, or the linker may make one of the two.
    black_box(number);
}

/// The median over blocks of the time that one call takes. The first block warms up.
fn time(blocks: u32, mut call: impl FnMut()) -> f64 {
    let mut times = Vec::new();
    for block in 0..=blocks {
        let start = thread_time();
        for _ in 0..BLOCK {
            call();
        }
        if block > 0 {
            times.push((thread_time() - start) / f64::from(BLOCK));
        }
    }
    super::spread::median(&times)
}

/// Nanoseconds that this thread has had a processor.
fn thread_time() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}
