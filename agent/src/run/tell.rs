//! What the loop tells, and to whom.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use probe_abi::{map::EVENTS_SIZE, miss::Miss};
use tracing::{info, warn};

use super::watch::Watch;
use crate::{
    config::LogFormat,
    engine::{Engine, Step, status::Hook},
    escape,
    event::StackResult,
    policy::{Finding, Outcome, finding::TraceLine, rules::Restriction},
    probe::hooks::{HookStatus, INTERCEPT},
    process::{
        Role,
        origin::Origin,
        table::{Blocked, Change, Context},
    },
    sink::{
        http::Shared,
        log,
        metrics::{EventKind, Stage},
        text,
    },
};

/// What goes to standard output.
#[derive(Clone, Copy, Debug)]
pub enum Output {
    /// The agent's findings, new ones and ended ones.
    Findings(LogFormat),
    /// Each registration.
    Trace {
        /// One JSON object a line.
        json: bool,
        /// Those of the server and the interpreter, too.
        all: bool,
    },
    /// Nothing: what is heard is recorded.
    Nothing,
}

/// Everything that the loop writes to.
pub struct Tell {
    shared: Arc<Shared>,
    output: Output,
    colour: bool,
    /// Registrations from Python of which the probe knew no interpreter.
    unknown_interpreters: u64,
}

impl Tell {
    /// Writes to standard output as told, and to what the endpoints read.
    #[must_use]
    pub fn new(shared: Arc<Shared>, output: Output, colour: bool) -> Self {
        Self {
            shared,
            output,
            colour,
            unknown_interpreters: 0,
        }
    }

