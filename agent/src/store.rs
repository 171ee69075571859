//! Findings, kept and found again.
//!
//! They live in memory and go with the agent. The interface is a store's: everything goes in by
//! [`Store::put`] and comes out by id or by [`Query`], so that a database can take its place.

pub mod disk;
mod query;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

pub use self::query::{Cursor, Query, QueryError};
use crate::policy::{Finding, State};

/// Bytes that a finding may take on average, before fewer are kept than were asked for: a stack of
/// forty frames with long paths. An application chooses how deep its stacks are and how long its
/// names, up to a hundred thousand bytes for one finding.
const AVERAGE: usize = 8 << 10;

/// Bytes of findings on one page; whoever asks for it goes on from the cursor.
const PAGE: usize = 4 << 20;

/// Order of findings: by time, then by id, which is unique.
type Key = (Timestamp, String);

/// The findings of one agent, as many as it was told to keep.
#[derive(Debug)]
pub struct Store {
    keep: usize,
    findings: BTreeMap<Key, Arc<Finding>>,
    /// About how many bytes they take, see [`weight`].
    bytes: usize,
    by_id: HashMap<String, Key>,
    /// The resolved ones, which go first when there are too many.
    resolved: BTreeSet<Key>,
    evicted: u64,
}

/// Some findings, newest first. They are shared, so that whoever writes them out need not hold
/// the store meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// At most as many as the query's limit.
    pub findings: Vec<Arc<Finding>>,
    /// Where to go on; `None` where nothing is left.
    pub next_cursor: Option<Cursor>,
}

impl Store {
    /// An empty store that holds at most `keep` findings, fewer where they are long, and at least
    /// one.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            keep: keep.max(1),
            findings: BTreeMap::new(),
            bytes: 0,
            by_id: HashMap::new(),
            resolved: BTreeSet::new(),
            evicted: 0,
        }
    }

    /// Inserts a finding, or replaces the one with the same id.
    pub fn put(&mut self, finding: &Finding) {
        self.remove(&finding.id);
        // The core writes the time itself. One that does not parse is the oldest, not an error.
        let time = finding.time.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        let key = (time, finding.id.clone());
        if finding.state == State::Resolved {
            self.resolved.insert(key.clone());
        }
        self.by_id.insert(finding.id.clone(), key.clone());
        self.bytes += weight(finding);
        self.findings.insert(key, Arc::new(finding.clone()));
        let most = self.keep.saturating_mul(AVERAGE);
        while self.findings.len() > self.keep || self.bytes > most && self.findings.len() > 1 {
            self.evict();
        }
    }

    /// The finding with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Finding>> {
        self.findings.get(self.by_id.get(id)?).cloned()
    }

    /// The findings that a query asks for, newest first.
    #[must_use]
    pub fn list(&self, query: &Query) -> Page {
        let from = (query.since.unwrap_or(Timestamp::MIN), String::new());
        // Both ends are exclusive above: what has the cursor's key was on the last page.
        let until = (query.until.unwrap_or(Timestamp::MAX), String::new());
        let to = match &query.cursor {
            Some(cursor) => cursor.key().min(until),
            None => until,
        };
        let mut page = Page {
            findings: Vec::new(),
            next_cursor: None,
        };
        if from >= to {
            return page;
        }
        let (mut last, mut bytes) = (None, 0);
        for (key, finding) in self.findings.range(from..to).rev() {
            if !query.matches(finding) {
                continue;
            }
            if page.findings.len() == query.limit || bytes > PAGE {
                page.next_cursor = last.map(|(time, id): &Key| Cursor::new(*time, id));
                break;
            }
            bytes += weight(finding);
            page.findings.push(Arc::clone(finding));
            last = Some(key);
        }
        page
    }

    /// Every finding that is open, oldest first.
    pub fn open(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .values()
            .map(Arc::as_ref)
            .filter(|finding| finding.state == State::Open)
    }

    /// How many findings there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.findings.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// How many findings had to make room for others.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    fn remove(&mut self, id: &str) {
        if let Some(key) = self.by_id.remove(id) {
            self.resolved.remove(&key);
            let gone = self.findings.remove(&key);
            self.bytes -= gone.map_or(0, |finding| weight(&finding));
        }
    }

    /// The oldest resolved finding goes; where all are open, the oldest.
    fn evict(&mut self) {
        let oldest = self.resolved.first().or(self.findings.keys().next());
        if let Some((_, id)) = oldest.cloned() {
            self.remove(&id);
            self.evicted += 1;
        }
    }
}

/// About how many bytes a finding takes: what an application chooses counts exactly.
fn weight(finding: &Finding) -> usize {
    const FIXED: usize = 2 << 10;
    let frames = &finding.evidence.python.frames;
    let names = frames.iter().map(|f| f.file.len() + f.function.len());
    let native = &finding.evidence.native.frames;
    let symbol = |symbol: &Arc<str>| symbol.len();
    let symbols = native
        .iter()
        .map(|f| f.module.len() + f.code.len() + f.symbol.as_ref().map_or(0, symbol));
    let parts = size_of_val(&**frames) + size_of_val(&**native);
    FIXED + parts + names.chain(symbols).sum::<usize>()
}

#[cfg(test)]
mod tests;
