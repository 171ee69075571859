//! Families of series that cannot grow without bound, whatever an application calls itself, and
//! counters of what the kernel counts.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use prometheus::{
    CounterVec, IntCounter,
    core::{MetricVec, MetricVecBuilder},
};

/// Named series per family. Beyond it, what applications name becomes [`OTHER`].
pub(super) const CAP: usize = 2000;

/// Series per family at which the server's name becomes [`OTHER`], too. What is left then are
/// signals, rules and the like, of which there is a fixed number.
const HARD_CAP: usize = CAP + CAP / 4;

/// Stands for the names for which there was no room.
pub(super) const OTHER: &str = "other";

/// Longest label value, in characters.
const VALUE_MAX: usize = 128;

/// Label values in the order of the family's labels; the server comes first.
pub(super) type Row = Vec<String>;

/// What counters, gauges and histograms with labels have in common. The library has the same
/// as a struct with a parameter whose values it does not export.
pub(super) trait Family {
    /// One series.
    type One;

    /// The series with these label values, made where it does not exist.
    fn one(&self, row: &Row) -> Option<Self::One>;

    /// Ends a series.
    fn end(&self, row: &Row);
}

impl<B: MetricVecBuilder> Family for MetricVec<B> {
    type One = B::M;

    fn one(&self, row: &Row) -> Option<Self::One> {
        self.get_metric_with_label_values(row).ok()
    }

    fn end(&self, row: &Row) {
        // An error says that nobody asked for this series yet: then there is none to end.
        let _ = self.remove_label_values(row);
    }
}

/// One family with a bound.
pub(super) struct Series<F> {
    family: F,
    rows: Mutex<HashSet<Row>>,
    /// How many labels after the server are named by the application.
    named: usize,
    overflow: IntCounter,
}

impl<F: Family> Series<F> {
    pub(super) fn new(family: F, named: usize, overflow: IntCounter) -> Self {
        Self {
            family,
            rows: Mutex::default(),
            named,
            overflow,
        }
    }

    /// The series for these labels, or the one that stands for what there is no room for.
    ///
    /// `None` only where the number of labels is wrong, which the tests would have shown.
    pub(super) fn at(&self, labels: &[&str]) -> Option<F::One> {
        self.get(&self.admit(labels))
    }

    /// The series of a row that was admitted.
    pub(super) fn get(&self, row: &Row) -> Option<F::One> {
        self.family.one(row)
    }

    /// Finds room for a row and says which row it is to be.
    pub(super) fn admit(&self, labels: &[&str]) -> Row {
        let mut row: Row = labels.iter().map(|value| clip(value)).collect();
        let mut rows = self.rows();
        if rows.contains(&row) {
            return row;
        }
        if rows.len() >= CAP {
            self.overflow.inc();
            for value in row.iter_mut().skip(1).take(self.named) {
                OTHER.clone_into(value);
            }
            if rows.len() >= HARD_CAP
                && !rows.contains(&row)
                && let Some(server) = row.first_mut()
            {
                OTHER.clone_into(server);
            }
        }
        rows.insert(row.clone());
        row
    }

    /// Whether there is such a row.
    pub(super) fn has(&self, row: &Row) -> bool {
        self.rows().contains(row)
    }

    /// Every row there is.
    fn all(&self) -> Vec<Row> {
        self.rows().iter().cloned().collect()
    }

    /// Whether room runs short, so that rows without news should go.
    pub(super) fn crowded(&self) -> bool {
        self.rows().len() > CAP / 2
    }

    /// Ends one series.
    pub(super) fn remove(&self, row: &Row) {
        self.rows().remove(row);
        self.family.end(row);
    }

    /// Ends all series of a server.
    pub(super) fn forget(&self, server: &str) {
        let server = clip(server);
        for row in self.all() {
            if row.first() == Some(&server) {
                self.remove(&row);
            }
        }
    }

    fn rows(&self) -> MutexGuard<'_, HashSet<Row>> {
        // A set is whole after any panic: an insertion is done or not done.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counters that follow totals which somebody else counts.
pub(super) struct Totals {
    family: CounterVec,
    last: Mutex<HashMap<String, f64>>,
}

impl Totals {
    pub(super) fn new(family: CounterVec) -> Self {
        Self {
            family,
            last: Mutex::default(),
        }
    }

    /// Advances by the difference to the last total. A smaller total is one that began anew.
    pub(super) fn advance(&self, label: &str, total: f64) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.insert(label.to_owned(), total).unwrap_or_default();
        let by = if total < before {
            total
        } else {
            total - before
        };
        if let Ok(counter) = self.family.get_metric_with_label_values(&[label]) {
            counter.inc_by(by.max(0.0));
        }
    }
}

/// A bounded copy. The text format escapes what breaks lines, not what is long.
fn clip(value: &str) -> String {
    match value.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}
