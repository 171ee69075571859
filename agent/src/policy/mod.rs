//! So what: whether an observation breaks a rule. Pure.

pub mod book;
pub mod drift;
pub mod exceptions;
pub mod finding;
mod history;
pub mod remedy;
pub mod report;
pub mod rules;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod suppose;

pub use finding::{Finding, Origin, Outcome, Route, Severity, State};

use std::sync::Arc;

use crate::{
    config::{Exception, RestrictSignal},
    event::{Instant, Signal},
    policy::{
        finding::{Cause, Evidence, Extent, ShutdownRef, WallClock, WorkerRef},
        rules::{Holds, RULES, Restriction, Rule},
    },
    process::{
        Role,
        origin::Origin as Asked,
        table::{Blocked, Change, Hang},
        takeover::{TakeoverId, Turn},
    },
};

/// What the policy needs to know from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The restriction to judge by, whatever the servers' own configurations say; `None` is to go
    /// by them.
    pub restriction: Option<Restriction>,
    /// Turns the core's clock into times of day.
    pub clock: WallClock,
    /// What is known and accepted.
    pub exceptions: Arc<[Exception]>,
    /// How long a worker may take to go when its server tells it to.
    pub shutdown_grace_seconds: u64,
}

/// What [`Settings::shutdown_grace_seconds`] is where nobody says otherwise: httpd kills daemons
/// after three seconds (`APR_KILL_AFTER_TIMEOUT`), and children after nine. Workers that heed take
/// milliseconds, one of the worker MPM half a second.
pub const GRACE: u64 = 2;

impl Default for Settings {
    fn default() -> Self {
        Self {
            restriction: None,
            clock: WallClock { offset: 0 },
            exceptions: Arc::default(),
            shutdown_grace_seconds: GRACE,
        }
    }
}

/// The restriction that a configuration of sigblame's own puts in the place of the servers'.
#[must_use]
pub fn forced(restrict_signal: RestrictSignal) -> Option<Restriction> {
    match restrict_signal {
        RestrictSignal::Auto => None,
        RestrictSignal::On => Some(Restriction::On),
        RestrictSignal::Off => Some(Restriction::Off),
    }
}

/// Judges a takeover that begins. `None` where no rule has anything to say.
#[must_use]
pub fn judge(settings: &Settings, change: &Change) -> Option<(TakeoverId, Finding)> {
    let Turn::Begins(takeover) = change.turn else {
        return None;
    };
    let signal = change.registration.signal?;
    if change.origin != Asked::Application || change.context.process.role == Role::Child {
        return None;
    }
    let (restriction, _) =
        report::in_force(change.context.restriction.as_ref(), settings.restriction);
    let holding = takeover_rules(restriction, change, signal);
    let evidence = report::evidence(change, settings.restriction)?;
    let when = change.context.when;
    Some((
        takeover,
        finding(settings, when, takeover, evidence, holding)?,
    ))
}

/// The rules that hold for a takeover.
fn takeover_rules(
    restriction: Restriction,
    change: &Change,
    signal: Signal,
) -> impl Iterator<Item = &'static Rule> {
    RULES.iter().filter(move |rule| match rule.holds {
        Holds::Takeover(holds) => holds(restriction, change, signal),
        Holds::Attempt | Holds::Drift | Holds::Shutdown => false,
    })
}

/// Judges a blocked attempt, the `number`th of all. `None` where its number is no signal.
#[must_use]
pub fn judge_attempt(settings: &Settings, blocked: &Blocked, number: u64) -> Option<Finding> {
    let evidence = report::blocked(blocked, settings.restriction)?;
    let holding = RULES
        .iter()
        .filter(|rule| matches!(rule.holds, Holds::Attempt));
    // Takeovers and attempts are numbered each for themselves: the upper half is the attempts'.
    let number = number | 1 << 31;
    finding(settings, blocked.context.when, number, evidence, holding)
}

