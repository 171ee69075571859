//! The book of findings: folds takeovers and attempts of one cause into one finding, and closes
//! it. Pure.

use std::collections::{BTreeMap, HashMap};

use crate::{
    event::Instant,
    policy::finding::{Finding, State, WallClock},
    process::{
        ProcessKey,
        takeover::{Ended, TakeoverId},
    },
};

/// A finding that is open, and the takeovers that keep it so.
#[derive(Debug)]
struct Entry {
    finding: Finding,
    since: Instant,
    /// Takeovers that run, and workers that live on without the handler they asked for.
    open: u64,
}

/// Causes of blocked attempts that are open in one worker. Of an application that makes up more of
/// them, the rest is counted only: no worker floods those who read findings.
const CAUSES: usize = 64;

/// A takeover that keeps a finding open.
#[derive(Debug)]
struct Held {
    fingerprint: String,
    pid: u32,
    signal: u8,
}

/// All open findings, by fingerprint.
///
/// Bounded by what is open: each takeover and each cause of attempts of each living worker once.
#[derive(Debug, Default)]
pub struct Book {
    entries: BTreeMap<String, Entry>,
    takeovers: BTreeMap<TakeoverId, Held>,
    /// Fingerprints of the attempts of each worker, oldest first.
    attempts: HashMap<ProcessKey, Vec<String>>,
}

impl Book {
    /// Enters a takeover. Returns the finding as it stands now: a new one, or the open one of
    /// the same cause with its count raised.
    pub fn open(&mut self, takeover: TakeoverId, when: Instant, finding: Finding) -> &Finding {
        let fingerprint = finding.fingerprint.clone();
        let held = Held {
            fingerprint: fingerprint.clone(),
            // Each takeover brings the evidence of its own worker; the first one's stays.
            pid: finding.evidence.worker.pid,
            signal: finding.evidence.signal.number,
        };
        self.takeovers.insert(takeover, held);
        let entry = self
            .entries
            .entry(fingerprint)
            .and_modify(|entry| {
                entry.finding.count += 1;
                entry.open += 1;
            })
            .or_insert_with(|| Entry {
                finding,
                since: when,
                open: 1,
            });
        &entry.finding
    }

    /// Enters a blocked attempt. Returns the finding as it stands now; `None` where the worker has too
    /// many.
    ///
    /// It is open as long as the worker lives: as long as the application runs without the handler
    /// that it believes it has.
    pub fn attempt(
        &mut self,
        worker: ProcessKey,
        when: Instant,
        finding: Finding,
    ) -> Option<&Finding> {
        let fingerprint = finding.fingerprint.clone();
        let causes = self.attempts.entry(worker).or_default();
        let is_new = !causes.contains(&fingerprint);
        if is_new && causes.len() >= CAUSES {
            return None;
        }
        let entry = self
            .entries
            .entry(fingerprint.clone())
            .and_modify(|entry| entry.finding.count += 1)
            .or_insert_with(|| Entry {
                finding,
                since: when,
                open: 0,
            });
        if is_new {
            causes.push(fingerprint);
            entry.open += 1;
        }
        Some(&entry.finding)
    }

    /// A worker is gone, and its attempts with it. Returns the findings that end with it.
    pub fn left(&mut self, worker: ProcessKey, when: Instant, clock: WallClock) -> Vec<Finding> {
        let causes = self.attempts.remove(&worker).unwrap_or_default();
        let closed = causes
            .iter()
            .filter_map(|cause| self.release(cause, when, clock));
        closed.collect()
    }

    /// Ends a takeover. Returns the finding where this was its last one.
    pub fn close(&mut self, ended: &Ended, clock: WallClock) -> Option<Finding> {
        let Held { fingerprint, .. } = self.takeovers.remove(&ended.id)?;
        self.release(&fingerprint, ended.until, clock)
    }

    /// One of those that keep a finding open is over.
    fn release(&mut self, fingerprint: &str, until: Instant, clock: WallClock) -> Option<Finding> {
        let entry = self.entries.get_mut(fingerprint)?;
        entry.open = entry.open.saturating_sub(1);
        if entry.open > 0 {
            return None;
        }
        let mut entry = self.entries.remove(fingerprint)?;
        entry.finding.state = State::Resolved;
        entry.finding.resolved_at = Some(clock.rfc3339(until));
        entry.finding.exposure_seconds = Some(until.seconds_since(entry.since));
        Some(entry.finding)
    }

    /// What a takeover was found to be, while it runs.
    #[must_use]
    pub fn finding_of(&self, takeover: TakeoverId) -> Option<&Finding> {
        self.entries
            .get(&self.takeovers.get(&takeover)?.fingerprint)
            .map(|entry| &entry.finding)
    }

    /// Every takeover that runs, oldest first: the worker's process id, the signal's number and
    /// what it was found to be.
    pub fn takeovers(&self) -> impl Iterator<Item = (u32, u8, &Finding)> {
        self.takeovers.values().filter_map(|held| {
            let entry = self.entries.get(&held.fingerprint)?;
            Some((held.pid, held.signal, &entry.finding))
        })
    }

    /// What a worker attempts and was blocked, oldest cause first.
    pub fn attempts(&self, worker: ProcessKey) -> impl Iterator<Item = &Finding> {
        let causes = self.attempts.get(&worker).into_iter().flatten();
        causes.filter_map(|cause| self.entries.get(cause).map(|entry| &entry.finding))
    }

    /// Every open finding, for what is accepted of it.
    pub fn findings_mut(&mut self) -> impl Iterator<Item = &mut Finding> {
        self.entries.values_mut().map(|entry| &mut entry.finding)
    }

    /// Every open finding.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.entries.values().map(|entry| &entry.finding)
    }
}
