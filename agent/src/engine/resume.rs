//! Goes on where an agent before this one ended. Pure.
//!
//! What was open is entered as it was, before anything else is heard of the processes that live.
//! What does not hold any more is then over: at once in a worker that is gone, and in one that lives
//! when the first inventory says that something else stands.

use std::collections::BTreeSet;

use super::Engine;
use crate::{
    event::{Event, Instant, Resumed, What},
    policy::book::{Kept, KeptTakeover},
    process::{
        ProcessKey,
        takeover::{Ended, Ending},
    },
};

/// No agent lives long enough for so many takeovers.
const NUMBERS: u64 = u64::MAX / 2;

impl Engine {
    /// Takes in what an event means for that which was open before.
    pub(super) fn resumes(&mut self, event: &Event) {
        match &event.what {
            What::Resumed(resumed) => self.resume(event.when, resumed),
            What::Inventory(all) => {
                for ended in self.table.verify(event.when, event.process, all) {
                    self.book.close(&ended);
                }
            }
            _ => {}
        }
    }

    fn resume(&mut self, when: Instant, resumed: &Resumed) {
        for body in &resumed.open {
            // Another version may have written it otherwise.
            if let Ok(kept) = serde_json::from_str::<Kept>(body)
                && self.is_sound(&kept)
            {
                self.adopt(when, resumed.same_boot, &kept);
            }
        }
    }

    /// Whether a row may be one of ours: each takeover has a number of its own, and others can follow.
    /// Two findings of one number would not both be over with it.
    fn is_sound(&self, kept: &Kept) -> bool {
        let mut own = BTreeSet::new();
        kept.takeovers.iter().all(|KeptTakeover { takeover, .. }| {
            let id = takeover.id();
            id < NUMBERS && own.insert(id) && self.book.finding_of(id).is_none()
        })
    }

    fn adopt(&mut self, when: Instant, same_boot: bool, kept: &Kept) {
        let worker = &kept.finding.evidence.worker;
        let siblings =
            self.table
                .siblings_like(&kept.workers, &worker.role, worker.process_group.as_ref());
        self.book.adopt(when, kept, siblings);
        let lives = |engine: &Self, key: ProcessKey| same_boot && engine.table.get(key).is_some();
        for KeptTakeover { worker, takeover } in &kept.takeovers {
            if lives(self, *worker) {
                self.table.adopt(*worker, takeover.clone());
            } else {
                self.book.close(&Ended {
                    id: takeover.id(),
                    signal: takeover.signal(),
                    since: when,
                    until: when,
                    how: Ending::Exited,
                });
            }
        }
        for worker in kept.workers.iter().chain(&kept.standing) {
            if !lives(self, *worker) {
                self.book.left(*worker, when);
            }
        }
        self.table.number_from(self.book.last_takeover());
    }

    /// What is to be kept of a cause by now: nothing where it is not open.
    #[must_use]
    pub fn kept(&self, fingerprint: &str) -> Option<Kept> {
        self.book.keep(fingerprint, &self.table)
    }
}

#[cfg(test)]
mod tests;
