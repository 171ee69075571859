//! What the configuration's exceptions cover, and what becomes of open findings when one ends or the
//! configuration is read again.

use std::mem;

use serde::{Deserialize, Serialize};

use super::{Engine, Step};
use crate::{
    config::Exception,
    event::Instant,
    policy::{
        Finding, Settings,
        exceptions::{self, Covered},
    },
};

/// What was made of the exceptions.
#[derive(Debug, Default)]
pub(super) struct Excepted {
    /// New findings that each one covered, by its place in the list.
    matched: Vec<u64>,
    /// Until when their ends were heard of.
    heard: Option<Instant>,
}

/// An open finding about which the exceptions say something else now.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// As it stands now.
    pub finding: Finding,
    /// It was covered and is no longer: whoever is told of new findings has not heard of it.
    pub uncovered: bool,
}

/// An exception, and what it covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionStatus {
    /// As the configuration has it.
    #[serde(flatten)]
    pub exception: Exception,
    /// `in-force` or `expired`.
    pub state: String,
    /// Findings that it covered since it is in the configuration of this agent.
    pub matched: u64,
}

impl Engine {
    /// When the next exception ends. One that ended before the start does so at once.
    pub(super) fn next_end(&self) -> Option<Instant> {
        exceptions::next_end(&self.settings, self.excepted.heard)
    }

    /// Judges what comes by other settings. Open findings stay as they were judged, but for what
    /// is accepted by now.
    pub(super) fn configure(&mut self, settings: Settings, when: Instant, step: &mut Step) {
        let before = mem::replace(&mut self.settings, settings);
        let counted = mem::take(&mut self.excepted.matched);
        let was = |exception| before.exceptions.iter().position(|old| old == exception);
        let matched = self.settings.exceptions.iter().map(|exception| {
            let place = was(exception);
            place
                .and_then(|place| counted.get(place).copied())
                .unwrap_or_default()
        });
        self.excepted.matched = matched.collect();
        self.excepted.heard = None;
        self.hear_ends(when, step);
        self.cover_anew(&before, when, step);
    }

    /// Time has passed: what has ended by now, covers no longer.
    pub(super) fn pass(&mut self, when: Instant, step: &mut Step) {
        if self.next_end().is_none_or(|end| end > when) {
            return;
        }
        self.hear_ends(when, step);
        let settings = self.settings.clone();
        self.cover_anew(&settings, when, step);
    }

    /// Counts a new finding for the exception that covers it.
    pub(super) fn count_covered(&mut self, finding: &Finding, when: Instant) {
        if finding.exception.is_none() {
            return;
        }
        if let Covered::By(place) = exceptions::covered(&self.settings, finding, when) {
            let matched = &mut self.excepted.matched;
            matched.resize(self.settings.exceptions.len(), 0);
            if let Some(count) = matched.get_mut(place) {
                *count += 1;
            }
        }
    }

    /// The exceptions as they stand.
    #[must_use]
    pub fn exceptions(&self, now: Instant) -> Vec<ExceptionStatus> {
        let today = exceptions::day(self.settings.clock, now);
        let status = |(place, exception): (usize, &Exception)| ExceptionStatus {
            exception: exception.clone(),
            state: match exception.has_ended(today) {
                true => "expired".to_owned(),
                false => "in-force".to_owned(),
            },
            matched: self
                .excepted
                .matched
                .get(place)
                .copied()
                .unwrap_or_default(),
        };
        self.settings
            .exceptions
            .iter()
            .enumerate()
            .map(status)
            .collect()
    }

    fn hear_ends(&mut self, when: Instant, step: &mut Step) {
        let heard = self.excepted.heard.replace(when);
        let ended = self.exceptions(when).into_iter().filter(|status| {
            let end = exceptions::end(self.settings.clock, &status.exception);
            end.is_some_and(|end| end <= when && heard.is_none_or(|heard| end > heard))
        });
        step.ended.extend(ended);
    }

    fn cover_anew(&mut self, before: &Settings, when: Instant, step: &mut Step) {
        for finding in self.book.findings_mut() {
            let (exception, message) = (finding.exception.clone(), finding.message.clone());
            exceptions::withdraw(before, finding);
            exceptions::enter(&self.settings, finding, when);
            if exception != finding.exception || message != finding.message {
                step.changed.push(Changed {
                    finding: finding.clone(),
                    uncovered: exception.is_some() && finding.exception.is_none(),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
