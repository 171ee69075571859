//! Takeovers that an agent before this one knew. Pure.

use super::{Siblings, Table};
use crate::{
    event::{Dispositions, Instant},
    process::{
        ProcessKey,
        takeover::{Ended, Takeover, TakeoverId},
    },
};

impl Table {
    /// Takes over a takeover of a process that lives.
    pub fn adopt(&mut self, key: ProcessKey, takeover: Takeover) {
        if let Some(process) = self.get_mut(key) {
            process.takeovers.adopt(takeover);
            process.adopted = true;
        }
    }

    /// Takeovers are numbered from there on, so that none has the number of one before.
    pub fn number_from(&mut self, last: Option<TakeoverId>) {
        let next = last.map_or(0, |last| last.saturating_add(1));
        self.next_takeover = self.next_takeover.max(next);
    }

    /// Ends those that were taken over and stand no more, by the first inventory of their process.
    pub fn verify(&mut self, when: Instant, key: ProcessKey, all: &Dispositions) -> Vec<Ended> {
        let process = self.get_mut(key).filter(|process| process.adopted);
        let Some(process) = process else {
            return Vec::new();
        };
        process.adopted = false;
        process.takeovers.verify(when, all)
    }

    /// Those among which the workers of a finding are counted; nobody where all of them are gone.
    #[must_use]
    pub fn siblings_like(
        &self,
        workers: &[ProcessKey],
        role: &str,
        process_group: Option<&String>,
    ) -> Siblings {
        let worker = workers.iter().find_map(|key| self.get(*key));
        Siblings::like(worker, role, process_group.cloned())
    }
}
