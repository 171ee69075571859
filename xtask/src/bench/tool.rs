//! What is attached while something is measured: nothing, sigblame or bpftrace.

use std::time::Duration;

use anyhow::{Result, bail};
use sigblame_tests::wait_for;

use super::{agent::Agent, bpftrace::Bpftrace, server::Worker};
use crate::stop;

/// How long a tool may take to count what it has seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What may be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    /// The baseline.
    Nothing,
    Sigblame,
    Bpftrace,
}

impl Tool {
    /// In the order of their turns.
    pub(super) const ALL: [Self; 3] = [Self::Nothing, Self::Sigblame, Self::Bpftrace];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Sigblame => "sigblame",
            Self::Bpftrace => "bpftrace",
        }
    }
}

/// A tool that is attached, which was proved by an event that it saw.
pub(super) enum Attached {
    Nothing,
    Sigblame(Agent),
    Bpftrace(Bpftrace),
}

impl Attached {
    /// Starts a tool and waits until it sees what the worker does.
    pub(super) fn start(tool: Tool, worker: &mut Worker) -> Result<Self> {
        Ok(match tool {
            Tool::Nothing => Self::Nothing,
            Tool::Sigblame => Self::Sigblame(Agent::attach(worker)?),
            Tool::Bpftrace => Self::Bpftrace(Bpftrace::attach(worker)?),
        })
    }

    /// How many of the worker's changes of SIGUSR2 the tool has seen.
    pub(super) fn seen(&self) -> Result<u64> {
        match self {
            Self::Nothing => Ok(0),
            Self::Sigblame(agent) => agent.seen(),
            Self::Bpftrace(bpftrace) => bpftrace.seen(),
        }
    }

    /// Waits until the tool has seen `events` more than `before`, complete and without a loss.
    pub(super) fn check(&self, before: u64, events: u32) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Sigblame(agent) => agent.check(before, events),
            Self::Bpftrace(bpftrace) => bpftrace.check(before, events),
        }
    }

    /// Waits until the tool has seen `events` more than `before`, whatever their stacks.
    pub(super) fn check_seen(&self, before: u64, events: u32) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Sigblame(agent) => agent.check_seen(before, events),
            Self::Bpftrace(bpftrace) => bpftrace.check(before, events),
        }
    }

    /// How many of the worker's blocked attempts the tool has seen.
    pub(super) fn attempts(&self) -> Result<u64> {
        match self {
            Self::Nothing => Ok(0),
            Self::Sigblame(agent) => agent.attempts(),
            Self::Bpftrace(bpftrace) => bpftrace.attempts(),
        }
    }

    /// Waits until the tool has seen `events` blocked attempts more than `before`.
    pub(super) fn check_attempts(&self, before: u64, events: u32) -> Result<()> {
        let expected = before + u64::from(events);
        let enough = || stop::asked() || self.attempts().is_ok_and(|seen| seen >= expected);
        if let Self::Nothing = self {
            return Ok(());
        }
        wait_for(PATIENCE, || enough().then_some(()));
        stop::check()?;
        let seen = self.attempts()?;
        if seen != expected {
            bail!("failed to measure: of {expected} blocked attempts the tool saw {seen}");
        }
        Ok(())
    }

    /// How long it took until it said that it was ready; bpftrace does not say it.
    pub(super) fn ready(&self) -> Duration {
        match self {
            Self::Sigblame(agent) => agent.ready,
            Self::Nothing | Self::Bpftrace(_) => Duration::ZERO,
        }
    }

    /// Its process.
    pub(super) fn pid(&self) -> Option<u32> {
        match self {
            Self::Nothing => None,
            Self::Sigblame(agent) => Some(agent.pid()),
            Self::Bpftrace(bpftrace) => Some(bpftrace.pid()),
        }
    }

    /// Stops it and waits until it is gone, and its programs with it.
    pub(super) fn stop(self) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Sigblame(agent) => agent.stop(),
            Self::Bpftrace(bpftrace) => bpftrace.stop(),
        }
    }
}
