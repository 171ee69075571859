//! Workers that do not go: folds those of one cause into one finding, and closes it. Pure.

use std::collections::BTreeMap;

use crate::{
    event::Instant,
    httpd::Notice,
    policy::finding::{Finding, State, WallClock},
    process::ProcessKey,
};

/// A finding that is open, and its workers, each with the moment when it was asked to go.
#[derive(Debug)]
struct Entry {
    finding: Finding,
    since: Instant,
    workers: BTreeMap<ProcessKey, Instant>,
}

/// All open findings about workers that do not go, by fingerprint. Bounded by those workers.
#[derive(Debug, Default)]
pub struct Hangs(BTreeMap<String, Entry>);

impl Hangs {
    /// Enters a worker that was asked to go `since` then. Returns the finding as it stands now: a new
    /// one, or the open one of the same cause with its count raised. `None` where it is known.
    pub fn open(
        &mut self,
        worker: ProcessKey,
        (since, when): (Instant, Instant),
        finding: Finding,
    ) -> Option<&Finding> {
        let is_known = self.0.values().any(|e| e.workers.contains_key(&worker));
        if is_known {
            return None;
        }
        let entry = self
            .0
            .entry(finding.fingerprint.clone())
            .and_modify(|entry| {
                entry.finding.count += 1;
                entry.finding.extent.workers += 1;
                entry.finding.extent.workers_ever += 1;
                entry.finding.extent.of = finding.extent.of;
            })
            .or_insert_with(|| Entry {
                finding,
                since: when,
                workers: BTreeMap::new(),
            });
        entry.workers.insert(worker, since);
        Some(&entry.finding)
    }

    /// httpd has written of a worker. Returns its finding as it stands now.
    pub fn noticed(&mut self, worker: ProcessKey, notice: Notice) -> Option<&Finding> {
        let mut all = self.0.values_mut();
        let entry = all.find(|entry| entry.workers.contains_key(&worker))?;
        let shutdown = entry.finding.shutdown.as_mut()?;
        let name = notice.name();
        if !shutdown.confirmed_by.iter().any(|known| known == name) {
            shutdown.confirmed_by.push(name.to_owned());
        }
        Some(&entry.finding)
    }

    /// A worker is gone. Returns its finding as it stands now, which is resolved where this was its
    /// last one. Workers hang side by side: the longest tells what was lost.
    pub fn left(
        &mut self,
        worker: ProcessKey,
        when: Instant,
        killed: bool,
        clock: WallClock,
    ) -> Option<Finding> {
        let (fingerprint, entry) = self
            .0
            .iter_mut()
            .find(|(_, entry)| entry.workers.contains_key(&worker))?;
        let asked = entry.workers.remove(&worker)?;
        let finding = &mut entry.finding;
        finding.extent.workers = entry.workers.len() as u64;
        if let Some(shutdown) = &mut finding.shutdown {
            let seconds = when.seconds_since(asked);
            shutdown.seconds = Some(shutdown.seconds.map_or(seconds, |most| most.max(seconds)));
            shutdown.killed |= killed;
        }
        if !entry.workers.is_empty() {
            return Some(finding.clone());
        }
        let fingerprint = fingerprint.clone();
        let Entry {
            mut finding, since, ..
        } = self.0.remove(&fingerprint)?;
        finding.state = State::Resolved;
        finding.resolved_at = Some(clock.rfc3339(when));
        finding.exposure_seconds = Some(when.seconds_since(since));
        Some(finding)
    }

    /// Every open finding.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.0.values().map(|entry| &entry.finding)
    }
}
