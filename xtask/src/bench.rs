//! What sigblame costs, each figure beside bpftrace's with the same filter, in one run.
//!
//! Nothing, sigblame and bpftrace take turns, round after round, and figures are medians with what
//! they lay between, so that a machine that is busy with other things disturbs all three alike.
//! Times are those of the measured thread on its processor: waiting for it does not count. A figure
//! whose tool did not see every event is an error, and never a row.

use std::{
    fs,
    path::PathBuf,
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use self::{
    depth::Depths,
    quiet::Disturbed,
    report::Report,
    server::Worker,
    tool::{Attached, Tool},
};
use crate::{
    packages::Group,
    setup, stop, test,
    workspace::{cargo_run, is_root},
};

mod agent;
mod attempt;
mod audit;
mod bpftrace;
mod configuration;
mod depth;
mod load;
mod programs;
mod quiet;
mod report;
mod resources;
mod server;
mod spread;
mod tool;

pub(crate) use load::{Options as LoadOptions, run as run_load};

/// Python frames under each registration in the watched process.
const FRAMES: u32 = 20;
/// Registrations per request in the watched process: below the probe's limit of 2,000 a second.
const EVENTS: u32 = 1_500;
/// Registrations that prove that a tool is attached. Two, so that one of them changes something
/// whatever stood before.
const MARKS: u32 = 2;
/// How often a turn that somebody else disturbed is taken again.
const TRIES: u32 = 20;

/// How the costs are measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often nothing, sigblame and bpftrace take their turn.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Three rounds and fewer events: whether it works, not what it costs.
    #[arg(long)]
    quick: bool,
    /// Only how long a large configuration takes to read; root is not wanted then.
    #[arg(long)]
    configuration: bool,
    /// Only how long an audit of ten thousand files takes; root is not wanted then.
    #[arg(long)]
    audit: bool,
    /// Write all figures to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One turn of one tool.
#[derive(Clone, Debug)]
struct Turn {
    /// Nanoseconds per `rt_sigaction` in a process that nobody watches.
    unwatched: f64,
    /// Nanoseconds per `getppid`.
    other: f64,
    /// Nanoseconds per `rt_sigaction` in the watched process.
    watched: f64,
    /// Nanoseconds per `signal.signal` that mod_wsgi blocks, in the watched process.
    blocked: f64,
    /// Nanoseconds per `rt_sigaction` against the depth of the stack.
    depths: Depths,
    /// Seconds from the agent's start until it was ready.
    ready: f64,
}

/// Measures and prints the table.
pub(crate) fn bench(options: &Options) -> Result<ExitCode> {
    let rounds = if options.quick { 3 } else { options.rounds };
    if options.configuration {
        let reading = configuration::measure(rounds)?;
        print!("{}", reading.table());
        return keep(options, &json!({ "configuration": reading.json() }));
    }
    if options.audit {
        let audit = audit::measure(rounds)?;
        print!("{}", audit.table());
        return keep(options, &json!({ "audit": audit.json() }));
    }
    if !is_root() {
        bail!("failed to load programs into the kernel: run `cargo xtask bench` in a root shell");
    }
    setup::setup(&[Group::Demo, Group::Bench])?;
    test::mount_tracefs();
    cargo_run(&["build", "--release", "-p", "sigblame"], &[])?;

    let calls = if options.quick { 40_000 } else { 200_000 };
    // Dropped in reverse order, also when something fails: what is attached goes first.
    let mut worker = Worker::start()?;
    let mut report = Report::new(&worker, calls)?;
    for round in 1..=rounds {
        for tool in Tool::ALL {
            stop::check()?;
            eprintln!("round {round} of {rounds}: {}", tool.name());
            let turn = undisturbed(|| take_turn(tool, &mut worker, calls))?;
            report.add(tool, turn);
        }
    }
    eprintln!("the agent's resources, and the run time of programs");
    let taken = undisturbed(|| resources::measure(&mut worker, options.quick))?;
    report.resources = Some(taken);
    for tool in [Tool::Sigblame, Tool::Bpftrace] {
        let profiles = undisturbed(|| resources::profile(tool, &mut worker, calls))?;
        report.programs.extend(profiles);
    }
    worker.stop()?;

    eprintln!("a large configuration");
    let reading = configuration::measure(rounds)?;

    print!("{report}{}", reading.table());
    let mut figures = report.json();
    figures["configuration"] = reading.json();
    keep(options, &figures)
}

/// Writes the figures where the user wants them.
fn keep(options: &Options, figures: &Value) -> Result<ExitCode> {
    if let Some(path) = &options.json {
        fs::write(path, format!("{figures:#}\n"))
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes a turn again when somebody else was at work on this host during it.
fn undisturbed<T>(mut take: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..TRIES {
        match take() {
            Err(error) if error.is::<Disturbed>() => {
                eprintln!("again: {error:#}");
                thread::sleep(Duration::from_secs(2));
                stop::check()?;
            }
            outcome => return outcome,
        }
    }
    take()
}

/// Attaches a tool, measures under it, and makes sure that it saw what it should.
fn take_turn(tool: Tool, worker: &mut Worker, calls: u32) -> Result<Turn> {
    quiet::wait()?;
    let attached = Attached::start(tool, worker)?;
    let load = load::spawn(calls)?;
    let before = attached.seen()?;
    let watched = worker.toggle(EVENTS)?;
    attached.check(before, EVENTS)?;
    quiet::check(attached.pid())?;
    let depths = depth::measure(&attached, worker)?;
    let blocked = attempt::measure(&attached, worker)?;
    quiet::check(attached.pid())?;
    let ready = attached.ready().as_secs_f64();
    attached.stop()?;
    Ok(Turn {
        unwatched: load.sigaction,
        other: load.other,
        watched,
        blocked,
        depths,
        ready,
    })
}

/// The version of the system's kernel.
fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// The first line that a program prints.
fn version_of(program: &str) -> Result<String> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .with_context(|| format!("failed to start {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
