//! The book of findings: folds takeovers of one cause into one finding, and closes it. Pure.

use std::collections::{BTreeMap, HashMap};

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

/// All open findings, by fingerprint.
///
/// Bounded by what is open: each takeover of each living worker once.
#[derive(Debug, Default)]
pub struct Book {
    entries: BTreeMap<String, Entry>,
    takeovers: HashMap<TakeoverId, String>,
}

impl Book {
    /// Enters a takeover. Returns the finding as it stands now: a new one, or the open one of
    /// the same cause with its count raised.
    pub fn open(&mut self, takeover: TakeoverId, when: Instant, finding: Finding) -> &Finding {
        let fingerprint = finding.fingerprint.clone();
        self.takeovers.insert(takeover, fingerprint.clone());
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
        let fingerprint = self.takeovers.remove(&ended.id)?;
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
            .get(self.takeovers.get(&takeover)?)
            .map(|entry| &entry.finding)
    }

    /// Every open finding.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.entries.values().map(|entry| &entry.finding)
    }
}
