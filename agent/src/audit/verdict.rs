//! Which rule a use would break, On and Off. Pure.
//!
//! The rules are those of `policy`. Where a worker's role or mod_wsgi's version decides, the worst is
//! told: a signal that a daemon of mod_wsgi 6 needs is needed. Whether the call is made on the main
//! thread, or while a `WSGIImportScript` is imported, cannot be seen in a file.

use crate::{
    audit::uses::{Effect, Handler, Use},
    event::Signal,
    policy::{
        Severity,
        remedy::{Code, of_code},
        rules::{RULES, Restriction, Rule, is_reserved_in},
    },
};

/// What the policy would say.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// The rule that would hold; none where the use breaks none.
    pub rule: Option<&'static Rule>,
    /// Its severity, or that of a use without a rule that is worth knowing.
    pub severity: Option<Severity>,
}

/// What a use would break. Of several signals the worst one counts.
#[must_use]
pub fn verdict(found: &Use, restriction: Restriction) -> Verdict {
    let known = found.signals.known.iter().map(|signal| Some(*signal));
    let unknown = found.signals.others.then_some(None);
    let rules = known
        .chain(unknown)
        .filter_map(|signal| rule_of(found, signal, restriction));
    let rule = rules
        .filter_map(|id| RULES.iter().position(|rule| rule.id == id))
        .min()
        .and_then(|place| RULES.get(place));
    let blocks_reserved =
        found.effect == Effect::Mask && found.signals.known.iter().any(|it| is_reserved(*it));
    Verdict {
        rule,
        severity: match rule {
            Some(rule) => Some(rule.severity),
            None => blocks_reserved.then_some(Severity::Notice),
        },
    }
}

/// What to do about it, in this file: the library's own way, where one is known.
#[must_use]
pub fn remedy(verdict: &Verdict, found: &Use, file: &str) -> Option<String> {
    let rule = verdict.rule?;
    let signals = &found.signals;
    let mut names: Vec<String> = signals.known.iter().map(ToString::to_string).collect();
    if signals.others {
        names.clear();
    }
    // What looks for a Java virtual machine is none itself.
    let is_java = found.what.ends_with("JNI_CreateJavaVM");
    let code = Code {
        file: if is_java { "libjvm.so" } else { file },
        is_native: found.line.is_none(),
        signals: &names,
    };
    Some(of_code(rule.remedy, &code))
}

fn is_reserved(signal: Signal) -> bool {
    is_reserved_in(signal, true, Some(6))
}

/// The rule for one signal, or for one that is not known.
fn rule_of(found: &Use, signal: Option<Signal>, restriction: Restriction) -> Option<&'static str> {
    let on = restriction == Restriction::On;
    match found.effect {
        Effect::Attempt if on => return Some("blocked-attempt"),
        Effect::Attempt | Effect::Registration => {}
        Effect::Timer => return (signal == Some(Signal::ALRM)).then_some("sigalrm"),
        Effect::Flags | Effect::Wakeup | Effect::Mask => return None,
    }
    match signal {
        // It is ignored already.
        Some(Signal::PIPE) if found.handler == Handler::Ignore => None,
        Some(Signal::PIPE) => Some("sigpipe-not-ignored"),
        Some(signal) if is_reserved(signal) => Some("reserved-signal"),
        _ if on => Some("restricted-registration"),
        Some(Signal::ALRM) => Some("sigalrm"),
        _ if found.effect == Effect::Attempt => Some("outside-import-script"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::uses::{Signals, When};

    fn of(effect: Effect, signals: &[Signal], handler: Handler) -> [Option<&'static str>; 2] {
        let found = Use {
            line: None,
            what: String::new(),
            effect,
            signals: if signals.is_empty() {
                Signals::any()
            } else {
                Signals::these(signals)
            },
            handler,
            when: When::Import,
            likely: false,
        };
        [Restriction::On, Restriction::Off].map(|it| Some(verdict(&found, it).rule?.id))
    }

    #[test]
    fn each_use_breaks_what_it_would_break_live() {
        use super::{Effect::*, Handler::*};
        const RESERVED: Option<&str> = Some("reserved-signal");
        const BLOCKED: Option<&str> = Some("blocked-attempt");
        const RESTRICTED: Option<&str> = Some("restricted-registration");
        const OUTSIDE: Option<&str> = Some("outside-import-script");
        const SIGPIPE: Option<&str> = Some("sigpipe-not-ignored");
        const SIGALRM: Option<&str> = Some("sigalrm");
        let usr2 = &[Signal::USR2][..];
        let chld = &[Signal::PROF][..];
        for (effect, signals, handler, expected) in [
            (Attempt, &[Signal::TERM][..], Function, [BLOCKED, RESERVED]),
            (Attempt, usr2, Function, [BLOCKED, RESERVED]),
            (Attempt, chld, Function, [BLOCKED, OUTSIDE]),
            (Attempt, &[], Function, [BLOCKED, OUTSIDE]),
            (Attempt, &[Signal::PIPE], Ignore, [BLOCKED, None]),
            (Attempt, &[Signal::PIPE], Default, [BLOCKED, SIGPIPE]),
            (Attempt, &[Signal::ALRM], Function, [BLOCKED, SIGALRM]),
            (Registration, &[], Unknown, [RESTRICTED, None]),
            (Registration, chld, Function, [RESTRICTED, None]),
            (
                Registration,
                &[Signal::ALRM],
                Function,
                [RESTRICTED, SIGALRM],
            ),
            (
                Registration,
                &[Signal::PROF, Signal::INT],
                Function,
                [RESERVED, RESERVED],
            ),
            (
                Registration,
                &[Signal::INT, Signal::PIPE],
                Function,
                [SIGPIPE, SIGPIPE],
            ),
            (Registration, &[Signal::PIPE], Ignore, [None, None]),
            (Timer, &[Signal::ALRM], Unknown, [SIGALRM, SIGALRM]),
            (Timer, chld, Unknown, [None, None]),
            (Flags, &[Signal::TERM], Unknown, [None, None]),
            (Mask, &[Signal::TERM], Unknown, [None, None]),
        ] {
            assert_eq!(
                of(effect, signals, handler),
                expected,
                "{effect:?} {signals:?}"
            );
        }
    }
}