    /// What the endpoints read.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn hook(&self, status: &HookStatus) {
        self.shared
            .metrics
            .hook(status.hook, status.mechanism, status.attached);
        self.shared.hook(Hook {
            hook: status.hook.to_owned(),
            mechanism: status.mechanism.to_owned(),
            required: status.required,
            attached: status.attached,
            reason: status.reason.clone(),
        });
        let (hook, mechanism) = (status.hook, status.mechanism);
        match &status.reason {
            None => info!(hook, mechanism, "attached"),
            Some(reason) => info!(hook, mechanism, reason, "not attached"),
        }
    }

    /// How many files of mod_wsgi have their intercept probed, and why others have not.
    ///
    /// Without any file there is nothing to attach to, and nothing amiss.
    pub(super) fn intercepts(&self, probed: usize, failed: &[String]) {
        let attached = probed > 0 || failed.is_empty();
        let reason = (!failed.is_empty()).then(|| failed.join("; "));
        for reason in failed {
            warn!(reason = %escape::text(reason), "blocked attempts are not heard by the probe");
        }
        self.row(INTERCEPT, "uprobe", attached, reason);
    }

    /// Whether error logs are read in the probe's place, and which cannot be.
    pub(super) fn error_logs(&self, is_read: bool, reasons: &[String]) {
        let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
        self.row(INTERCEPT, "error-log", is_read, reason);
    }

    /// Changes a row of the hooks.
    fn row(&self, hook: &str, mechanism: &str, attached: bool, reason: Option<String>) {
        self.shared.metrics.hook(hook, mechanism, attached);
        self.shared.hook(Hook {
            hook: hook.to_owned(),
            mechanism: mechanism.to_owned(),
            required: false,
            attached,
            reason,
        });
    }

    pub(super) fn ready(&self) {
        self.shared.set_ready();
        match self.output {
            Output::Findings(_) => {}
            Output::Trace { .. } => eprintln!("tracing registrations; Ctrl-C ends it"),
            Output::Nothing => eprintln!("recording; Ctrl-C ends it"),
        }
    }

    pub(super) fn event(&self, kind: EventKind) {
        self.shared.metrics.event(kind);
    }

    /// Registrations that the probe counted and dropped.
    pub(super) fn exempt(&self, events: u64) {
        self.shared.metrics.events(EventKind::Exempt, events);
    }

    pub(super) fn lost(&self, stage: Stage, events: u64) {
        self.shared.metrics.lost(stage, events);
    }

    pub(super) fn delay(&self, seconds: f64) {
        self.shared.metrics.event_delay(seconds);
    }

    /// What was in the ring when it was drained.
    pub(super) fn ring(&self, bytes: usize) {
        self.shared
            .metrics
            .ring_used((bytes as f64 / f64::from(EVENTS_SIZE)).min(1.0));
    }

    /// What came of one event.
    pub(super) fn step(&mut self, engine: &Engine, step: Step) -> io::Result<()> {
        if let Some(change) = &step.change {
            self.registration(change);
            let line = || engine.trace_line(change);
            self.trace(change.origin, line)?;
        }
        if let Some(blocked) = &step.blocked {
            self.blocked(blocked);
            let line = || engine.trace_attempt(blocked);
            self.trace(Origin::Application, line)?;
        }
        if step.exempt {
            self.shared.metrics.event(EventKind::Exempt);
        }
        for (server, signal, seconds) in &step.overrides {
            self.shared
                .metrics
                .override_seconds(server, *signal, *seconds);
        }
        for news in &step.news {
            let finding = &news.finding;
            self.shared.store().put(finding);
            if news.is_new && finding.exception.is_none() {
                self.shared.metrics.finding(finding);
            }
            self.shared.metrics.open(finding);
            if news.is_told {
                self.finding(finding)?;
            }
        }
        for finding in &step.uncovered {
            self.shared.metrics.finding(finding);
        }
        for ended in &step.ended {
            let (exception, findings) = (&ended.exception, ended.matched);
            warn!(
                findings,
                reason = %escape::text(&exception.reason),
                "an exception has ended, for {}: what it covered is told again; renew or remove it",
                escape::text(&exception.covers())
            );
        }
        if let Some(server) = &step.server_gone {
            self.shared.metrics.server_gone(server);
            info!(server, "the server is gone");
        }
        Ok(())
    }

    fn registration(&mut self, change: &Change) {
        let registration = &change.registration;
        let outcome = if registration.errno == 0 {
            Outcome::Applied
        } else {
            Outcome::Failed
        };
        let metrics = &self.shared.metrics;
        metrics.registration(
            &change.context.server.name,
            change.context.process_group.as_deref(),
            registration.signal,
            change.origin,
            outcome,
        );
        self.stack(&registration.python.result);
        self.folded(&change.context, registration.folded);
    }

    fn blocked(&mut self, blocked: &Blocked) {
        let (context, attempt) = (&blocked.context, &blocked.attempt);
        if let Some(signal) = attempt.signal {
            self.shared.metrics.blocked_attempt(
                &context.server.name,
                context.process_group.as_deref(),
                context.application.group.as_deref(),
                signal,
            );
        }
        self.stack(&attempt.python.result);
        self.folded(context, attempt.folded);
    }

    fn stack(&mut self, result: &StackResult) {
        self.shared.metrics.python_stack(result);
        if *result == StackResult::failed(Miss::InterpreterUnknown) {
            self.unknown_interpreters += 1;
        }
    }

    fn folded(&self, context: &Context, folded: u64) {
        if folded > 0 {
            warn!(
                pid = context.process.key.pid,
                folded, "a process registers in a loop; so many of its registrations were folded"
            );
        }
    }

    fn trace(&self, origin: Origin, line: impl FnOnce() -> Option<TraceLine>) -> io::Result<()> {
        let Output::Trace { json, all } = self.output else {
            return Ok(());
        };
        if !all && origin != Origin::Application {
            return Ok(());
        }
        let Some(line) = line() else {
            return Ok(());
        };
        let mut out = io::stdout().lock();
        if json {
            log::json_line(&mut out, &line)
        } else {
            out.write_all(text::trace_line(&line, self.colour).as_bytes())?;
            out.flush()
        }
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        let Output::Findings(format) = self.output else {
            return Ok(());
        };
        let mut out = io::stdout().lock();
        match format {
            LogFormat::Json => log::json_line(&mut out, finding),
            LogFormat::Text => {
                out.write_all(text::finding(finding, self.colour).as_bytes())?;
                out.flush()
            }
        }
    }

    /// Gauges, and the counters that the kernel keeps.
    pub(super) fn tick(&self, engine: &Engine, watch: &Watch) {
        let metrics = &self.shared.metrics;
        let mut misses = watch.misses();
        // The probe cannot tell it from a process without Python.
        for (label, total) in &mut misses {
            if *label == Miss::InterpreterUnknown.label() {
                *total += self.unknown_interpreters;
            }
        }
        metrics.misses(&misses);
        metrics.layout_disagreements(&watch.disagreements());
        for (program, seconds) in watch.run_times() {
            metrics.probe_run(&program, seconds);
        }
        let forced = engine.settings().restriction;
        for server in engine.table.servers() {
            // Of the server as a whole: sections of mod_wsgi 6 may say otherwise for some
            // interpreters, which their findings tell.
            let own = server
                .newest()
                .map(|newest| newest.restriction(None, None).on);
            let on = match forced {
                Some(forced) => forced == Restriction::On,
                None => own.unwrap_or(true),
            };
            metrics.restrict_signal(&server.name, on);
            for role in [Role::Embedded, Role::Daemon, Role::ServiceScript] {
                metrics.workers(&server.name, role, engine.table.workers(server.id, role));
            }
        }
    }
}
