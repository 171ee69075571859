//! One state, one door: events in, what to tell out. Pure; `run` wires it to the world, and a
//! replay of recorded events drives it without one.

pub mod status;

use crate::{
    event::{Event, Instant, Signal, What},
    policy::{
        self, Finding, Origin, Settings,
        book::Book,
        finding::{Evidence, TraceLine},
        report,
    },
    process::{
        table::{Applied, Blocked, Change, Context, Table},
        takeover::{Ended, Ending},
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
    /// Attempts that were judged.
    attempts: u64,
}

/// What came of one event.
#[derive(Debug, Default)]
pub struct Step {
    /// The registration of a watched worker, judged or not.
    pub change: Option<Box<Change>>,
    /// The blocked attempt of a watched worker.
    pub blocked: Option<Box<Blocked>>,
    /// A finding that is new, or an open one whose count has risen.
    pub found: Option<Finding>,
    /// Whether `found` is new.
    pub is_new: bool,
    /// Findings about what nobody was seen to set, and whether each is new.
    pub drifted: Vec<(Finding, bool)>,
    /// Findings that ended.
    pub resolved: Vec<Finding>,
    /// How long each takeover that ended had lasted: server, signal, seconds. A takeover that
    /// ends with its worker was no temporary override and is not among them.
    pub overrides: Vec<(String, Signal, f64)>,
    /// A registration or an attempt of an exempt child.
    pub exempt: bool,
    /// The process belongs to no known server: a look at `/proc` is due.
    pub unknown: bool,
    /// Label of a server whose last process has gone.
    pub server_gone: Option<String>,
}

impl Engine {
    /// An engine that knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            table: Table::default(),
            book: Book::default(),
            settings,
            attempts: 0,
        }
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Judges what comes by other settings. Open findings stay as they were judged.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// When the engine wants to hear [`What::Overdue`], if nothing else happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.table.inventory_due()
    }

    /// Takes one event in.
    pub fn step(&mut self, event: Event) -> Step {
        let process = event.process;
        let left = match event.what {
            What::Exited { .. } | What::Executed { .. } => Some(event.when),
            _ => None,
        };
        let Applied {
            change,
            blocked,
            exempt,
            drifts,
            ended,
            unknown,
            server_gone,
        } = self.table.apply(event);
        let mut step = Step {
            exempt,
            unknown,
            server_gone,
            ..Step::default()
        };
        for end in &ended {
            self.end(end, &mut step);
        }
        if let Some(change) = &change
            && let Some((takeover, finding)) = policy::judge(&self.settings, change)
        {
            let finding = self.book.open(takeover, change.context.when, finding);
            step.is_new = finding.count == 1;
            step.found = Some(finding.clone());
        }
        for drift in &drifts {
            if let Some((takeover, finding)) = policy::drift::judge(&self.settings, drift) {
                let when = drift.change.context.when;
                let finding = self.book.open(takeover, when, finding);
                step.drifted.push((finding.clone(), finding.count == 1));
            }
        }
        if let Some(blocked) = &blocked {
            self.attempt(blocked, &mut step);
        }
        if let Some(when) = left {
            let closed = self.book.left(process, when, self.settings.clock);
            step.resolved.extend(closed);
        }
        step.change = change;
        step.blocked = blocked;
        step
    }

    fn attempt(&mut self, blocked: &Blocked, step: &mut Step) {
        let Some(finding) = policy::judge_attempt(&self.settings, blocked, self.attempts) else {
            return;
        };
        self.attempts += 1;
        let (worker, when) = (blocked.context.process.key, blocked.context.when);
        if let Some(finding) = self.book.attempt(worker, when, finding) {
            step.is_new = finding.count == 1;
            step.found = Some(finding.clone());
        }
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
        step.resolved
            .extend(self.book.close(ended, self.settings.clock));
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
mod drift_tests;
#[cfg(test)]
mod events;
#[cfg(test)]
mod native_cases;
#[cfg(test)]
mod restriction_cases;
