//! One finding in the book: what keeps it open, and what it came to so far. Pure.

use std::collections::BTreeMap;

use super::{At, pace::Told};
use crate::{
    event::Instant,
    policy::{
        finding::{Finding, State},
        history,
    },
    process::{ProcessKey, table::Siblings, takeover::Ending},
};

/// A finding, and what keeps it open.
#[derive(Debug)]
pub(super) struct Entry {
    /// As it was when it was settled last.
    pub(super) finding: Finding,
    /// Living workers in which it ever stood, and how often it stands there now.
    pub(super) workers: BTreeMap<ProcessKey, u64>,
    /// What was told of it last; nothing where it is new.
    pub(super) told: Option<Told>,
    /// Its sentence, before it is said what became of it.
    pub(super) sentence: String,
    siblings: Siblings,
    /// Takeovers that run, and workers that live on without the handler they asked for.
    pub(super) running: u64,
    /// Since when at least one of them did without a break.
    pub(super) since: Option<Instant>,
    /// When the last of them ended.
    pub(super) until: Instant,
    /// Nanoseconds during which there was one, before `since`.
    pub(super) exposed: u64,
    /// It is what an agent before this one had written, and nothing changed since.
    pub(super) as_before: bool,
}

impl Entry {
    pub(super) fn new(finding: Finding, siblings: Siblings) -> Self {
        Self {
            sentence: finding.message.clone(),
            finding,
            workers: BTreeMap::new(),
            told: None,
            siblings,
            running: 0,
            since: None,
            until: Instant::default(),
            exposed: 0,
            as_before: false,
        }
    }

    /// The same cause again. What was seen of it first stays while it stands; what opens it again
    /// is seen in a worker that lives.
    pub(super) fn again(&mut self, finding: Finding) {
        let known = &mut self.finding;
        // What was kept may have any number.
        known.count = known.count.saturating_add(1);
        let link = known.taken_from.take().or(finding.taken_from.clone());
        if self.running == 0 {
            self.sentence.clone_from(&finding.message);
            let known = std::mem::replace(known, finding);
            self.finding.id = known.id;
            self.finding.time = known.time;
            self.finding.count = known.count;
            self.finding.extent = known.extent;
        }
        self.finding.taken_from = link;
    }

    /// It stands in a worker, once more. Says whether that is one in which it never stood.
    pub(super) fn hold(&mut self, worker: ProcessKey, when: Instant) -> bool {
        self.running += 1;
        // Records of several processors may come out of their order by a hair.
        self.since = Some(self.since.map_or(when, |since| since.min(when)));
        let extent = &mut self.finding.extent;
        let stands = self.workers.entry(worker);
        let is_new = matches!(stands, std::collections::btree_map::Entry::Vacant(_));
        let stands = stands.or_default();
        *stands += 1;
        extent.workers = extent.workers.saturating_add(u64::from(*stands == 1));
        extent.workers_ever = extent.workers_ever.saturating_add(u64::from(is_new));
        is_new
    }

    /// It stands once less in a worker. Says whether it is over now.
    pub(super) fn release(&mut self, worker: ProcessKey, until: Instant) -> bool {
        self.as_before = false;
        if let Some(stands) = self.workers.get_mut(&worker) {
            *stands = stands.saturating_sub(1);
            let extent = &mut self.finding.extent;
            extent.workers = extent.workers.saturating_sub(u64::from(*stands == 0));
        }
        self.running = self.running.saturating_sub(1);
        if self.running > 0 {
            return false;
        }
        self.until = until;
        if let Some(since) = self.since.take() {
            let stood = until.0.saturating_sub(since.0);
            self.exposed = self.exposed.saturating_add(stood);
        }
        true
    }

    /// Counts how a takeover ended.
    pub(super) fn ended(&mut self, how: Ending) {
        self.as_before = false;
        let extent = &mut self.finding.extent;
        let counter = match how {
            Ending::Restored => &mut extent.restored,
            Ending::Exited => &mut extent.exited,
            Ending::Executed => &mut extent.executed,
            Ending::Displaced => return,
        };
        *counter = counter.saturating_add(1);
    }

    /// A worker is gone; it stays counted.
    pub(super) fn forget(&mut self, worker: ProcessKey) {
        self.workers.remove(&worker);
    }

    /// Brings the finding up to date.
    pub(super) fn settle(&mut self, at: &At<'_>) -> &Finding {
        if std::mem::take(&mut self.as_before) {
            return &self.finding;
        }
        let of = at.table.siblings(&self.siblings).count() as u64;
        let finding = &mut self.finding;
        let extent = &mut finding.extent;
        // A worker may have changed its role since.
        extent.of = of.max(extent.workers);
        finding.lasting = extent.lasting();
        if self.running > 0 {
            finding.state = State::Open;
            finding.resolved_at = None;
            finding.exposure_seconds = None;
        } else {
            finding.state = State::Resolved;
            finding.resolved_at = Some(at.clock.rfc3339(self.until));
            finding.exposure_seconds = Some(self.exposed as f64 / 1e9);
        }
        finding.message = history::sentence(&self.sentence, finding);
        finding
    }

    /// Judges it by the exceptions of the configuration, see [`super::Book::except`].
    pub(super) fn except(&mut self, how: impl FnOnce(&mut Finding) -> bool) -> bool {
        // What is said of what became of it is added when it is settled.
        self.finding.message.clone_from(&self.sentence);
        let is_changed = how(&mut self.finding);
        self.sentence.clone_from(&self.finding.message);
        is_changed
    }

    /// Whether it stands somewhere.
    pub(super) fn is_open(&self) -> bool {
        self.running > 0
    }

    /// Whether something else was told last than what it came to.
    pub(super) fn has_untold(&self) -> bool {
        let is_told =
            |told: &Told| told.state == self.finding.state && told.count == self.finding.count;
        !self.told.as_ref().is_some_and(is_told)
    }
}
