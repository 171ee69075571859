//! Exceptions at work: what is told, when one ends, and when the configuration is read again.

use std::sync::Arc;

use crate::{
    capture::{self, Header, Input},
    config::{Config, RestrictSignal},
    engine::{
        Engine, Step,
        events::{LIBRARY, MASTER, MPM, WORKER, event, fork, found, set},
    },
    event::{Action, Event, Instant, Signal, What},
    policy::{Finding, Settings, finding::WallClock},
    process::ProcessKey,
};

/// Midnight between 2026-01-31 and the next day, when the first exception below ends.
const MIDNIGHT: Instant = Instant(1_769_904_000_000_000_000);
const EXCEPTIONS: &str = "exceptions:
  - { signal: SIGTERM, reason: known, until: 2026-01-31 }
  - { signal: SIGUSR1, reason: unused }
";

fn settings(text: &str) -> Settings {
    Settings {
        restriction: None,
        clock: WallClock { offset: 0 },
        exceptions: Arc::from(Config::parse(text, "f").unwrap().exceptions),
    }
}

fn taken() -> Vec<Event> {
    vec![
        found(MASTER, None),
        set(MASTER, Signal::TERM, Action::Default, MPM, &[]),
        fork(MASTER, WORKER, false),
        set(WORKER, Signal::TERM, MPM, LIBRARY, &["/srv/app.py:reload"]),
    ]
}

fn at(when: Instant, what: What) -> Event {
    Event {
        when,
        ..event(ProcessKey::NONE, what)
    }
}

fn read_again(when: Instant, text: &str) -> Event {
    let what = What::PolicyRead {
        restrict_signal: RestrictSignal::Auto,
        exceptions: settings(text).exceptions,
    };
    at(when, what)
}

fn run(engine: &mut Engine, events: Vec<Event>) -> Step {
    let steps = events.into_iter().map(|event| engine.step(event));
    steps.last().unwrap()
}

fn only(engine: &Engine) -> Finding {
    let open: Vec<&Finding> = engine.book.iter().collect();
    assert_eq!(open.len(), 1, "{open:#?}");
    open[0].clone()
}

#[test]
fn a_covered_finding_is_counted_for_its_exception() {
    let mut engine = Engine::new(settings(EXCEPTIONS));
    assert_eq!(engine.deadline(), Some(MIDNIGHT));
    let step = run(&mut engine, taken());
    assert_eq!(step.found.unwrap().exception.unwrap().reason, "known");
    let status = engine.exceptions(Instant(0));
    let told: Vec<_> = status
        .iter()
        .map(|s| (s.state.as_str(), s.matched))
        .collect();
    assert_eq!(told, [("in-force", 1), ("in-force", 0)]);
    let snapshot = engine.snapshot(Instant(0));
    assert_eq!(snapshot.exceptions, status);
    let json = serde_json::to_string(&status).unwrap();
    assert!(json.contains("\"signal\":\"SIGTERM\""), "{json}");
    let back: Vec<super::ExceptionStatus> = serde_json::from_str(&json).unwrap();
    assert_eq!(back, status);
}

/// An alarm clock that rings too early changes nothing; at midnight what was silent is told once.
#[test]
fn the_end_of_an_exception_is_told_with_what_it_covered() {
    let mut engine = Engine::new(settings(EXCEPTIONS));
    run(&mut engine, taken());
    let early = engine.step(at(Instant(MIDNIGHT.0 - 1), What::Overdue));
    assert!(early.changed.is_empty() && early.ended.is_empty());
    assert_eq!(engine.deadline(), Some(MIDNIGHT));
    let step = engine.step(at(MIDNIGHT, What::Overdue));
    assert_eq!(step.ended.len(), 1);
    assert_eq!(
        (step.ended[0].matched, step.ended[0].state.as_str()),
        (1, "expired")
    );
    assert_eq!(step.changed.len(), 1);
    assert!(step.changed[0].uncovered);
    let finding = only(&engine);
    assert_eq!(step.changed[0].finding, finding);
    assert_eq!(finding.exception, None);
    assert!(
        finding
            .message
            .ends_with(" (an exception for it ended on 2026-01-31: known).")
    );
    assert_eq!(engine.deadline(), None);
    let again = engine.step(at(MIDNIGHT, What::Overdue));
    assert!(again.changed.is_empty() && again.ended.is_empty());
}

/// One that had ended before the agent started is told at its start.
#[test]
fn what_has_ended_is_told_at_the_start() {
    let mut engine = Engine::new(settings(EXCEPTIONS));
    assert!(engine.deadline() < Some(Instant(MIDNIGHT.0 + 1)));
    let step = engine.step(at(Instant(MIDNIGHT.0 + 5), What::Overdue));
    assert_eq!(step.ended.len(), 1);
    assert_eq!(engine.deadline(), None);
}

#[test]
fn reading_the_configuration_again_covers_and_uncovers_what_is_open() {
    let now = Instant(6_000_000_000);
    let mut engine = Engine::new(settings(EXCEPTIONS));
    run(&mut engine, taken());
    let step = engine.step(read_again(now, ""));
    assert!(step.changed[0].uncovered);
    assert_eq!(only(&engine).exception, None);
    assert_eq!(engine.deadline(), None);
    // One that has ended is told, and is no secret in the finding.
    let step = engine.step(read_again(
        now,
        "exceptions: [{ signal: SIGTERM, reason: a, until: 1969-01-01 }]",
    ));
    assert_eq!(step.ended.len(), 1);
    assert!(!step.changed[0].uncovered);
    assert!(only(&engine).message.ends_with(" ended on 1969-01-01: a)."));
    let step = engine.step(read_again(now, EXCEPTIONS));
    assert!(!step.changed[0].uncovered);
    let finding = only(&engine);
    assert!(finding.exception.is_some());
    assert!(!finding.message.contains("ended on"), "{}", finding.message);
    let step = engine.step(read_again(now, EXCEPTIONS));
    assert!(step.changed.is_empty() && step.ended.is_empty());
}

/// Reading the same again keeps what was counted.
#[test]
fn counts_outlive_a_reading() {
    let mut engine = Engine::new(settings(EXCEPTIONS));
    run(&mut engine, taken());
    engine.step(read_again(Instant(6_000_000_000), EXCEPTIONS));
    assert_eq!(engine.exceptions(Instant(0))[0].matched, 1);
}

/// A capture has the exceptions of its start and each later reading: replayed, it says the same.
#[test]
fn a_capture_keeps_the_exceptions_and_their_changes() {
    let settings = settings(EXCEPTIONS);
    let mut file = serde_json::to_string(&Header::new(&settings)).unwrap();
    file.push('\n');
    let again = read_again(
        Instant(6_000_000_000),
        "exceptions: [{ rule: sigalrm, reason: b }]",
    );
    for event in [again.clone(), at(MIDNIGHT, What::Overdue)] {
        file.push_str(&serde_json::to_string(&Input::of(&event).unwrap()).unwrap());
        file.push('\n');
    }
    let capture = capture::read(file.as_bytes()).unwrap();
    assert_eq!(capture.header.settings(), settings);
    assert_eq!(capture.events[0], again);
    // One without them is an older one.
    let old = r#"{"sigblame_capture":4,"clock":{"offset":0},"restrict_signal":null}"#;
    let capture = capture::read(format!("{old}\n").as_bytes()).unwrap();
    assert!(capture.header.settings().exceptions.is_empty());
}
