//! Findings, kept and found again.
//!
//! They live in memory and go with the agent. The interface is a store's: everything goes in by
//! [`Store::put`] and comes out by id or by [`Query`], so that a database can take its place.

mod query;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

pub use self::query::{Cursor, Query, QueryError};
use crate::policy::{Finding, State};

/// Order of findings: by time, then by id, which is unique.
type Key = (Timestamp, String);

/// The findings of one agent, as many as it was told to keep.
#[derive(Debug)]
pub struct Store {
    keep: usize,
    findings: BTreeMap<Key, Arc<Finding>>,
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
    /// An empty store that holds at most `keep` findings, and at least one.
    #[must_use]
    pub fn new(keep: usize) -> Self {
        Self {
            keep: keep.max(1),
            findings: BTreeMap::new(),
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
        self.findings.insert(key, Arc::new(finding.clone()));
        while self.findings.len() > self.keep {
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
        let mut last = None;
        for (key, finding) in self.findings.range(from..to).rev() {
            if !query.matches(finding) {
                continue;
            }
            if page.findings.len() == query.limit {
                page.next_cursor = last.map(|(time, id): &Key| Cursor::new(*time, id));
                break;
            }
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
            self.findings.remove(&key);
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

#[cfg(test)]
mod tests;
