//! What the configuration's exceptions cover, and what becomes of open findings when one ends or the
//! configuration is read again.

use std::{collections::BTreeSet, mem};

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
    /// What was in force until the configuration was read, which open findings do not know yet.
    before: Option<Settings>,
    /// Ids of findings that were covered until now.
    uncovered: BTreeSet<String>,
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
    /// Judges what comes by other settings. Open findings stay as they were judged, but for what is
    /// accepted by now: that is seen to with the next event, which [`Engine::deadline`] asks for.
    pub fn configure(&mut self, settings: Settings) {
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
        self.excepted.before.get_or_insert(before);
    }

    /// When the exceptions have to be looked at again: at once where the configuration was read,
    /// else when the next one ends. One that ended before the start does so at once.
    pub(super) fn next_end(&self) -> Option<Instant> {
        if self.excepted.before.is_some() {
            return Some(Instant::default());
        }
        exceptions::next_end(&self.settings, self.excepted.heard)
    }

    /// Looks at the exceptions again: time has passed, or the configuration was read.
    pub(super) fn cover_anew(&mut self, when: Instant, step: &mut Step) {
        self.hear_ends(when, step);
        let before = self.excepted.before.take();
        let settings = &self.settings;
        let before = before.as_ref().unwrap_or(settings);
        let uncovered = &mut self.excepted.uncovered;
        self.book.except(|finding| {
            let (exception, message) = (finding.exception.clone(), finding.message.clone());
            exceptions::withdraw(before, finding);
            exceptions::enter(settings, finding, when);
            if exception.is_some() && finding.exception.is_none() {
                uncovered.insert(finding.id.clone());
            }
            exception != finding.exception || message != finding.message
        });
        self.settle(when, step);
    }

    /// What is covered is not told, and counted for its exception; what no longer is, is told.
    pub(super) fn excepted(&mut self, when: Instant, step: &mut Step) {
        let mut all = mem::take(&mut step.news);
        for news in &mut all {
            let finding = &news.finding;
            let is_uncovered = self.excepted.uncovered.remove(&finding.id);
            if finding.exception.is_some() {
                news.is_told = false;
                if news.is_new {
                    self.count(&news.finding, when);
                }
            } else if is_uncovered {
                step.uncovered.push(finding.clone());
                news.is_told = true;
            }
        }
        step.news = all;
    }

    fn count(&mut self, finding: &Finding, when: Instant) {
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
}

#[cfg(test)]
mod tests;
