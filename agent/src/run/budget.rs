//! How much time one process may cost us: reading its maps and unwinding its stacks stops the
//! loop, and an application chooses both how often that is due and how long it takes.

use std::{
    collections::HashMap,
    time::{Duration, Instant as Moment},
};

use crate::process::ProcessKey;

/// One part in so many of the time may go into one process.
const PART: u32 = 20;
/// How long a process may cost at once before its share counts.
const AT_ONCE: Duration = Duration::from_millis(200);
/// The same for native stacks, whose first ones want files to be read: a Java virtual machine's took
/// 280 ms (libjvm.so of OpenJDK 17, debug build).
const FILES_AT_ONCE: Duration = Duration::from_secs(1);

/// How far ahead of its share a process may be until nothing at all is done for it: three seconds of
/// work. What is known of its files costs little to use, as a rule; the tables are its own.
const TOO_FAR: Duration = Duration::from_secs(60);

/// What each process has cost.
#[derive(Debug)]
pub(super) struct Budget {
    /// How far ahead of its share a process may be.
    ahead: Duration,
    /// The moment by which its cost is within its share.
    paid: HashMap<ProcessKey, Moment>,
}

impl Budget {
    /// For what is read of `/proc`.
    pub(super) fn of_looks() -> Self {
        Self::new(AT_ONCE)
    }

    /// For native stacks. It is another one: after a large library was read, the handler in the
    /// next one must not be nobody's.
    pub(super) fn of_stacks() -> Self {
        Self::new(FILES_AT_ONCE)
    }

    fn new(at_once: Duration) -> Self {
        Self {
            ahead: at_once * PART,
            paid: HashMap::new(),
        }
    }

    /// Whether the process may cost more now. The first time it may.
    pub(super) fn allows(&self, key: ProcessKey, now: Moment) -> bool {
        self.paid
            .get(&key)
            .is_none_or(|paid| *paid <= now + self.ahead)
    }

    /// Whether the process has cost so much that its stacks are not even unwound by what is known.
    pub(super) fn is_exhausted(&self, key: ProcessKey, now: Moment) -> bool {
        self.paid
            .get(&key)
            .is_some_and(|paid| *paid > now + TOO_FAR)
    }

    /// Something was done for the process that took so long.
    pub(super) fn spent(&mut self, key: ProcessKey, now: Moment, cost: Duration) {
        let paid = self.paid.entry(key).or_insert(now);
        *paid = (*paid).max(now) + cost * PART;
    }

    /// The process is gone.
    pub(super) fn forget(&mut self, key: ProcessKey) {
        self.paid.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever it takes and however often it is due, a process gets its share and no more;
    /// another one's is its own.
    #[test]
    fn a_process_costs_its_share_at_most() {
        let keys = [1, 2].map(|pid| ProcessKey { pid, start: 1 });
        let begin = Moment::now();
        for (cost, new) in [1, 40, 2000]
            .map(Duration::from_millis)
            .into_iter()
            .flat_map(|cost| [Budget::of_looks, Budget::of_stacks].map(|new| (cost, new)))
        {
            let mut budget: Budget = new();
            let mut total = Duration::ZERO;
            for millisecond in 0..60_000 {
                let now = begin + Duration::from_millis(millisecond);
                if budget.allows(keys[0], now) {
                    budget.spent(keys[0], now, cost);
                    total += cost;
                }
            }
            let share = (Duration::from_secs(60) + budget.ahead) / PART;
            assert!((share / 2..=share + cost).contains(&total), "{total:?}");
            assert!(budget.allows(keys[1], begin));
            assert!(!budget.is_exhausted(keys[1], begin));
            budget.forget(keys[0]);
            assert!(budget.allows(keys[0], begin));
        }
    }

    /// Unwinding by what is known goes on beyond the share, but not for ever: tables that make it
    /// slow, used at each of a burst's registrations, would stop the loop.
    #[test]
    fn what_is_known_is_not_free() {
        let key = ProcessKey { pid: 1, start: 1 };
        let begin = Moment::now();
        let mut budget = Budget::of_stacks();
        let cost = Duration::from_millis(40);
        let mut total = Duration::ZERO;
        while !budget.is_exhausted(key, begin) {
            budget.spent(key, begin, cost);
            total += cost;
        }
        assert!(total <= TOO_FAR / PART + cost, "{total:?}");
        assert!(!budget.allows(key, begin));
        assert!(!budget.is_exhausted(key, begin + cost * PART));
    }
}
