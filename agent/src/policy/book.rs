//! The book of findings: folds takeovers of one cause into one finding, and closes it. Pure.

use std::collections::BTreeMap;

use crate::{
    event::Instant,
    policy::finding::{Finding, State, WallClock},
    process::takeover::{Ended, TakeoverId},
};

/// A finding that is open, and the takeovers that keep it so.
#[derive(Debug)]
struct Entry {
    finding: Finding,
    since: Instant,
    open: u64,
}

/// A takeover that keeps a finding open.
#[derive(Debug)]
struct Held {
    fingerprint: String,
    pid: u32,
    signal: u8,
}

/// All open findings, by fingerprint.
///
/// Bounded by what is open: each takeover of each living worker once.
#[derive(Debug, Default)]
pub struct Book {
    entries: BTreeMap<String, Entry>,
    takeovers: BTreeMap<TakeoverId, Held>,
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

    /// Ends a takeover. Returns the finding where this was its last one.
    pub fn close(&mut self, ended: &Ended, clock: WallClock) -> Option<Finding> {
        let Held { fingerprint, .. } = self.takeovers.remove(&ended.id)?;
        let entry = self.entries.get_mut(&fingerprint)?;
        entry.open = entry.open.saturating_sub(1);
        if entry.open > 0 {
            return None;
        }
        let mut entry = self.entries.remove(&fingerprint)?;
        entry.finding.state = State::Resolved;
        entry.finding.resolved_at = Some(clock.rfc3339(ended.until));
        entry.finding.exposure_seconds = Some(ended.until.seconds_since(entry.since));
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

    /// Every open finding.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.entries.values().map(|entry| &entry.finding)
    }
}
