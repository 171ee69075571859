//! When a finding is told, and when it is forgotten: a cause that comes and goes floods nobody, and
//! what was told last becomes the truth again. Pure.
//!
//! Its beginning and its first end are told at once. After that it is told at most once a minute,
//! and only where it stands otherwise than was told last: open or over, or open in more workers
//! than ever. When it has been over for [`REOPEN`] the book forgets it, and what it came to is
//! told where that is something else than was told last.

use std::collections::BTreeSet;

use super::{EntryId, entry::Entry};
use crate::{
    event::Instant,
    policy::finding::{Finding, State},
};

/// How long after its end the same cause is the same finding again.
pub(super) const REOPEN: u64 = 600 * SECOND;
/// How long after a change was told the next one waits.
const MINUTE: u64 = 60 * SECOND;
const SECOND: u64 = 1_000_000_000;
/// Findings that are over and kept; beyond them, those that ended first are forgotten sooner.
pub(super) const CLOSED: usize = 1_000;

/// What was told of a finding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// When that was.
    when: Instant,
    /// Open or over.
    pub(super) state: State,
    /// How many takeovers it had.
    pub(super) count: u64,
    /// In how many workers it stood at most.
    workers: u64,
    /// Its end was told once.
    ended: bool,
}

impl Told {
    /// What an agent before this one had told.
    pub(super) fn before(when: Instant, finding: &Finding) -> Self {
        Self {
            when,
            state: State::Open,
            count: finding.count,
            workers: finding.extent.workers,
            ended: false,
        }
    }
}

/// Which entry is told or forgotten when.
#[derive(Debug, Default)]
pub(super) struct Pace {
    waiting: BTreeSet<(Instant, EntryId)>,
    over: BTreeSet<(Instant, EntryId)>,
    /// When each of those that are over ended.
    ended: std::collections::HashMap<EntryId, Instant>,
}

impl Pace {
    /// An entry is over.
    pub(super) fn is_over(&mut self, id: EntryId, until: Instant) {
        self.is_open(id);
        let forget = after(until, REOPEN);
        self.ended.insert(id, forget);
        self.over.insert((forget, id));
    }

    /// An entry is open, again perhaps.
    pub(super) fn is_open(&mut self, id: EntryId) {
        if let Some(forget) = self.ended.remove(&id) {
            self.over.remove(&(forget, id));
        }
    }

    /// Whether an entry that changed is told now. Else it waits, if there is anything to tell.
    pub(super) fn is_told(&mut self, id: EntryId, entry: &mut Entry, now: Instant) -> bool {
        let state = if entry.is_open() {
            State::Open
        } else {
            State::Resolved
        };
        let workers = entry.finding.extent.workers;
        let before = entry.told;
        if let Some(told) = before {
            let next = after(told.when, MINUTE);
            let grows = state == State::Open && workers > told.workers;
            let is_news = state != told.state || grows;
            let is_first_end = state == State::Resolved && !told.ended;
            let is_told = is_news && (is_first_end || now >= next);
            if is_news && !is_told {
                self.waiting.insert((next, id));
            } else {
                self.waiting.remove(&(next, id));
            }
            if !is_told {
                return false;
            }
        }
        entry.told = Some(Told {
            when: now,
            state,
            count: entry.finding.count,
            workers: before.map_or(0, |told| told.workers).max(workers),
            ended: state == State::Resolved || before.is_some_and(|told| told.ended),
        });
        true
    }

    /// Those that have waited long enough.
    pub(super) fn due(&mut self, now: Instant) -> Vec<EntryId> {
        take_until(&mut self.waiting, now)
    }

    /// Those that are to be forgotten.
    pub(super) fn forgotten(&mut self, now: Instant) -> Vec<EntryId> {
        let mut forgotten = take_until(&mut self.over, now);
        while self.over.len() > CLOSED {
            forgotten.extend(self.over.pop_first().map(|(_, id)| id));
        }
        for id in &forgotten {
            self.ended.remove(id);
        }
        forgotten
    }

    /// When the next one is to be told or forgotten.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let first = |set: &BTreeSet<(Instant, EntryId)>| set.first().map(|(when, _)| *when);
        match (first(&self.waiting), first(&self.over)) {
            (Some(waiting), Some(over)) => Some(waiting.min(over)),
            (waiting, over) => waiting.or(over),
        }
    }
}

fn after(when: Instant, nanoseconds: u64) -> Instant {
    Instant(when.0.saturating_add(nanoseconds))
}

fn take_until(set: &mut BTreeSet<(Instant, EntryId)>, now: Instant) -> Vec<EntryId> {
    let mut taken = Vec::new();
    while set.first().is_some_and(|(when, _)| *when <= now) {
        taken.extend(set.pop_first().map(|(_, id)| id));
    }
    taken
}
