//! The book of findings: folds takeovers and attempts of one cause into one finding, follows it
//! until it is over, and says when it is told. Pure.
//!
//! Whatever happens is entered at once; [`Book::settle`] then gives what changed by it, each
//! finding once and as it stands by then. A cause that comes and goes is one finding for all its
//! life: it is kept for a while after it is over, and opened again (see `pace`).

mod entry;
mod kept;
mod pace;

use std::collections::{BTreeMap, HashMap, HashSet};

pub use self::kept::{Kept, KeptTakeover};
use self::{entry::Entry, pace::Pace};
use crate::{
    event::Instant,
    policy::finding::{Finding, ShutdownRef, State, TakenFrom, WallClock},
    process::{
        ProcessKey,
        table::{Siblings, Table},
        takeover::{Ended, TakeoverId},
    },
};

/// Names an entry of the book.
type EntryId = u64;

/// Causes of blocked attempts that are open in one worker. Of an application that makes up more of
/// them, the rest is counted only: no worker floods those who read findings. Of takeovers, which are
/// real, the rest is told by rule and signal alone.
const CAUSES: usize = 64;

/// The moment of a change, and what it is judged by.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// When.
    pub when: Instant,
    /// Turns it into times of day.
    pub clock: WallClock,
    /// Who lives then.
    pub table: &'a Table,
}

/// A takeover that begins.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Which.
    pub id: TakeoverId,
    /// In which worker.
    pub worker: ProcessKey,
    /// The number of its signal.
    pub signal: u8,
    /// Those among which this worker is counted.
    pub siblings: Siblings,
    /// The takeover from which it took the signal.
    pub taken_from: Option<TakeoverId>,
}

/// A finding that changed, or whose turn to be told has come.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// As it stands now.
    pub finding: Finding,
    /// It was not there before.
    pub is_new: bool,
    /// Those who are told findings are told this one; the others hear of it later, see `pace`.
    pub is_told: bool,
}

/// A takeover that keeps a finding open.
#[derive(Debug)]
struct Held {
    entry: EntryId,
    worker: ProcessKey,
    signal: u8,
}

/// All open findings, and those that were over a short while ago.
///
/// Bounded by what is open, each takeover and each cause of attempts of each living worker once,
/// and by `pace::CLOSED`.
#[derive(Debug, Default)]
pub struct Book {
    entries: BTreeMap<EntryId, Entry>,
    next: EntryId,
    by_fingerprint: HashMap<String, EntryId>,
    takeovers: BTreeMap<TakeoverId, Held>,
    /// Entries that are open as long as a worker lives, of each living one, oldest first: what it
    /// attempts, and that it does not go.
    standing: HashMap<ProcessKey, Vec<EntryId>>,
    /// Entries in which each living worker was ever counted.
    workers: HashMap<ProcessKey, Vec<EntryId>>,
    pace: Pace,
    /// What changed since it was settled last, oldest first.
    changed: Vec<EntryId>,
    /// The same, to be looked up: a reading of the configuration changes thousands at once.
    is_changed: HashSet<EntryId>,
}

impl Book {
    /// Enters a takeover: into a new finding, or into the one of the same cause.
    pub fn open(&mut self, when: Instant, begun: Begun, mut finding: Finding) {
        let known = self.workers.get(&begun.worker).map_or(0, Vec::len);
        if known >= CAUSES && !self.by_fingerprint.contains_key(&finding.fingerprint) {
            finding.fingerprint = coarse_fingerprint(&finding);
        }
        let below = begun.taken_from.and_then(|below| self.finding_of(below));
        // A cause that sets ever new handlers takes them from itself, which is no chain.
        finding.taken_from = below
            .filter(|below| below.fingerprint != finding.fingerprint)
            .map(TakenFrom::from);
        let id = self.enter(finding, begun.siblings);
        let held = Held {
            entry: id,
            worker: begun.worker,
            signal: begun.signal,
        };
        self.takeovers.insert(begun.id, held);
        self.hold(id, begun.worker, when);
    }

