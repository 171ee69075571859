//! What of an open finding outlives the agent. Pure.

use serde::{Deserialize, Serialize};

use super::{Book, EntryId, Held, entry::Entry};
use crate::{
    event::{Instant, Signal},
    policy::finding::{Finding, State},
    process::{
        ProcessKey,
        table::{Siblings, Table},
        takeover::{Takeover, TakeoverId},
    },
};

/// An open finding, and all that keeps it open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// As it stands.
    pub finding: Finding,
    /// Its sentence, before it is said what became of it.
    pub(super) sentence: String,
    /// Since when it stands without a break.
    pub(super) since: Instant,
    /// Nanoseconds during which it stood before.
    pub(super) exposed: u64,
    /// Living workers in which it ever stood.
    pub workers: Vec<ProcessKey>,
    /// The takeovers that run.
    pub takeovers: Vec<KeptTakeover>,
    /// Workers in which it stands as long as they live: they asked for a handler that they have not,
    /// or do not go.
    pub standing: Vec<ProcessKey>,
}

/// A takeover that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptTakeover {
    /// In which worker.
    pub worker: ProcessKey,
    /// Which.
    pub takeover: Takeover,
}

impl Book {
    /// What is kept of a cause; `None` where it is not open.
    #[must_use]
    pub fn keep(&self, fingerprint: &str, table: &Table) -> Option<Kept> {
        let id = *self.by_fingerprint.get(fingerprint)?;
        let entry = self.entries.get(&id)?;
        if entry.finding.state != State::Open {
            return None;
        }
        let takeovers = self.takeovers.iter().filter(|(_, held)| held.entry == id);
        let takeovers = takeovers.filter_map(|(takeover, held)| {
            let process = table.get(held.worker)?;
            Some(KeptTakeover {
                worker: held.worker,
                takeover: process.takeovers().get(*takeover)?.clone(),
            })
        });
        let standing = self
            .standing
            .iter()
            .filter(|(_, entries)| entries.contains(&id));
        let mut standing: Vec<ProcessKey> = standing.map(|(worker, _)| *worker).collect();
        standing.sort_unstable();
        Some(Kept {
            takeovers: takeovers.collect(),
            standing,
            ..entry.keep()
        })
    }

    /// Enters what was kept, as it was.
    pub fn adopt(&mut self, when: Instant, kept: &Kept, siblings: Siblings) {
        let fingerprint = &kept.finding.fingerprint;
        if self.by_fingerprint.contains_key(fingerprint) {
            return;
        }
        let id: EntryId = self.next;
        self.next += 1;
        self.by_fingerprint.insert(fingerprint.clone(), id);
        for KeptTakeover { worker, takeover } in &kept.takeovers {
            let held = Held {
                entry: id,
                worker: *worker,
                signal: Signal::number(takeover.signal()),
            };
            self.takeovers.insert(takeover.id(), held);
        }
        for worker in &kept.standing {
            self.standing.entry(*worker).or_default().push(id);
        }
        for worker in &kept.workers {
            self.workers.entry(*worker).or_default().push(id);
        }
        self.entries.insert(id, Entry::adopt(when, kept, siblings));
        self.change(id);
    }

    /// The takeovers that are known, by their numbers.
    #[must_use]
    pub fn last_takeover(&self) -> Option<TakeoverId> {
        self.takeovers.keys().next_back().copied()
    }
}

impl Entry {
    fn keep(&self) -> Kept {
        Kept {
            finding: self.finding.clone(),
            sentence: self.sentence.clone(),
            since: self.since.unwrap_or(self.until),
            exposed: self.exposed,
            workers: self.workers.keys().copied().collect(),
            takeovers: Vec::new(),
            standing: Vec::new(),
        }
    }

    fn adopt(when: Instant, kept: &Kept, siblings: Siblings) -> Self {
        let mut entry = Self::new(kept.finding.clone(), siblings);
        entry.sentence.clone_from(&kept.sentence);
        entry.exposed = kept.exposed;
        // Another boot's clock may have been further on.
        entry.since = Some(kept.since.min(when));
        for worker in &kept.workers {
            entry.workers.insert(*worker, 0);
        }
        let holders = kept.takeovers.iter().map(|kept| kept.worker);
        for worker in holders.chain(kept.standing.iter().copied()) {
            *entry.workers.entry(worker).or_default() += 1;
            entry.running += 1;
        }
        entry.as_before = true;
        entry.told = Some(super::pace::Told::before(when, &entry.finding));
        entry
    }
}
