//! One state, one door: events in, what to tell out. Pure; `run` wires it to the world, and a
//! replay of recorded events drives it without one.

pub mod exceptions;
mod resume;
mod shutdowns;
pub mod status;
mod suppose;

use self::exceptions::{Excepted, ExceptionStatus};
use crate::{
    event::{Event, Instant, Signal},
    policy::{
        self, Finding, Origin, Settings, State,
        book::{At, Begun, Book, News},
        finding::{Evidence, TraceLine},
        report,
    },
    process::{
        table::{Applied, Blocked, Change, Context, Siblings, Table},
        takeover::{Ended, Ending, TakeoverId},
    },
};

/// The state of the agent.
#[derive(Debug)]
pub struct Engine {
    /// Every process and what stands on its signals.
    pub table: Table,
    /// Every open finding.
    pub book: Book,
    settings: Settings,
    excepted: Excepted,
    /// Attempts that were judged.
    attempts: u64,
    /// It says what would be under another restriction than was in force, see `suppose`.
    supposes: bool,
}

/// What came of one event.
#[derive(Debug, Default)]
pub struct Step {
    /// The registration of a watched worker, judged or not.
    pub change: Option<Box<Change>>,
    /// The blocked attempt of a watched worker.
    pub blocked: Option<Box<Blocked>>,
    /// Findings that changed or are due to be told, as they stand now, each once: that which
    /// ended before that which began.
    pub news: Vec<News>,
    /// Open findings that an exception covered until now, and no longer does.
    pub uncovered: Vec<Finding>,
    /// Exceptions that no longer hold, each once.
    pub ended: Vec<ExceptionStatus>,
    /// How long each takeover that ended had lasted: server, signal, seconds. A takeover that
    /// ends with its worker was no temporary override and is not among them.
    pub overrides: Vec<(String, Signal, f64)>,
    /// A registration or an attempt of an exempt child.
    pub exempt: bool,
    /// The process belongs to no known server: a look at `/proc` is due.
    pub unknown: bool,
    /// Label of a server whose last process has gone.
    pub server_gone: Option<String>,
    /// The fingerprint of what the call was judged to be.
    pub judged: Option<String>,
    /// What else would have come of a call under the supposed restriction.
    pub supposed: Option<&'static str>,
}

impl Step {
    /// The finding that is open by what happened, new or not.
    #[must_use]
    pub fn found(&self) -> Option<&Finding> {
        let mut open = self.news.iter().rev().map(|news| &news.finding);
        open.find(|finding| finding.state == State::Open)
    }

    /// The findings that are over by what happened.
    pub fn resolved(&self) -> impl Iterator<Item = &Finding> {
        let news = self.news.iter().map(|news| &news.finding);
        news.filter(|finding| finding.state == State::Resolved)
    }

    /// The findings that are told, in order.
    pub fn told(&self) -> impl Iterator<Item = &Finding> {
        let told = self.news.iter().filter(|news| news.is_told);
        told.map(|news| &news.finding)
    }
}