    /// Enters a blocked attempt; nothing happens where the worker has too many causes.
    ///
    /// It is open as long as the worker lives: as long as the application runs without the handler
    /// that it believes it has.
    pub fn attempt(
        &mut self,
        when: Instant,
        worker: ProcessKey,
        siblings: Siblings,
        finding: Finding,
    ) {
        let causes = self.standing.entry(worker).or_default();
        let known = self.by_fingerprint.get(&finding.fingerprint);
        let is_new = known.is_none_or(|known| !causes.contains(known));
        if is_new && causes.len() >= CAUSES {
            return;
        }
        let id = self.enter(finding, siblings);
        if is_new {
            self.stand(when, worker, id);
        }
    }

    /// Enters a worker that does not go, once: by the first signal that was in its way. It is open
    /// until the worker is gone.
    pub fn hang(
        &mut self,
        when: Instant,
        worker: ProcessKey,
        siblings: Siblings,
        finding: Finding,
    ) {
        if self.hung(worker).is_none() {
            let id = self.enter(finding, siblings);
            self.stand(when, worker, id);
        }
    }

    /// Changes what is known of the shutdown of a worker that does not go.
    pub fn amend_hang(&mut self, worker: ProcessKey, how: impl FnOnce(&mut ShutdownRef)) {
        let Some(id) = self.hung(worker) else {
            return;
        };
        let entry = self.entries.get_mut(&id);
        if let Some(shutdown) = entry.and_then(|entry| entry.finding.shutdown.as_mut()) {
            how(shutdown);
            self.change(id);
        }
    }

    fn hung(&self, worker: ProcessKey) -> Option<EntryId> {
        let hangs = |id: &&EntryId| {
            let entry = self.entries.get(*id);
            entry.is_some_and(|entry| entry.finding.shutdown.is_some())
        };
        self.standing.get(&worker)?.iter().find(hangs).copied()
    }

    fn stand(&mut self, when: Instant, worker: ProcessKey, id: EntryId) {
        self.standing.entry(worker).or_default().push(id);
        self.hold(id, worker, when);
    }

