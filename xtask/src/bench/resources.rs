//! What the agent itself takes: memory, processor time, and the run time of its programs.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result};
use sigblame_tests::wait_for;

use super::{
    EVENTS,
    agent::Agent,
    load,
    programs::{self, Counting, Program},
    quiet,
    server::Worker,
    tool::{Attached, Tool},
};
use crate::stop;

/// Until it has put its things in order after the start.
const SETTLE: Duration = Duration::from_secs(3);
/// How long it is watched doing nothing.
const IDLE: Duration = Duration::from_secs(10);
/// How long counting may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the agent takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Resources {
    /// How the registration hook is attached.
    pub(super) rung: String,
    /// Resident memory in KiB after the start, and the part of it that no file backs.
    pub(super) idle: (u64, u64),
    /// The same after a thousand events.
    pub(super) used: (u64, u64),
    /// Processor time per second when nothing happens.
    pub(super) idle_cpu: f64,
    /// Processor seconds per 10,000 events of which none is a finding.
    pub(super) silent_cpu: f64,
    /// Processor seconds per 10,000 events of which every other one is a finding again.
    pub(super) finding_cpu: f64,
    /// How many events each of the two figures stands on.
    pub(super) events: u32,
}

/// Runs an agent of its own through its life.
pub(super) fn measure(worker: &mut Worker, quick: bool) -> Result<Resources> {
    let requests = if quick { 1 } else { 7 };
    quiet::wait()?;
    let agent = Agent::start()?;
    thread::sleep(SETTLE);
    let mut resources = Resources {
        rung: agent.rung()?,
        idle: memory(agent.pid())?,
        events: requests * EVENTS,
        ..Resources::default()
    };
    let start = cpu_seconds(agent.pid())?;
    thread::sleep(IDLE);
    resources.idle_cpu = (cpu_seconds(agent.pid())? - start) / IDLE.as_secs_f64();

    during(&agent, 1_000, || worker.repeat(1_000).map(drop))?;
    resources.used = memory(agent.pid())?;

    let mut per_10k = |calls: &mut dyn FnMut(&mut Worker) -> Result<f64>| -> Result<f64> {
        let start = cpu_seconds(agent.pid())?;
        for _ in 0..requests {
            stop::check()?;
            during(&agent, EVENTS, || calls(worker).map(drop))?;
        }
        let spent = cpu_seconds(agent.pid())? - start;
        Ok(spent / f64::from(resources.events) * 10_000.0)
    };
    resources.silent_cpu = per_10k(&mut |worker| worker.repeat(EVENTS))?;
    resources.finding_cpu = per_10k(&mut |worker| worker.toggle(EVENTS))?;
    quiet::check(Some(agent.pid()))?;
    agent.alone(1_000 + 2 * u64::from(resources.events))?;
    agent.stop()?;
    Ok(resources)
}

/// Has events made and waits until the agent has counted them.
fn during(agent: &Agent, events: u32, make: impl FnOnce() -> Result<()>) -> Result<()> {
    let expected = agent.registrations()? + u64::from(events);
    make()?;
    wait_for(PATIENCE, || match agent.registrations() {
        Ok(seen) if seen < expected => None,
        other => Some(other.map(drop)),
    })
    .with_context(|| format!("failed to see {events} events in the agent's metrics"))?
}

/// Resident memory in KiB, and how much of it no file backs.
fn memory(pid: u32) -> Result<(u64, u64)> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    let kib = |key: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(key))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .with_context(|| format!("failed to find {key} in {path}"))
    };
    Ok((kib("VmRSS:")?, kib("RssAnon:")?))
}

/// User and system time of a process.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    let ticks = ticks(&text).with_context(|| format!("failed to read the times in {path}"))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The name, which is the second field, may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// One program's share in the costs.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) tool: Tool,
    pub(super) program: Program,
    /// Nanoseconds per run where nobody is watched, counting included.
    pub(super) unwatched: Option<f64>,
    /// Nanoseconds per run for the watched worker.
    pub(super) watched: Option<f64>,
}

/// Lets the kernel count what each program takes. Apart from the rounds, because counting costs.
pub(super) fn profile(tool: Tool, worker: &mut Worker, calls: u32) -> Result<Vec<Profile>> {
    quiet::wait()?;
    let attached = Attached::start(tool, worker)?;
    let Some(pid) = attached.pid() else {
        return Ok(Vec::new());
    };
    let before = attached.seen()?;
    let counting = Counting::begin()?;
    let start = programs::of(pid)?;
    load::spawn(calls)?;
    let middle = programs::of(pid)?;
    worker.toggle(EVENTS)?;
    let end = programs::of(pid)?;
    drop(counting);
    attached.check(before, EVENTS)?;
    quiet::check(Some(pid))?;
    attached.stop()?;
    let profiles = end.into_iter().filter_map(|(id, program)| {
        let (before, between) = (start.get(&id)?, middle.get(&id)?);
        let unwatched = per_run(before, between).filter(|(runs, _)| *runs > calls.into());
        let watched = unwatched.and_then(|(_, others)| {
            let (runs, nanoseconds) = per_run(between, &program)?;
            // Other processes' system calls are among them.
            let strangers = runs.checked_sub(EVENTS.into())? as f64;
            Some((nanoseconds * runs as f64 - strangers * others) / f64::from(EVENTS))
        });
        Some(Profile {
            tool,
            program,
            unwatched: unwatched.map(|(_, nanoseconds)| nanoseconds),
            watched,
        })
    });
    Ok(profiles.collect())
}

/// Runs between two looks, and nanoseconds of each.
fn per_run(before: &Program, after: &Program) -> Option<(u64, f64)> {
    let runs = after
        .runs
        .checked_sub(before.runs)
        .filter(|runs| *runs > 0)?;
    let time = after.nanoseconds.saturating_sub(before.nanoseconds);
    Some((runs, time as f64 / runs as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_behind_the_name() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 2 0 9 1 2\n";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a"), None);
    }
}
