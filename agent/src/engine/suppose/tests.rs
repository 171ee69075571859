//! What-if: calls come out as they would have under the other restriction.

use crate::{
    engine::{
        Engine, Step,
        events::{
            HTTPD, LIBRARY, MASTER, MPM, PYTHON, WORKER, attempt, configured, event, fork, found,
            on_thread, set,
        },
    },
    event::{Action, Event, Signal, What},
    httpd::{Configuration, Place, Switch},
    policy::{Outcome, Route, Settings, finding::WallClock, rules::Restriction},
};

const APP: &[&str] = &["/srv/app.py:reload"];
/// Through Python's own function.
const PYTHONS: &[&str] = &["/usr/lib/python3.11/signal.py:signal", "/srv/app.py:reload"];

/// What an engine says of the last event, where the server's own configuration says `own`.
fn last(restriction: Option<Restriction>, own: bool, events: Vec<Event>) -> Step {
    let mut engine = Engine::supposing(Settings {
        restriction,
        clock: WallClock { offset: 0 },
        ..Settings::default()
    });
    let place = Place {
        file: "/etc/httpd.conf".into(),
        line: 1,
    };
    let said = Configuration {
        restrict_signal: Some(Switch { on: own, place }),
        ..Configuration::default()
    };
    let start = [
        found(MASTER, None),
        configured(0, said),
        set(MASTER, Signal::TERM, Action::Default, MPM, &[]),
        set(MASTER, Signal::HUP, Action::Default, HTTPD, &[]),
        set(MASTER, Signal::PIPE, Action::Default, Action::Ignore, &[]),
        fork(MASTER, WORKER, false),
    ];
    let steps = start.into_iter().chain(events);
    steps
        .map(|event| engine.step(event))
        .last()
        .expect("a step")
}

fn in_interpreter(mut event: Event, id: i64) -> Event {
    if let What::Attempted(attempt) = &mut event.what {
        attempt.python.interpreter = Some(id);
    }
    event
}

/// Without the restriction, the call would have been a registration: the rule of that one holds. What
/// happened stays what happened.
#[test]
fn a_blocked_call_is_judged_as_the_registration_that_it_would_be() {
    let step = last(
        Some(Restriction::Off),
        true,
        vec![attempt(WORKER, Signal::HUP, APP)],
    );
    let finding = step.found().cloned().expect("a finding");
    assert_eq!(finding.rule, "reserved-signal");
    let sentence = "Would hold with WSGIRestrictSignal Off, which lets this call through: SIGHUP was \
                    taken from the server";
    assert!(finding.message.starts_with(sentence), "{}", finding.message);
    let evidence = finding.evidence;
    assert_eq!(
        (evidence.route, evidence.outcome),
        (Route::Intercept, Outcome::Blocked)
    );
    assert_eq!(evidence.server.restrict_signal, "off");
    assert_eq!(evidence.change.old.owner.as_deref(), Some("apache2"));

    // What was recorded counts where nothing else is supposed.
    let step = last(None, true, vec![attempt(WORKER, Signal::HUP, APP)]);
    assert_eq!(
        step.found().cloned().expect("a finding").rule,
        "blocked-attempt"
    );
}

/// Python's real function refuses other threads and interpreters: no finding, and the application
/// would hear of it.
#[test]
fn a_call_that_python_would_refuse_is_no_takeover() {
    let elsewhere = [
        on_thread(attempt(WORKER, Signal::HUP, APP), WORKER.pid + 1),
        in_interpreter(attempt(WORKER, Signal::HUP, APP), 1),
    ];
    for call in elsewhere {
        let step = last(Some(Restriction::Off), true, vec![call]);
        assert!(step.found().is_none());
        let note = step.supposed.expect("a note");
        assert!(note.contains("ValueError"), "{note}");
    }
}

/// What stands already, and what the server wants itself, changes nothing.
#[test]
fn a_call_that_changes_nothing_is_no_takeover() {
    let ignored = attempt(WORKER, Signal::PIPE, APP);
    let taken = set(WORKER, Signal::USR2, Action::Default, Action::Ignore, APP);
    let again = attempt(WORKER, Signal::USR2, APP);
    for events in [vec![ignored], vec![taken, again]] {
        let step = last(Some(Restriction::Off), true, events);
        assert!(step.found().is_none(), "{:?}", step.found());
        assert!(step.supposed.is_some_and(|note| note.contains("already")));
    }
}

/// With the restriction, a call that went through Python's function would have been swallowed; one
/// that a library made would not.
#[test]
fn a_call_that_went_through_would_be_blocked() {
    let python = || set(WORKER, Signal::HUP, HTTPD, PYTHON, PYTHONS);
    let step = last(Some(Restriction::On), false, vec![python()]);
    let finding = step.found().cloned().expect("a finding");
    assert_eq!(finding.rule, "blocked-attempt");
    let sentence = "Would hold with WSGIRestrictSignal On, which swallows this call: SIGHUP was to";
    assert!(finding.message.starts_with(sentence), "{}", finding.message);
    assert_eq!(finding.evidence.outcome, Outcome::Applied, "it was");

    let library = set(WORKER, Signal::USR2, Action::Default, LIBRARY, APP);
    let step = last(Some(Restriction::On), false, vec![library]);
    assert_eq!(
        step.found().cloned().expect("a finding").rule,
        "restricted-registration"
    );
    // It went past a restriction that was in force.
    let step = last(Some(Restriction::On), true, vec![python()]);
    assert_eq!(
        step.found().cloned().expect("a finding").rule,
        "reserved-signal"
    );
}

/// What is open for an attempt ends with its worker.
#[test]
fn what_would_be_ends_with_its_worker() {
    for (restriction, own, call) in [
        (Restriction::Off, true, attempt(WORKER, Signal::HUP, APP)),
        (
            Restriction::On,
            false,
            set(WORKER, Signal::HUP, HTTPD, PYTHON, PYTHONS),
        ),
    ] {
        let gone = event(WORKER, What::Exited { code: 0 });
        let step = last(Some(restriction), own, vec![call, gone]);
        assert_eq!(step.resolved().count(), 1);
    }
}
