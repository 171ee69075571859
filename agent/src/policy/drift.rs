//! Judges a drift: what stands in a worker though nobody was seen to set it. Pure.

use std::fmt::Write as _;

use super::{
    Finding, Restriction, Settings,
    finding::{DispositionRef, DriftRef, Evidence},
    report,
    rules::{Holds, RULES},
    takeover_rules,
};
use crate::{
    event::{Action, Source},
    policy::finding::Route,
    process::{
        origin::Owner,
        table::{Drift, Seen, Teller},
        takeover::{TakeoverId, Turn},
    },
};

/// Judges a drift. `None` where no rule has anything to say.
///
/// An application that may take signals, and took one that it may take before anybody watched, has
/// done nothing that the same call would be blamed for today.
#[must_use]
pub fn judge(settings: &Settings, drift: &Drift) -> Option<(TakeoverId, Finding)> {
    let Turn::Begins(takeover) = drift.change.turn else {
        return None;
    };
    let context = &drift.change.context;
    let signal = drift.change.registration.signal?;
    let (restriction, _) = report::in_force(context.restriction.as_ref(), settings.restriction);
    let by_state = || takeover_rules(restriction, &drift.change, signal);
    if drift.seen == Seen::Start && restriction == Restriction::Off && by_state().next().is_none() {
        return None;
    }
    let own = RULES.iter().find(|rule| matches!(rule.holds, Holds::Drift));
    let evidence = evidence(drift, settings.restriction)?;
    let message = message(drift, &evidence, own?.sentence);
    let rules = own.into_iter().chain(by_state());
    let mut finding = super::finding(settings, context.when, takeover, evidence, rules)?;
    finding.message = message;
    finding.drift = Some(drift_ref(drift));
    Some((takeover, finding))
}

fn evidence(drift: &Drift, forced: Option<Restriction>) -> Option<Evidence> {
    let mut evidence = report::evidence(&drift.change, forced)?;
    evidence.route = Route::Unknown;
    evidence.thread = None;
    let source = match drift.by {
        Teller::Masks => Source::Masks,
        _ => Source::Inventory,
    };
    source.name().clone_into(&mut evidence.source);
    if drift.seen == Seen::Start {
        evidence.change.old = DispositionRef {
            kind: "unknown".to_owned(),
            owner: None,
            symbol: None,
        };
    }
    // Nobody was seen; whoever the handler belongs to had a reason.
    let owner = drift.change.new_owner.as_ref();
    evidence.blame.module = owner
        .filter(|owner| !owner.is_server())
        .and_then(Owner::name)
        .map(str::to_owned);
    Some(evidence)
}

fn drift_ref(drift: &Drift) -> DriftRef {
    let new = &drift.change.registration.new;
    let address = match new.action {
        Action::Handler(address) if new.action != Action::UNSEEN => Some(format!("{address:#x}")),
        _ => None,
    };
    DriftRef {
        seen: drift.seen.name().to_owned(),
        address,
        by_32_bit_call: new.is_by_32_bit_call(),
        differs_from: drift.differs as u64,
        agrees_with: drift.agrees as u64,
    }
}

/// What stands where, since when, and what else is known of it.
fn message(drift: &Drift, evidence: &Evidence, sentence: &str) -> String {
    let (worker, new) = (&evidence.worker, &evidence.change.new);
    let what = match (new.kind.as_str(), &new.owner, &new.symbol) {
        ("default", ..) => "it has its default action".to_owned(),
        ("ignore", ..) => "it is ignored".to_owned(),
        (_, Some(owner), Some(symbol)) => format!("{owner}!{symbol} handles it"),
        (_, Some(owner), None) => format!("{owner} handles it"),
        (_, None, _) => "a handler of an unknown owner stands there".to_owned(),
    };
    let since = match drift.seen {
        Seen::Start => "as it did when sigblame looked first",
        Seen::Later => "and no call was seen that made it so",
    };
    let mut message = format!(
        "{} {sentence}: {what} in {} worker {} of {}, {since}",
        evidence.signal.name, worker.role, worker.pid, evidence.server.name
    );
    // Writing into a string cannot fail.
    if drift.change.registration.new.is_by_32_bit_call() {
        let _ = write!(message, "; a 32-bit system call set it");
    }
    if drift.lost {
        let _ = write!(message, "; records were lost meanwhile");
    }
    message.push('.');
    message
}
