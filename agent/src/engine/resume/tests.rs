//! An agent after another one: what holds is the same, what does not is over.

use crate::{
    engine::{
        Engine, Step,
        events::{HTTPD, LIBRARY, MASTER, MPM, PYTHON, WORKER, attempt, event, fork, found, set},
    },
    event::{Action, Disposition, Event, Instant, Resumed, Signal, What},
    policy::{Finding, Settings, State, finding::WallClock},
    process::{ProcessKey, unknown_dispositions},
};

const APP: &[&str] = &["/srv/app.py:reload"];
const OTHER: &[&str] = &["/srv/other.py:reload"];

fn engine() -> Engine {
    Engine::new(Settings {
        restriction: None,
        clock: WallClock { offset: 7 },
        ..Settings::default()
    })
}

/// One that ends with a chain on SIGTERM, SIGINT taken, and an attempt for SIGHUP.
fn before() -> (Engine, Vec<Finding>) {
    let mut engine = engine();
    for event in [
        found(MASTER, None),
        set(MASTER, Signal::TERM, Action::Default, MPM, &[]),
        set(MASTER, Signal::INT, Action::Default, HTTPD, &[]),
        fork(MASTER, WORKER, false),
        set(WORKER, Signal::TERM, MPM, LIBRARY, APP),
        set(WORKER, Signal::TERM, LIBRARY, PYTHON, OTHER),
        set(WORKER, Signal::INT, HTTPD, Action::Ignore, APP),
        attempt(WORKER, Signal::HUP, APP),
    ] {
        engine.step(event);
    }
    let open: Vec<Finding> = engine.book.iter().cloned().collect();
    assert_eq!(open.len(), 4);
    (engine, open)
}

fn later(mut event: Event) -> Event {
    event.when = Instant(9_000_000_000);
    event
}

fn resumed(engine: &Engine, open: &[Finding], same_boot: bool) -> Event {
    let body = |finding: &Finding| {
        let kept = engine.kept(&finding.fingerprint).expect("it is open");
        serde_json::to_string(&kept).expect("JSON")
    };
    let mut open: Vec<String> = open.iter().map(body).collect();
    open.push("{\"another\":\"version\"}".to_owned());
    later(event(
        ProcessKey::NONE,
        What::Resumed(Box::new(Resumed { same_boot, open })),
    ))
}

fn inventory(stands: &[(Signal, Action)]) -> Event {
    let mut all = unknown_dispositions();
    for (signal, action) in stands {
        all[signal.index()] = Disposition {
            action: *action,
            ..Disposition::default()
        };
    }
    later(event(WORKER, What::Inventory(all)))
}

/// Another engine after the first one; what each event gave.
fn after(events: Vec<Event>, with_worker: bool) -> (Engine, Vec<Step>) {
    let mut engine = engine();
    engine.step(later(found(MASTER, None)));
    if with_worker {
        engine.step(later(found(WORKER, Some(MASTER))));
    }
    let steps = events.into_iter().map(|event| engine.step(event)).collect();
    (engine, steps)
}

fn by_id(engine: &Engine) -> Vec<Finding> {
    let mut open: Vec<Finding> = engine.book.iter().cloned().collect();
    open.sort_by(|a, b| a.id.cmp(&b.id));
    open
}

/// What stands is the same finding, in every part, and is told to nobody again.
#[test]
fn what_holds_is_the_same() {
    let (old, mut open) = before();
    let all = inventory(&[(Signal::TERM, PYTHON), (Signal::INT, Action::Ignore)]);
    let (new, steps) = after(vec![resumed(&old, &open, true), all], true);
    open.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(by_id(&new), open);
    assert!(steps.iter().all(|step| step.told().count() == 0));
    let known = steps[0].news.iter().filter(|news| !news.is_new).count();
    assert_eq!(known, 4, "whoever lists findings has them");

    // The chain unwinds, and numbers go on.
    let mut new = new;
    let step = new.step(later(set(WORKER, Signal::TERM, PYTHON, LIBRARY, OTHER)));
    assert_eq!(step.resolved().count(), 1);
    let step = new.step(later(set(WORKER, Signal::USR1, HTTPD, LIBRARY, APP)));
    let id = &step.found().expect("a finding").id;
    assert!(open.iter().all(|finding| finding.id != *id));
    let step = new.step(later(set(WORKER, Signal::TERM, LIBRARY, MPM, APP)));
    assert_eq!(step.resolved().count(), 1);
    assert_eq!(
        new.step(later(event(WORKER, What::Exited { code: 0 })))
            .resolved()
            .count(),
        3
    );
}

