//! What a finding about a worker that does not go tells, and when.

use super::{super::Engine, *};
use crate::{
    event::Instant,
    httpd::Notice,
    policy::{Finding, Settings, State, finding::WallClock},
};

/// What is told of events, and what stands at last.
fn told(events: Vec<Event>) -> (Engine, Vec<Finding>) {
    let mut engine = Engine::new(Settings {
        restriction: None,
        clock: WallClock { offset: 0 },
        ..Settings::default()
    });
    let start = [
        found(MASTER, None),
        set(MASTER, Signal::TERM, Action::Default, MPM, &[]),
        fork(MASTER, WORKER, false),
        daemon(),
    ];
    let mut told = Vec::new();
    for event in start.into_iter().chain(events) {
        told.extend(engine.step(event).news.into_iter().map(|news| news.finding));
    }
    told.retain(|finding| finding.rule == "shutdown-blocked");
    (engine, told)
}

/// The finding says what was asked, by whom, on which occasion and what that cost, and leads to the
/// takeover.
#[test]
fn what_a_hang_tells() {
    let notice = |notice| What::Reclaimed {
        ns_pid: WORKER.pid,
        notice,
    };
    let (engine, all) = told(vec![
        ignores(WORKER, Signal::TERM),
        asked(Signal::HUP),
        sent(5, WORKER, MASTER, Signal::TERM, Fate::Ignored),
        overdue(2_005),
        at(3_000, MASTER, notice(Notice::Asked)),
        sent(3_001, WORKER, MASTER, Signal::TERM, Fate::Ignored),
        at(4_000, MASTER, notice(Notice::Asked)),
        at(9_000, MASTER, notice(Notice::Killed)),
        exited(9_005, 9),
    ]);
    let [first, asked, killed, last] = all.as_slice() else {
        panic!("{all:#?}");
    };
    let shutdown = first.shutdown.as_ref().expect("what hung");
    assert_eq!(shutdown.sent_at, "1970-01-01T00:00:05.005000Z");
    assert_eq!(
        (&*shutdown.sent_by, &*shutdown.occasion, &*shutdown.result),
        ("master", "restart", "ignored")
    );
    assert_eq!((shutdown.seconds, shutdown.killed), (None, false));
    let cause = first.cause.as_ref().expect("a cause");
    assert_eq!(
        (&*cause.rule, &*cause.signal.name),
        ("reserved-signal", "SIGTERM")
    );
    assert_eq!(cause.since, "1970-01-01T00:00:05.000000Z");
    assert_eq!(cause.blame.file.as_deref(), Some("/srv/app.py"));
    assert_eq!(
        first.evidence.python.frames.len(),
        1,
        "the takeover's own stack"
    );
    assert_eq!((first.extent.workers, first.extent.of), (1, 1));
    let confirmed = |finding: &Finding| finding.shutdown.clone().map(|s| s.confirmed_by);
    assert_eq!(confirmed(asked), Some(vec!["AH00045".to_owned()]));
    let both = vec!["AH00045".to_owned(), "AH00046".to_owned()];
    assert_eq!(confirmed(killed), Some(both));
    let lost = last.shutdown.as_ref().map(|s| (s.seconds, s.killed));
    assert_eq!(lost, Some((Some(9.0), true)));
    assert_eq!(
        (last.state, last.exposure_seconds),
        (State::Resolved, Some(7.0))
    );
    assert_eq!(first.id, last.id);
    assert_eq!(engine.book.iter().count(), 0);
    assert_eq!(engine.shutdown_deadline(), None);
}