impl Engine {
    /// An engine that knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            table: Table::default(),
            book: Book::default(),
            settings,
            excepted: Excepted::default(),
            attempts: 0,
            supposes: false,
        }
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// When the engine wants to hear `What::Overdue`, if nothing else happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let due = [
            self.book.deadline(),
            self.shutdown_deadline(),
            self.next_end(),
            self.table.inventory_due(),
        ];
        due.into_iter().flatten().min()
    }

    /// Takes one event in.
    pub fn step(&mut self, event: Event) -> Step {
        let when = event.when;
        let mut step = Step::default();
        if self.next_end().is_some_and(|due| due <= when) {
            self.cover_anew(when, &mut step);
        }
        // What was due before comes first, whether or not anybody was there to say so.
        if self.book.deadline().is_some_and(|due| due <= when) {
            self.settle(when, &mut step);
        }
        self.resumes(&event);
        self.shutdowns(&event, &mut step);
        let Applied {
            change,
            blocked,
            exempt,
            drifts,
            ended,
            left,
            unknown,
            server_gone,
        } = self.table.apply(event);
        for end in &ended {
            self.end(end, &mut step);
        }
        if let Some(change) = &change
            && !self.suppose_swallowed(change, &mut step)
            && let Some((takeover, finding)) =
                policy::judge(&self.settings_for(&change.context), change)
        {
            step.judged = Some(finding.fingerprint.clone());
            self.begin(takeover, change, finding);
        }
        for drift in &drifts {
            if let Some((takeover, finding)) =
                policy::drift::judge(&self.settings_for(&drift.change.context), drift)
            {
                self.begin(takeover, &drift.change, finding);
            }
        }
        if let Some(blocked) = &blocked {
            self.attempt(blocked, &mut step);
        }
        if let Some(process) = left {
            self.book.left(process, when);
        }
        self.settle(when, &mut step);
        self.excepted(when, &mut step);
        Step {
            change,
            blocked,
            exempt,
            unknown,
            server_gone,
            ..step
        }
    }

    fn settle(&mut self, when: Instant, step: &mut Step) {
        let news = self.book.settle(&At {
            when,
            clock: self.settings.clock,
            table: &self.table,
        });
        step.news.extend(news);
    }

    fn begin(&mut self, takeover: TakeoverId, change: &Change, finding: Finding) {
        let context = &change.context;
        let begun = Begun {
            id: takeover,
            worker: context.process.key,
            signal: finding.evidence.signal.number,
            siblings: Siblings::of(context),
            taken_from: context.process.takeovers().taken_from(takeover),
        };
        self.book.open(context.when, begun, finding);
    }

    fn attempt(&mut self, blocked: &Blocked, step: &mut Step) {
        let finding = self.judge_attempt(blocked, step);
        self.enter_attempt(&blocked.context, finding, step);
    }

    fn enter_attempt(&mut self, context: &Context, finding: Option<Finding>, step: &mut Step) {
        let Some(finding) = finding else { return };
        self.attempts += 1;
        step.judged = Some(finding.fingerprint.clone());
        let (worker, siblings) = (context.process.key, Siblings::of(context));
        self.book.attempt(context.when, worker, siblings, finding);
    }

    fn end(&mut self, ended: &Ended, step: &mut Step) {
        if ended.how == Ending::Restored
            && let Some(finding) = self.book.finding_of(ended.id)
        {
            step.overrides.push((
                finding.evidence.server.name.clone(),
                ended.signal,
                ended.until.seconds_since(ended.since),
            ));
        }
        self.book.close(ended);
    }

    /// The line that `sigblame trace` prints for a registration.
    #[must_use]
    pub fn trace_line(&self, change: &Change) -> Option<TraceLine> {
        let evidence = report::evidence(change, self.settings.restriction)?;
        Some(self.line("registration", &change.context, change.origin, evidence))
    }

    /// The line that `sigblame trace` prints for a blocked attempt.
    #[must_use]
    pub fn trace_attempt(&self, blocked: &Blocked) -> Option<TraceLine> {
        let evidence = report::blocked(blocked, self.settings.restriction)?;
        let origin = Origin::Application;
        Some(self.line("blocked-attempt", &blocked.context, origin, evidence))
    }

    fn line(&self, kind: &str, context: &Context, origin: Origin, evidence: Evidence) -> TraceLine {
        TraceLine {
            schema: 1,
            kind: kind.to_owned(),
            time: self.settings.clock.rfc3339(context.when),
            origin,
            evidence,
        }
    }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod drift_cases;
#[cfg(test)]
mod drift_properties;
#[cfg(test)]
mod drift_tests;
#[cfg(test)]
mod events;
#[cfg(test)]
mod native_cases;
#[cfg(test)]
mod process_cases;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod restriction_cases;
#[cfg(test)]
mod shutdown_cases;
#[cfg(test)]
mod takeover_cases;