/// What was given back while nobody looked is over from the moment on at which that was seen, and how
/// it ended is told.
#[test]
fn what_was_given_back_meanwhile_is_over() {
    let (old, open) = before();
    // The last of the chain gave back, and SIGINT is the server's again.
    let all = inventory(&[(Signal::TERM, LIBRARY), (Signal::INT, HTTPD)]);
    let (new, steps) = after(vec![resumed(&old, &open, true), all], true);
    let over: Vec<&Finding> = steps[1].told().collect();
    assert_eq!(over.len(), 2, "{over:#?}");
    for finding in over {
        assert_eq!(finding.state, State::Resolved);
        assert_eq!(finding.extent.restored, 1);
        assert_eq!(finding.exposure_seconds, Some(4.0));
    }
    assert_eq!(new.book.iter().count(), 2);

    // Somebody else's handler: no telling how it ended.
    let all = inventory(&[(Signal::TERM, HTTPD), (Signal::INT, Action::Ignore)]);
    let (_, steps) = after(vec![resumed(&old, &open, true), all], true);
    let over: Vec<&Finding> = steps[1].told().collect();
    assert_eq!(over.len(), 2);
    assert!(
        over.iter().all(|finding| finding.lasting.is_none()),
        "{over:#?}"
    );
}

/// A worker that went took all with it; after another boot, everybody did.
#[test]
fn what_went_with_its_worker_is_over() {
    let (old, open) = before();
    for (same_boot, with_worker) in [(true, false), (false, true)] {
        let (new, steps) = after(vec![resumed(&old, &open, same_boot)], with_worker);
        let over: Vec<&Finding> = steps[0].told().collect();
        assert_eq!(over.len(), 4, "{over:#?}");
        let exited: u64 = over.iter().map(|finding| finding.extent.exited).sum();
        assert_eq!(exited, 3, "three takeovers");
        assert_eq!(new.book.iter().count(), 0);
    }
}

/// A row or a capture that somebody else wrote may have any number, and a capture any time.
#[test]
fn numbers_at_their_limits_and_times_that_go_back_are_taken() {
    // As they are, the last ones, all the same.
    limits(|id| id);
    limits(|id| u64::MAX - id);
    limits(|_| 3);
}

fn limits(number: impl Fn(u64) -> u64) {
    let (engine, open) = before();
    let most = serde_json::json!(u64::MAX);
    let bodies = open.iter().map(|finding| {
        let kept = engine.kept(&finding.fingerprint).expect("it is open");
        let mut kept = serde_json::to_value(&kept).expect("JSON");
        kept["exposed"] = most.clone();
        kept["finding"]["count"] = most.clone();
        let extent = kept["finding"]["extent"]
            .as_object_mut()
            .expect("an object");
        for name in [
            "workers",
            "of",
            "workers_ever",
            "restored",
            "exited",
            "executed",
        ] {
            assert!(
                extent.insert(name.to_owned(), most.clone()).is_some(),
                "{name}"
            );
        }
        for takeover in kept["takeovers"].as_array_mut().expect("a list") {
            let id = &mut takeover["takeover"]["id"];
            *id = number(id.as_u64().expect("a number")).into();
        }
        kept.to_string()
    });
    let resumed = Resumed {
        same_boot: true,
        open: bodies.collect(),
    };
    let at = |when: u64, mut event: Event| {
        event.when = Instant(when);
        event
    };
    let take = || set(WORKER, Signal::TERM, MPM, LIBRARY, APP);
    let back = || set(WORKER, Signal::TERM, LIBRARY, MPM, &[]);
    let events = vec![
        later(event(ProcessKey::NONE, What::Resumed(Box::new(resumed)))),
        inventory(&[(Signal::TERM, PYTHON), (Signal::INT, Action::Ignore)]),
        at(0, take()),
        at(u64::MAX, back()),
        at(0, take()),
        at(u64::MAX, back()),
        at(1, attempt(WORKER, Signal::HUP, APP)),
        at(0, take()),
        at(u64::MAX, event(WORKER, What::Exited { code: 0 })),
        at(u64::MAX, event(ProcessKey::NONE, What::Overdue)),
        at(0, event(ProcessKey::NONE, What::Overdue)),
    ];
    let (engine, _) = after(events, true);
    assert_eq!(engine.book.iter().count(), 0);
}