/// Several workers of one cause are one finding, and each has its own time.
#[test]
fn workers_of_one_cause_are_one_finding() {
    let (mut engine, all) = told(vec![
        fork(MASTER, CHILD, false),
        set(CHILD, Signal::TERM, MPM, MOD_WSGI, &[]),
        ignores(WORKER, Signal::TERM),
        ignores(CHILD, Signal::TERM),
        sent(5, WORKER, MASTER, Signal::TERM, Fate::Ignored),
        sent(6, CHILD, MASTER, Signal::TERM, Fate::Ignored),
    ]);
    assert!(all.is_empty(), "{all:#?}");
    let due = |engine: &Engine| engine.shutdown_deadline();
    assert_eq!(due(&engine), Some(Instant(7_005_000_000)));
    assert_eq!(
        engine.deadline(),
        due(&engine),
        "and nothing else is due before"
    );
    let mut step = |event| {
        let news = engine.step(event).news;
        let mut own = news
            .into_iter()
            .filter(|n| n.finding.rule == "shutdown-blocked");
        let news = own.next().expect("news of it");
        assert_eq!(own.next(), None);
        (due(&engine), news)
    };
    let (next, first) = step(overdue(2_005));
    assert!(first.is_new && first.is_told);
    assert_eq!(next, Some(Instant(7_006_000_000)));
    let (next, second) = step(overdue(2_006));
    assert!(!second.is_new && !second.is_told);
    let second = second.finding;
    assert_eq!(
        (second.count, second.extent.workers, second.extent.of),
        (2, 2, 2)
    );
    assert_eq!(next, None);
    let (_, first) = step(exited(3_005, 9));
    let (state, workers) = (first.finding.state, first.finding.extent.workers);
    assert_eq!((state, workers), (State::Open, 1));
    let (_, last) = step(at(3_010, CHILD, What::Exited { code: 0 }));
    assert_eq!(last.finding.state, State::Resolved);
    let lost = last.finding.shutdown.as_ref();
    assert_eq!(
        lost.map(|s| (s.seconds, s.killed)),
        Some((Some(3.004), true)),
        "the longest, and whether any was killed"
    );
}

/// A worker that is younger than what its server was asked is not asked by that.
#[test]
fn occasions_are_those_of_the_worker() {
    let occasion = |events: Vec<Event>| {
        let (_, all) = told(events);
        all.first()
            .and_then(|f| f.shutdown.clone())
            .map(|s| (s.occasion, s.sent_by))
    };
    let hangs = |asks: Vec<Event>, signal, by| {
        let mut events = vec![ignores(WORKER, signal)];
        events.extend(asks);
        events.extend([sent(5, WORKER, by, signal, Fate::Ignored), overdue(2_005)]);
        occasion(events)
    };
    let is = |occasion: &str, by: &str| Some((occasion.to_owned(), by.to_owned()));
    let term = Signal::TERM;
    assert_eq!(hangs(vec![asked(term)], term, MASTER), is("stop", "master"));
    assert_eq!(
        hangs(vec![asked(Signal::USR1)], term, MASTER),
        is("graceful", "master")
    );
    assert_eq!(
        hangs(vec![asked(Signal::WINCH)], term, MASTER),
        is("graceful", "master")
    );
    assert_eq!(hangs(vec![], term, MASTER), is("stop", "master"));
    assert_eq!(
        hangs(vec![], Signal::USR1, MASTER),
        is("graceful", "master")
    );
    assert_eq!(hangs(vec![], Signal::INT, WORKER), is("recycle", "itself"));
    // Asked when the worker was not there yet.
    let mut before = asked(Signal::HUP);
    before.when = Instant(19_000_000);
    assert_eq!(
        hangs(vec![before], Signal::INT, WORKER),
        is("recycle", "itself")
    );
}

/// A signal that a thread blocks waits although it is ignored; that it is dropped later is no handler.
#[test]
fn what_is_dropped_was_ignored() {
    let (_, all) = told(vec![
        ignores(WORKER, Signal::TERM),
        sent(5, WORKER, MASTER, Signal::TERM, Fate::Queued),
        delivered(6, WORKER, Signal::TERM, Action::Ignore),
        overdue(2_005),
    ]);
    let shutdown = all[0].shutdown.as_ref().expect("what hung");
    assert_eq!(shutdown.result, "ignored");
    assert_eq!(shutdown.handled_by, None);
}
