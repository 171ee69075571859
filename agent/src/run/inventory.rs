//! When the kernel is asked what stands on every signal, and what is read besides so that the
//! answer can be judged.
//!
//! The core compares two answers in a row (`process::table`), which is sound only if everything
//! that happened before the first was heard by the second: the ring was read empty in between.

use std::{sync::Arc, time::Instant as Moment};

use anyhow::Result;
use tracing::warn;

use super::{Agent, clock};
use crate::{
    event::{Dispositions, Event, Instant, What},
    probe::{
        hooks::{HookStatus, INVENTORY, MASKS},
        ring::Ring,
    },
    process::ProcessKey,
};

/// What was asked, and what was heard by then.
pub(super) struct Inventories {
    /// The kernel gives addresses.
    has_addresses: bool,
    /// When the last answer was there.
    last: Option<Instant>,
    /// Everything that happened until then has been read from the ring.
    heard: Instant,
    /// The core wants one.
    wanted: bool,
    /// Records that were lost, and that the core has not been told of.
    lost: u64,
}

impl Inventories {
    pub(super) fn new(hooks: &[HookStatus]) -> Self {
        let mut rungs = hooks.iter().filter(|status| status.hook == INVENTORY);
        Self {
            has_addresses: rungs.any(|status| status.attached && status.mechanism != MASKS),
            last: None,
            heard: Instant::default(),
            wanted: false,
            lost: 0,
        }
    }

    /// The ring was read empty, beginning at that moment.
    pub(super) fn heard(&mut self, began: Instant) {
        self.heard = began;
    }

    /// Records were lost.
    pub(super) fn lost(&mut self, records: u64) {
        self.lost += records;
    }

    /// Whether everything that happened before the last answer has been heard.
    fn is_sound(&self) -> bool {
        self.last.is_none_or(|last| last <= self.heard)
    }
}

impl Agent {
    /// What the core has waited for has come; what happened until then comes first.
    pub(super) fn overdue(&mut self, ring: &mut Ring) -> Result<()> {
        self.drain(ring)?;
        let when = clock::now();
        let due = self.engine.table.inventory_due();
        self.inventories.wanted |= due.is_some_and(|due| due <= when);
        self.whole(Event {
            when,
            process: ProcessKey::NONE,
            tid: 0,
            what: What::Overdue,
        });
        self.take_wanted_inventory();
        Ok(())
    }

    /// Asks the kernel, if the core wants that and can make sense of the answer.
    pub(super) fn take_wanted_inventory(&mut self) {
        if self.inventories.wanted && self.inventories.is_sound() {
            self.inventories.wanted = false;
            self.take_inventory();
        }
    }

    /// What stands on every signal of every process, by the kernel.
    pub(super) fn take_inventory(&mut self) {
        self.tell_losses();
        let is_sound = self.inventories.is_sound();
        let when = clock::now();
        let answers = match self.watch_inventory() {
            Some(all) => all
                .into_iter()
                .map(|(key, all)| (key, What::Inventory(all)))
                .collect(),
            None => self.masks(),
        };
        self.inventories.last = Some(clock::now());
        for (key, what) in answers {
            // Calls that wait to be taken in would seem not to have been made.
            if self.configurations.keeps(key) {
                self.inventories.wanted = true;
                continue;
            }
            if is_sound || !self.engine.table.is_inventoried(key) {
                self.tell_inventory(when, key, what);
            }
        }
    }

    /// What the kernel says, with addresses; `None` where it says no such thing.
    fn watch_inventory(&mut self) -> Option<Vec<(ProcessKey, Box<Dispositions>)>> {
        if !self.inventories.has_addresses {
            return None;
        }
        match self.watch.inventory() {
            Ok(all) => Some(all),
            Err(reason) => {
                warn!(reason, "handlers that nobody was seen to set have no owner");
                self.inventories.has_addresses = false;
                self.tell.no_addresses(reason);
                None
            }
        }
    }

    /// What the kernel says to everybody.
    fn masks(&self) -> Vec<(ProcessKey, What)> {
        let processes = self.engine.table.processes();
        processes
            .filter_map(|process| {
                let (ignored, caught) = self.watch.masks(process.key)?;
                Some((process.key, What::Masks { ignored, caught }))
            })
            .collect()
    }

    /// Tells the core an answer, if it is news, and before that what it takes to judge it.
    fn tell_inventory(&mut self, when: Instant, key: ProcessKey, what: What) {
        if let What::Inventory(all) = &what {
            if !self.engine.table.is_news(key, all) {
                return;
            }
            let names = self.name_handlers(when, key, all);
            if !names.is_empty() {
                self.tell_of(when, key, What::Named(names));
            }
            // Last: whose an address is counts only if the maps were read for this very answer.
            if !self.engine.table.knows_owners(key, all)
                && let Some(modules) = self.read(key, when)
            {
                self.mapped(key, when, Some(modules));
            }
        }
        self.tell_of(when, key, what);
    }

    fn tell_of(&mut self, when: Instant, process: ProcessKey, what: What) {
        self.whole(Event {
            when,
            process,
            tid: process.pid,
            what,
        });
    }

    /// The functions at the addresses of handlers that are not the server's.
    fn name_handlers(
        &mut self,
        when: Instant,
        key: ProcessKey,
        all: &Dispositions,
    ) -> Vec<(u64, Arc<str>)> {
        let nameless = self.engine.table.nameless(key, all);
        let now = Moment::now();
        if nameless.is_empty() || self.stacks_budget.is_exhausted(key, now) {
            return Vec::new();
        }
        if !self.unwound.knows(key, now) {
            self.look_for_code(key, when);
        }
        let names = self.unwound.functions(key, &nameless);
        self.stacks_budget.spent(key, now, now.elapsed());
        names
    }

    fn tell_losses(&mut self) {
        let lost = std::mem::take(&mut self.inventories.lost);
        if lost > 0 {
            self.tell_of(clock::now(), ProcessKey::NONE, What::Lost(lost));
        }
    }
}
