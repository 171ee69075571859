//! One state, one door: events in, what to tell out. Pure; `run` wires it to the world, and a
//! replay of recorded events drives it without one.

pub mod status;

use crate::{
    event::{Event, Signal},
    policy::{self, Finding, Settings, book::Book, finding::TraceLine, report},
    process::{
        table::{Applied, Change, Table},
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
}

/// What came of one event.
#[derive(Debug, Default)]
pub struct Step {
    /// The registration of a watched worker, judged or not.
    pub change: Option<Box<Change>>,
    /// A finding that is new, or an open one whose count has risen.
    pub found: Option<Finding>,
    /// Whether `found` is new.
    pub is_new: bool,
    /// Findings that ended.
    pub resolved: Vec<Finding>,
    /// How long each takeover that ended had lasted: server, signal, seconds. A takeover that
    /// ends with its worker was no temporary override and is not among them.
    pub overrides: Vec<(String, Signal, f64)>,
    /// A registration of an exempt child.
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

    /// Takes one event in.
    pub fn step(&mut self, event: Event) -> Step {
        let Applied {
            change,
            exempt,
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
            let finding = self.book.open(takeover, change.when, finding);
            step.is_new = finding.count == 1;
            step.found = Some(finding.clone());
        }
        step.change = change;
        step
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
        Some(TraceLine {
            schema: 1,
            kind: "registration".to_owned(),
            time: self.settings.clock.rfc3339(change.when),
            origin: change.origin,
            evidence: report::evidence(change, self.settings.restriction)?,
        })
    }
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod events;
#[cfg(test)]
mod native_cases;