    /// The entry of a finding's cause; counts it.
    fn enter(&mut self, finding: Finding, siblings: Siblings) -> EntryId {
        let id = match self.by_fingerprint.get(&finding.fingerprint) {
            Some(id) => *id,
            None => {
                let id = self.next;
                self.next += 1;
                self.by_fingerprint.insert(finding.fingerprint.clone(), id);
                self.entries.insert(id, Entry::new(finding, siblings));
                self.change(id);
                return id;
            }
        };
        self.change(id);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.again(finding);
        }
        id
    }

    fn hold(&mut self, id: EntryId, worker: ProcessKey, when: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        self.pace.is_open(id);
        if entry.hold(worker, when) {
            self.workers.entry(worker).or_default().push(id);
        }
    }

    /// Ends a takeover.
    pub fn close(&mut self, ended: &Ended) {
        let Some(held) = self.takeovers.remove(&ended.id) else {
            return;
        };
        if let Some(entry) = self.entries.get_mut(&held.entry) {
            entry.ended(ended.how);
        }
        self.release(held.entry, held.worker, ended.until);
    }

    /// A worker is gone, and with it what stood as long as it lived.
    pub fn left(&mut self, worker: ProcessKey, when: Instant) {
        for id in self.standing.remove(&worker).unwrap_or_default() {
            self.release(id, worker, when);
        }
        for id in self.workers.remove(&worker).unwrap_or_default() {
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.forget(worker);
            }
        }
    }

    /// One of those that keep a finding open is over.
    fn release(&mut self, id: EntryId, worker: ProcessKey, until: Instant) {
        self.change(id);
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.release(worker, until)
        {
            self.pace.is_over(id, until);
        }
    }

    fn change(&mut self, id: EntryId) {
        if self.is_changed.insert(id) {
            self.changed.push(id);
        }
    }

    /// What changed, and what has waited long enough to be told, each as it stands now.
    pub fn settle(&mut self, at: &At<'_>) -> Vec<News> {
        let mut news = Vec::new();
        for id in self.pace.due(at.when) {
            self.change(id);
        }
        self.is_changed.clear();
        for id in std::mem::take(&mut self.changed) {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            let is_new = entry.told.is_none();
            let is_told = self.pace.is_told(id, entry, at.when);
            news.push(News {
                finding: entry.settle(at).clone(),
                is_new,
                is_told,
            });
        }
        for id in self.pace.forgotten(at.when) {
            news.extend(self.forget(id));
        }
        news
    }

    /// An entry has been over for so long that its cause would be a new finding. What it came to is
    /// told, where that was not told.
    fn forget(&mut self, id: EntryId) -> Option<News> {
        let entry = self.entries.remove(&id)?;
        self.by_fingerprint.remove(&entry.finding.fingerprint);
        for worker in entry.workers.keys() {
            if let Some(entries) = self.workers.get_mut(worker) {
                entries.retain(|other| *other != id);
                if entries.is_empty() {
                    self.workers.remove(worker);
                }
            }
        }
        entry.has_untold().then_some(News {
            finding: entry.finding,
            is_new: false,
            is_told: true,
        })
    }

    /// When [`Book::settle`] has something to tell, if nothing happens until then.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.pace.deadline()
    }

    /// What a takeover was found to be, while it runs.
    #[must_use]
    pub fn finding_of(&self, takeover: TakeoverId) -> Option<&Finding> {
        let held = self.takeovers.get(&takeover)?;
        Some(&self.entries.get(&held.entry)?.finding)
    }

    /// Every takeover that runs, oldest first: the worker's process id, the signal's number and
    /// what it was found to be.
    pub fn takeovers(&self) -> impl Iterator<Item = (u32, u8, &Finding)> {
        self.takeovers.values().filter_map(|held| {
            let entry = self.entries.get(&held.entry)?;
            Some((held.worker.pid, held.signal, &entry.finding))
        })
    }

    /// What a worker attempts and was blocked, oldest cause first.
    pub fn attempts(&self, worker: ProcessKey) -> impl Iterator<Item = &Finding> {
        let causes = self.standing.get(&worker).into_iter().flatten();
        let findings =
            causes.filter_map(|cause| self.entries.get(cause).map(|entry| &entry.finding));
        findings.filter(|finding| finding.shutdown.is_none())
    }

    /// Judges each open finding anew by `how`, which changes its sentence and what covers it; `true`
    /// is a change.
    pub fn except(&mut self, mut how: impl FnMut(&mut Finding) -> bool) {
        let open = self.entries.iter_mut().filter(|(_, entry)| entry.is_open());
        let changed = open.filter_map(|(id, entry)| entry.except(&mut how).then_some(*id));
        for id in changed.collect::<Vec<_>>() {
            self.change(id);
        }
    }

    /// Every open finding, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        let all = self.entries.values().map(|entry| &entry.finding);
        all.filter(|finding| finding.state == State::Open)
    }
}

/// Names what all causes of one rule and signal have in common, in one group of workers.
fn coarse_fingerprint(finding: &Finding) -> String {
    let evidence = &finding.evidence;
    let (server, worker) = (&evidence.server, &evidence.worker);
    let group = worker.process_group.as_deref().unwrap_or(&worker.role);
    super::fingerprint(&[
        "",
        &finding.rule,
        &evidence.signal.name,
        &server.name,
        group,
    ])
}

impl From<&Finding> for TakenFrom {
    fn from(finding: &Finding) -> Self {
        Self {
            id: finding.id.clone(),
            fingerprint: finding.fingerprint.clone(),
            blame: finding.evidence.blame.clone(),
        }
    }
}
