//! Which findings are open, counted as they open and end: what one change costs does not depend on
//! how many there are.

use std::collections::{HashMap, HashSet};

use prometheus::IntGaugeVec;

use super::series::{Row, Series};

/// The open findings by id, and the series that each counts in.
#[derive(Default)]
pub(super) struct Open {
    rows: HashMap<String, Row>,
    counts: HashMap<Row, i64>,
    /// Series that are at 0. That one falls to 0 shows in a graph that it ended, where one that
    /// vanishes does not; where room runs short, that is a luxury.
    ended: HashSet<Row>,
}

impl Open {
    /// A finding is open.
    pub(super) fn open(&mut self, family: &Series<IntGaugeVec>, id: &str, labels: &[&str]) {
        if self.rows.contains_key(id) {
            return;
        }
        if family.crowded() {
            for row in self.ended.drain() {
                family.remove(&row);
            }
        }
        let row = family.admit(labels);
        self.ended.remove(&row);
        let count = self.counts.entry(row.clone()).or_default();
        *count += 1;
        if let Some(gauge) = family.get(&row) {
            gauge.set(*count);
        }
        self.rows.insert(id.to_owned(), row);
    }

    /// A finding is over.
    pub(super) fn end(&mut self, family: &Series<IntGaugeVec>, id: &str) {
        let Some(row) = self.rows.remove(id) else {
            return;
        };
        let count = self.counts.get(&row).copied().unwrap_or_default() - 1;
        // That of a server that is gone has ended, and is not to begin again.
        let gauge = family.has(&row).then(|| family.get(&row)).flatten();
        if count > 0 {
            self.counts.insert(row, count);
        } else {
            self.counts.remove(&row);
            if family.crowded() {
                family.remove(&row);
                return;
            }
            self.ended.insert(row);
        }
        if let Some(gauge) = gauge {
            gauge.set(count.max(0));
        }
    }
}
