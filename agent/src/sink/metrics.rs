//! Metrics for Prometheus.
//!
//! Labels never hold a process id, a path, a line or a stack. Series that are known beforehand
//! start at 0, so that a first increase is seen as one. Series of a server go with the server.

mod families;
mod labels;
mod open;
mod series;

use std::sync::{Mutex, PoisonError};

use prometheus::{IntCounterVec, Result, TextEncoder};

use self::{families::Families, open::Open};
pub use self::{
    families::NAMES,
    labels::{EventKind, Stage},
};
use crate::{
    event::{Signal, StackResult},
    policy::{Finding, Origin, Outcome, State},
    process::Role,
};

/// What `/metrics` says it is. Prometheus 3 refuses a scrape with a type that it does not know.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the agent counts. Every method can be called from everywhere; none waits.
pub struct Metrics {
    families: Families,
    open: Mutex<Open>,
}

impl Metrics {
    /// All families, and the series that are known beforehand at 0.
    ///
    /// # Errors
    ///
    /// Where the library refuses a name or a label, which the tests would have shown.
    pub fn new() -> Result<Self> {
        Ok(Self {
            families: Families::new()?,
            open: Mutex::default(),
        })
    }

    /// A registration; no signal where the caller's number is none.
    pub fn registration(
        &self,
        server: &str,
        process_group: Option<&str>,
        signal: Option<Signal>,
        origin: Origin,
        outcome: Outcome,
    ) {
        let signal = signal.map_or_else(|| "invalid".to_owned(), |signal| signal.to_string());
        let group = process_group.unwrap_or_default();
        let labels = [server, group, &signal, origin.name(), outcome.name()];
        if let Some(counter) = self.families.registrations.at(&labels) {
            counter.inc();
        }
    }

    /// A call of `signal.signal` that mod_wsgi swallowed.
    pub fn blocked_attempt(
        &self,
        server: &str,
        process_group: Option<&str>,
        application: Option<&str>,
        signal: Signal,
    ) {
        let group = process_group.unwrap_or_default();
        let application = application.unwrap_or_default();
        let labels = [server, group, application, &signal.to_string()];
        if let Some(counter) = self.families.blocked_attempts.at(&labels) {
            counter.inc();
        }
    }

    /// A new finding. A repetition or an end of a known one is not counted here.
    pub fn finding(&self, finding: &Finding) {
        let [server, group, application] = whose(finding);
        let signal = &finding.evidence.signal.name;
        let severity = finding.severity.name();
        let labels = [server, group, application, signal, &finding.rule, severity];
        if let Some(counter) = self.families.findings.at(&labels) {
            counter.inc();
        }
    }

    /// A finding changed: it counts in the gauges of open findings from when it opens to when it
    /// ends.
    pub fn open(&self, finding: &Finding) {
        let family = &self.families.findings_open;
        // A map is whole after any panic: an entry is there or is not.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // What an exception covers, nobody needs to be woken for.
        if finding.state == State::Open && finding.exception.is_none() {
            let [server, group, application] = whose(finding);
            let severity = finding.severity.name();
            let labels = [server, group, application, &finding.rule, severity];
            open.open(family, &finding.id, &labels);
        } else {
            open.end(family, &finding.id);
        }
    }

    /// A temporary override ended after so many seconds.
    pub fn override_seconds(&self, server: &str, signal: Signal, seconds: f64) {
        if let Some(histogram) = self
            .families
            .override_seconds
            .at(&[server, &signal.to_string()])
        {
            histogram.observe(seconds.max(0.0));
        }
    }

    /// An event reached the agent.
    pub fn event(&self, kind: EventKind) {
        add(&self.families.events, kind.label(), 1);
    }

    /// So many more events of a kind were counted elsewhere.
    pub fn events(&self, kind: EventKind, events: u64) {
        add(&self.families.events, kind.label(), events);
    }

    /// So many more events were lost at a stage.
    pub fn lost(&self, stage: Stage, events: u64) {
        add(&self.families.events_lost, stage.label(), events);
    }

    /// The kernel's own totals of its misses, by label.
    pub fn misses(&self, totals: &[(&str, u64)]) {
        for (reason, total) in totals {
            // Exact to 2^53, and text 0.0.4 carries floats anyway.
            self.families.probe_misses.advance(reason, *total as f64);
        }
    }

    /// How a registration's Python stack came out.
    pub fn python_stack(&self, result: &StackResult) {
        add(&self.families.python_stacks, result.label(), 1);
    }

    /// Whether a hook is attached by a mechanism.
    pub fn hook(&self, hook: &str, mechanism: &str, attached: bool) {
        let labels = [hook, mechanism];
        if let Ok(gauge) = self
            .families
            .hook_attached
            .get_metric_with_label_values(&labels)
        {
            gauge.set(i64::from(attached));
        }
    }

    /// How long an event took from the kernel to the agent.
    pub fn event_delay(&self, seconds: f64) {
        self.families.event_delay.observe(seconds.max(0.0));
    }

    /// How many interpreters describe their layout otherwise than the table has it.
    pub fn layout_disagreements(&self, totals: &[(&str, u64)]) {
        for (layout, total) in totals {
            let family = &self.families.layout_disagreements;
            family.advance(layout, *total as f64);
        }
    }

    /// Which part of the ring is in use.
    pub fn ring_used(&self, ratio: f64) {
        self.families.ring_used.set(ratio);
    }

    /// The kernel's own total of a program's run time.
    pub fn probe_run(&self, program: &str, total_seconds: f64) {
        self.families.probe_run.advance(program, total_seconds);
    }

    /// How many processes of a role a server has.
    pub fn workers(&self, server: &str, role: Role, count: usize) {
        if let Some(gauge) = self.families.workers.at(&[server, role.name()]) {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Whether the restriction is in force in a server.
    pub fn restrict_signal(&self, server: &str, on: bool) {
        if let Some(gauge) = self.families.restrict_signal.at(&[server]) {
            gauge.set(i64::from(on));
        }
    }

    /// Ends every series of a server that is gone.
    pub fn server_gone(&self, server: &str) {
        self.families.registrations.forget(server);
        self.families.blocked_attempts.forget(server);
        self.families.findings.forget(server);
        self.families.findings_open.forget(server);
        self.families.override_seconds.forget(server);
        self.families.workers.forget(server);
        self.families.restrict_signal.forget(server);
    }

    /// Everything in the text format 0.0.4; see [`CONTENT_TYPE`].
    ///
    /// # Errors
    ///
    /// Where the library finds a family that it cannot write, which the tests would have shown.
    pub fn encode(&self) -> Result<String> {
        TextEncoder::new().encode_to_string(&self.families.registry.gather())
    }
}

/// Server, process group and application of a finding. What is not known is empty, which
/// Prometheus takes for no label.
fn whose(finding: &Finding) -> [&str; 3] {
    let evidence = &finding.evidence;
    [
        &evidence.server.name,
        evidence.worker.process_group.as_deref().unwrap_or_default(),
        evidence.application.group.as_deref().unwrap_or_default(),
    ]
}

fn add(family: &IntCounterVec, label: &str, by: u64) {
    if let Ok(counter) = family.get_metric_with_label_values(&[label]) {
        counter.inc_by(by);
    }
}

#[cfg(test)]
mod tests;