/// Judges a worker that does not go, by the finding of the takeover that is in its way.
#[must_use]
pub fn judge_hang(
    settings: &Settings,
    when: Instant,
    cause: &Finding,
    hang: &Hang<'_>,
) -> Option<Finding> {
    let rule = RULES
        .iter()
        .filter(|rule| matches!(rule.holds, Holds::Shutdown));
    // The first worker's evidence stands for all of its cause: here it is about this one.
    let evidence = Evidence {
        worker: WorkerRef {
            pid: hang.process.key.pid,
            ns_pid: hang.process.ns_pid,
            ..cause.evidence.worker.clone()
        },
        ..cause.evidence.clone()
    };
    // Numbered by its takeover, beside takeovers and attempts.
    let number = hang.takeover & !(0b11 << 30) | 1 << 30;
    let mut finding = finding(settings, when, number, evidence, rule)?;
    finding.cause = Some(Cause {
        id: cause.id.clone(),
        fingerprint: cause.fingerprint.clone(),
        rule: cause.rule.clone(),
        signal: hang.asked.signal.into(),
        since: settings.clock.rfc3339(hang.since),
        blame: cause.evidence.blame.clone(),
    });
    let handled = hang.asked.handled.as_ref();
    finding.shutdown = Some(ShutdownRef {
        signal: hang.asked.signal.into(),
        sent_at: settings.clock.rfc3339(hang.asked.since),
        sent_by: hang.asked.by.name().to_owned(),
        occasion: hang.shutdown.occasion.name().to_owned(),
        result: hang.asked.result().to_owned(),
        handled_by: handled.and_then(|owner| owner.as_ref()?.name().map(str::to_owned)),
        seconds: None,
        killed: false,
        confirmed_by: hang
            .shutdown
            .notices
            .iter()
            .map(|notice| notice.name().to_owned())
            .collect(),
    });
    Some(finding)
}

fn finding<'a>(
    settings: &Settings,
    when: Instant,
    number: u64,
    evidence: Evidence,
    mut holding: impl Iterator<Item = &'a Rule>,
) -> Option<Finding> {
    let rule = holding.next()?;
    let also = holding.map(|rule| rule.id.to_owned()).collect();
    let fingerprint = fingerprint(&[
        rule.id,
        &evidence.signal.name,
        &evidence.server.name,
        evidence
            .worker
            .process_group
            .as_deref()
            .unwrap_or(&evidence.worker.role),
        evidence.application.group.as_deref().unwrap_or(""),
        evidence.blame.file.as_deref().unwrap_or(""),
        evidence.blame.function.as_deref().unwrap_or(""),
        &evidence
            .blame
            .line
            .map(|line| line.to_string())
            .unwrap_or_default(),
        evidence.blame.module.as_deref().unwrap_or(""),
    ]);
    let mut finding = Finding {
        schema: 1,
        // Unique as long as the clock of the host moves on: numbers start again with the agent,
        // its moment does not.
        id: format!(
            "{:016x}{number:08x}",
            when.0.wrapping_add_signed(settings.clock.offset)
        ),
        fingerprint,
        time: settings.clock.rfc3339(when),
        rule: rule.id.to_owned(),
        also,
        severity: rule.severity,
        state: State::Open,
        resolved_at: None,
        exposure_seconds: None,
        count: 1,
        extent: Extent::default(),
        lasting: None,
        taken_from: None,
        cause: None,
        shutdown: None,
        drift: None,
        exception: None,
        message: report::message(&evidence, rule.sentence),
        remedy: remedy::sentence(rule.remedy, &evidence),
        evidence,
    };
    exceptions::enter(settings, &mut finding, when);
    Some(finding)
}

/// FNV-1a over the parts, each ended by a byte that no UTF-8 text holds. It names a cause; it
/// keeps no secret and meets no adversary that could gain by a collision.
fn fingerprint(parts: &[&str]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.bytes().chain([0xff])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}
