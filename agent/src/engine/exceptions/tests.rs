//! Exceptions at work: what is told, when one ends, and when the configuration is read again.

use std::sync::Arc;

use crate::{
    capture::{Header, Input, Judged, Reader, Told},
    config::Config,
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
        ..Settings::default()
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

/// The configuration is read, and the next event comes.
fn read_again(engine: &mut Engine, text: &str) -> Step {
    engine.configure(settings(text));
    assert_eq!(engine.deadline(), Some(Instant(0)));
    engine.step(at(Instant(6_000_000_000), What::Overdue))
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
    let exception = step.found().unwrap().exception.clone();
    assert_eq!(exception.unwrap().reason, "known");
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

/// What was told, by `news` that are told.
fn told(step: &Step) -> Vec<&str> {
    step.told().map(|finding| finding.rule.as_str()).collect()
}

/// An alarm clock that rings too early changes nothing; at midnight what was silent is told once.
#[test]
fn the_end_of_an_exception_is_told_with_what_it_covered() {
    let mut engine = Engine::new(settings(EXCEPTIONS));
    run(&mut engine, taken());
    let early = engine.step(at(Instant(MIDNIGHT.0 - 1), What::Overdue));
    assert!(early.news.is_empty() && early.ended.is_empty());
    assert_eq!(engine.deadline(), Some(MIDNIGHT));
    let step = engine.step(at(MIDNIGHT, What::Overdue));
    assert_eq!(step.ended.len(), 1);
    assert_eq!(
        (step.ended[0].matched, step.ended[0].state.as_str()),
        (1, "expired")
    );
    assert_eq!(told(&step), ["reserved-signal"]);
    let finding = only(&engine);
    assert_eq!(step.uncovered, std::slice::from_ref(&finding));
    assert_eq!(finding.exception, None);
    let note = " (an exception for it ended on 2026-01-31: known).";
    assert!(finding.message.contains(note), "{}", finding.message);
    assert_eq!(engine.deadline(), None);
    let again = engine.step(at(MIDNIGHT, What::Overdue));
    assert!(again.news.is_empty() && again.ended.is_empty());
}

/// Nobody who is told of findings hears of one that is covered, when it comes and when it goes.
#[test]
fn what_is_covered_is_not_told() {
    let mut engine = Engine::new(settings(EXCEPTIONS));
    let step = run(&mut engine, taken());
    assert_eq!(step.news.len(), 1);
    assert!(step.news[0].is_new && told(&step).is_empty());
    let gone = engine.step(event(WORKER, What::Exited { code: 0 }));
    assert_eq!(gone.resolved().count(), 1);
    assert!(told(&gone).is_empty());
}

/// One that had ended before the agent started is told at its start, or with whatever comes first.
#[test]
fn what_has_ended_is_told_at_the_start() {
    let mut engine = Engine::new(settings(EXCEPTIONS));
    let step = engine.step(at(Instant(MIDNIGHT.0 + 5), What::Overdue));
    assert_eq!(step.ended.len(), 1);
    assert_eq!(engine.deadline(), None);
}

#[test]
fn reading_the_configuration_again_covers_and_uncovers_what_is_open() {
    let mut engine = Engine::new(settings(EXCEPTIONS));
    run(&mut engine, taken());
    let step = read_again(&mut engine, "");
    assert_eq!(told(&step), ["reserved-signal"]);
    assert_eq!(only(&engine).exception, None);
    assert_eq!(engine.deadline(), None);
    // One that has ended is told, and is no secret in the finding.
    let ended = "exceptions: [{ signal: SIGTERM, reason: a, until: 1969-01-01 }]";
    let step = read_again(&mut engine, ended);
    assert_eq!((step.ended.len(), step.uncovered.len()), (1, 0));
    assert!(only(&engine).message.contains(" ended on 1969-01-01: a)."));
    let step = read_again(&mut engine, EXCEPTIONS);
    assert_eq!(step.news.len(), 1);
    assert!(told(&step).is_empty());
    let finding = only(&engine);
    assert!(finding.exception.is_some());
    assert!(!finding.message.contains("ended on"), "{}", finding.message);
    let step = read_again(&mut engine, EXCEPTIONS);
    assert!(step.news.is_empty() && step.ended.is_empty());
}

/// Reading the same again keeps what was counted.
#[test]
fn counts_outlive_a_reading() {
    let mut engine = Engine::new(settings(EXCEPTIONS));
    run(&mut engine, taken());
    read_again(&mut engine, EXCEPTIONS);
    assert_eq!(engine.exceptions(Instant(0))[0].matched, 1);
}

/// A capture has the exceptions of its start and each later reading: replayed, it says the same.
#[test]
fn a_capture_keeps_the_exceptions_and_their_changes() {
    let first = settings(EXCEPTIONS);
    let then = settings("exceptions: [{ rule: sigalrm, reason: b }]");
    let mut file = serde_json::to_string(&Header::new(&first)).unwrap();
    file.push('\n');
    let judged = Input::Settings(Instant(1), Judged::from(&then));
    file.push_str(&serde_json::to_string(&judged).unwrap());
    file.push('\n');
    let mut reader = Reader::new(file.as_bytes()).unwrap();
    assert_eq!(reader.header().settings(), first);
    assert_eq!(reader.next().unwrap().unwrap(), Told::Settings(then));
    // One without them is an older one.
    let old = r#"{"sigblame_capture":4,"clock":{"offset":0},"restrict_signal":null}"#;
    let old = format!("{old}\n");
    let reader = Reader::new(old.as_bytes()).unwrap();
    assert!(reader.header().settings().exceptions.is_empty());
}
