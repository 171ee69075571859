//! What a drift's finding says, and when the engine wants to look again.

use super::{
    Engine,
    drift_cases::{EMBEDDED, at, inventory, siblings, twice},
    events::{LIBRARY, MASTER, WORKER, event, fork, found},
};
use crate::{
    event::{Event, Instant, Signal, What},
    policy::{Finding, Route, Settings, finding::WallClock, rules::Restriction},
    process::ProcessKey,
};

#[expect(non_upper_case_globals, reason = "as the directive has it")]
const On: Option<Restriction> = Some(Restriction::On);

fn drifts(events: Vec<Event>) -> Vec<Finding> {
    let mut engine = Engine::new(Settings {
        restriction: On,
        clock: WallClock { offset: 0 },
        ..Settings::default()
    });
    let start = [found(MASTER, None), fork(MASTER, WORKER, false)];
    let steps = start.into_iter().chain(events);
    steps
        .flat_map(|event| engine.step(event).news)
        .filter(|news| news.is_new)
        .map(|news| news.finding)
        .collect()
}

/// What nobody saw is not made up: no thread, no stack, no state before.
#[test]
fn a_drift_says_what_is_known_and_no_more() {
    let mut events = vec![event(WORKER, What::Named(vec![(0x5000, "on_term".into())]))];
    events.extend(siblings(EMBEDDED, &[(Signal::TERM, LIBRARY)]));
    let [finding] = &drifts(events)[..] else {
        panic!("one finding");
    };
    let evidence = &finding.evidence;
    assert_eq!(evidence.route, Route::Unknown);
    assert_eq!(evidence.source, "inventory");
    assert_eq!(evidence.thread, None);
    assert_eq!(evidence.python.result, "none");
    assert_eq!(evidence.native.result, "none");
    assert_eq!(evidence.change.old.kind, "unknown");
    assert_eq!(evidence.change.new.owner.as_deref(), Some("takeover.so"));
    assert_eq!(evidence.change.new.symbol.as_deref(), Some("on_term"));
    assert_eq!(evidence.blame.module.as_deref(), Some("takeover.so"));
    let drift = finding.drift.as_ref().expect("it is one");
    assert_eq!(
        (drift.seen.as_str(), drift.by_32_bit_call),
        ("start", false)
    );
    assert_eq!(drift.address.as_deref(), Some("0x5000"));
    assert_eq!((drift.differs_from, drift.agrees_with), (3, 0));
    assert_eq!(
        finding.message,
        "SIGTERM stands otherwise than any call that was seen explains: takeover.so!on_term \
         handles it in embedded worker 200 of apache2, as it did when sigblame looked first; it \
         stands in 1 of 4 workers."
    );
}

/// The kernel's mark of a 32-bit call is told, and so is that records were lost.
#[test]
fn a_drift_tells_of_32_bit_calls_and_of_losses() {
    let marked = |tenths| {
        let mut event = inventory(WORKER, tenths, EMBEDDED, &[(Signal::HUP, LIBRARY)]);
        if let What::Inventory(all) = &mut event.what {
            all[Signal::HUP.index()].flags = 0x0200_0000;
        }
        event
    };
    let mut events = twice(WORKER, 0, EMBEDDED, &[]);
    events.push(at(20, event(ProcessKey::NONE, What::Lost(3))));
    events.extend([marked(30), marked(41)]);
    let [finding] = &drifts(events)[..] else {
        panic!("one finding");
    };
    let drift = finding.drift.as_ref().expect("it is one");
    assert_eq!((drift.seen.as_str(), drift.by_32_bit_call), ("later", true));
    assert_eq!(finding.evidence.change.old.kind, "handler");
    let told = "and no call was seen that made it so; a 32-bit system call set it; records were lost \
                meanwhile.";
    assert!(finding.message.ends_with(told), "{}", finding.message);
    assert!(
        finding.evidence.change.flags.is_empty(),
        "the mark is no flag"
    );
}

/// The second look is asked for, and not before the first has anything to confirm.
#[test]
fn a_difference_asks_for_a_second_look() {
    let mut engine = Engine::new(Settings {
        restriction: On,
        clock: WallClock { offset: 0 },
        ..Settings::default()
    });
    let mut step = |event| {
        engine.step(event);
        engine.deadline()
    };
    assert_eq!(step(found(MASTER, None)), None);
    assert_eq!(step(fork(MASTER, WORKER, false)), None);
    let second = Instant(6_010_000_000);
    assert_eq!(step(inventory(WORKER, 0, EMBEDDED, &[])), Some(second));
    let overdue = |tenths| at(tenths, event(ProcessKey::NONE, What::Overdue));
    assert_eq!(step(overdue(11)), None);
    assert_eq!(step(inventory(WORKER, 11, EMBEDDED, &[])), None, "judged");
    let other = [(Signal::HUP, LIBRARY)];
    let third = Instant(8_010_000_000 + 1_000_000_000);
    assert_eq!(step(inventory(WORKER, 30, EMBEDDED, &other)), Some(third));
    assert_eq!(step(overdue(41)), None);
    assert_eq!(
        step(inventory(WORKER, 41, EMBEDDED, &[])),
        None,
        "it is gone"
    );
}
