//! What-if: what would be said under the other value of `WSGIRestrictSignal`. Pure.
//!
//! The evidence stays what happened; rule and sentence are of what would have. A call that was
//! swallowed is judged as the registration that it would have been, and one that Python let through
//! as the attempt that mod_wsgi would have swallowed.

use super::{Finding, Settings, finding, report, takeover_rules};
use crate::{
    event::{Action, Disposition, Registration, Signal, Wanted},
    policy::rules::{Holds, RULES, Restriction},
    process::{
        ModuleKind, Role,
        origin::{Origin, Owner, Route},
        table::{Blocked, Change, Context},
        takeover::Turn,
    },
    python::Version,
};

/// What would have been of a call that was swallowed.
#[derive(Debug)]
pub(crate) enum LetThrough {
    /// A registration, about which a rule has something to say.
    Finding(Box<Finding>),
    /// No finding; why that is worth knowing, if it is.
    Nothing(Option<&'static str>),
}

/// Python's real function refuses other threads and interpreters (`signal_signal_impl` in CPython's
/// Modules/signalmodule.c: the thread in every version, the interpreter from 3.8 on).
const RAISES: &str = "signal.signal would raise ValueError in the application: it works in the main \
                      thread of the main interpreter only";
const STANDS: &str = "the call would set what stands already";

/// Whether a registration would not have happened under a restriction that is supposed to be On:
/// it went through Python's function, which was not replaced because the server said Off.
pub(crate) fn is_swallowed(settings: &Settings, change: &Change) -> bool {
    let own = change.context.restriction.as_ref();
    settings.restriction == Some(Restriction::On)
        && change.route == Route::SignalSignal
        && change.context.process.role != Role::ServiceScript
        && own.is_some_and(|own| !own.on)
}

/// Judges a registration that would have been swallowed, as the `number`th attempt of all.
pub(crate) fn swallowed(settings: &Settings, change: &Change, number: u64) -> Option<Finding> {
    if change.origin != Origin::Application || change.context.process.role == Role::Child {
        return None;
    }
    let evidence = report::evidence(change, settings.restriction)?;
    let holding = RULES
        .iter()
        .filter(|rule| matches!(rule.holds, Holds::Attempt));
    let when = change.context.when;
    let found = finding(settings, when, number | 1 << 31, evidence, holding)?;
    Some(would("On, which swallows this call", found))
}

/// The settings for one process: in a service script mod_wsgi replaces nothing, whatever is said.
pub(crate) fn settings_for(settings: &Settings, context: &Context) -> Settings {
    let mut own = settings.clone();
    if context.process.role == Role::ServiceScript {
        own.restriction = None;
    }
    own
}

/// Judges a call that was swallowed, as the registration that it would have been without the
/// restriction.
pub(crate) fn let_through(settings: &Settings, blocked: &Blocked, number: u64) -> LetThrough {
    let Some(signal) = blocked.attempt.signal else {
        return LetThrough::Nothing(None);
    };
    if raises(blocked) {
        return LetThrough::Nothing(Some(RAISES));
    }
    if stands_already(blocked, signal) {
        return LetThrough::Nothing(Some(STANDS));
    }
    let Some(mut evidence) = report::blocked(blocked, settings.restriction) else {
        return LetThrough::Nothing(None);
    };
    Restriction::Off
        .name()
        .clone_into(&mut evidence.server.restrict_signal);
    let change = registration(blocked, signal);
    let holding = takeover_rules(Restriction::Off, &change, signal);
    let when = blocked.context.when;
    match finding(settings, when, number | 1 << 31, evidence, holding) {
        Some(found) => {
            LetThrough::Finding(Box::new(would("Off, which lets this call through", found)))
        }
        None => LetThrough::Nothing(None),
    }
}

fn would(under: &str, mut found: Finding) -> Finding {
    found.message = format!(
        "Would hold with WSGIRestrictSignal {under}: {}",
        found.message
    );
    found
}

/// Whether Python's real function would have refused. The error log tells neither interpreter nor
/// thread; then it is taken to be a call that can succeed.
fn raises(blocked: &Blocked) -> bool {
    let python = &blocked.attempt.python;
    let context = &blocked.context;
    let is_main_thread = context.tid == context.process.key.pid || context.tid == 0;
    let looks_at_interpreter = python.version.is_none_or(|v| v >= Version::new(3, 8));
    let is_main_interpreter = python.interpreter.is_none_or(|id| id == 0);
    !is_main_thread || looks_at_interpreter && !is_main_interpreter
}

fn stands_already(blocked: &Blocked, signal: Signal) -> bool {
    let stands = blocked.stands.action;
    match blocked.attempt.handler {
        Wanted::Default => stands == Action::Default,
        // As the server wants it, too.
        Wanted::Ignore => stands == Action::Ignore || signal == Signal::PIPE,
        // Any Python function has the interpreter's one handler.
        Wanted::Function(_) | Wanted::Object(_) | Wanted::Unknown => matches!(
            blocked.owner,
            Some(Owner::Module {
                kind: ModuleKind::Python,
                ..
            })
        ),
    }
}

/// The registration that an attempt would have been.
fn registration(blocked: &Blocked, signal: Signal) -> Change {
    let attempt = &blocked.attempt;
    let action = match attempt.handler {
        Wanted::Default => Action::Default,
        Wanted::Ignore => Action::Ignore,
        // The interpreter's own, wherever that lies.
        Wanted::Function(_) | Wanted::Object(_) | Wanted::Unknown => Action::Handler(u64::MAX),
    };
    let interpreter = || {
        let modules = &blocked.context.process.modules.0;
        let python = modules.iter().find(|m| m.kind == ModuleKind::Python)?;
        Some(Owner::Module {
            kind: python.kind,
            name: python.name().to_owned(),
        })
    };
    Change {
        context: blocked.context.clone(),
        registration: Registration {
            signal: Some(signal),
            number: u32::from(signal.number()),
            old: blocked.stands,
            new: Disposition {
                action,
                ..Disposition::default()
            },
            errno: 0,
            contested: false,
            folded: attempt.folded,
            python: attempt.python.clone(),
            native: attempt.native.clone(),
        },
        origin: Origin::Application,
        route: Route::SignalSignal,
        old_owner: blocked.owner.clone(),
        new_owner: matches!(action, Action::Handler(_))
            .then(interpreter)
            .flatten(),
        turn: Turn::Nothing,
    }
}
