//! The store keeps what it should, and finds it again in order.

use super::*;
use crate::{
    event::Frame,
    policy::{Severity, sample},
};

fn finding(id: &str, minute: u32) -> Finding {
    Finding {
        id: id.to_owned(),
        time: format!("2026-01-31T12:{minute:02}:00.000000Z"),
        ..sample::finding()
    }
}

fn ids(page: &Page) -> Vec<String> {
    page.findings.iter().map(|f| f.id.clone()).collect()
}

fn query(parameters: &[(&str, &str)]) -> Query {
    Query::parse(parameters.iter().copied()).unwrap()
}

#[test]
fn the_newest_comes_first_and_ids_are_unique() {
    let mut store = Store::new(10);
    for (id, minute) in [("b", 2), ("a", 2), ("c", 1), ("d", 3)] {
        store.put(&finding(id, minute));
    }
    let again = Finding {
        state: State::Resolved,
        count: 7,
        ..finding("a", 2)
    };
    store.put(&again);
    assert_eq!(ids(&store.list(&Query::default())), ["d", "b", "a", "c"]);
    assert_eq!(store.get("a"), Some(Arc::new(again)));
    assert_eq!(store.get("zzz"), None);
    assert_eq!(store.open().count(), 3);
    assert_eq!(store.evicted(), 0);
}

/// A finding with the longest stack that a probe brings.
fn long(id: &str, minute: u32) -> Finding {
    let mut finding = finding(id, minute);
    let frame = Frame {
        file: "é".repeat(255),
        line: Some(1),
        function: "é".repeat(255),
    };
    finding.evidence.python.frames = vec![frame; 128];
    finding
}

/// What an application calls its files and how deep it calls bounds neither memory nor answers.
#[test]
fn long_findings_leave_room_for_fewer() {
    let mut store = Store::new(1000);
    for number in 0..500 {
        store.put(&long(&format!("f{number:03}"), number % 60));
    }
    let kept = store.len();
    assert!((50..100).contains(&kept), "{kept}");
    assert!(store.bytes <= 1000 * AVERAGE, "{}", store.bytes);
    let page = store.list(&Query::default());
    assert!((20..50).contains(&page.findings.len()), "cut");
    let cursor = page.next_cursor.as_ref().expect("the rest").to_string();
    let rest = store.list(&query(&[("limit", "1000"), ("cursor", &cursor)]));
    assert_eq!(rest.findings.len() + page.findings.len(), kept);

    for id in ids(&page).into_iter().chain(ids(&rest)) {
        store.remove(&id);
    }
    assert_eq!((store.len(), store.bytes), (0, 0));
    let mut small = Store::new(1);
    small.put(&long("a", 1));
    assert_eq!(small.len(), 1, "one is always kept");
}

#[test]
fn pages_stay_right_while_findings_come() {
    let mut store = Store::new(100);
    for minute in 0..10 {
        store.put(&finding(&format!("f{minute}"), minute));
    }
    let first = store.list(&query(&[("limit", "4")]));
    assert_eq!(ids(&first), ["f9", "f8", "f7", "f6"]);
    let cursor = first.next_cursor.unwrap().to_string();
    store.put(&finding("new", 30));
    store.put(&finding("late", 5));
    store.remove("f6");
    let second = store.list(&query(&[("limit", "4"), ("cursor", &cursor)]));
    assert_eq!(ids(&second), ["late", "f5", "f4", "f3"]);
    let cursor = second.next_cursor.unwrap().to_string();
    let third = store.list(&query(&[("limit", "3"), ("cursor", &cursor)]));
    assert_eq!(ids(&third), ["f2", "f1", "f0"]);
    assert_eq!(third.next_cursor, None, "nothing is left");
}

#[test]
fn filters_restrict() {
    let mut store = Store::new(100);
    store.put(&finding("old", 1));
    store.put(&Finding {
        rule: "sigalrm".to_owned(),
        severity: Severity::Notice,
        ..finding("alarm", 2)
    });
    store.put(&Finding {
        state: State::Resolved,
        ..finding("done", 3)
    });
    for (parameters, expected) in [
        (&[("rule", "sigalrm")][..], &["alarm"][..]),
        (&[("severity", "notice")], &["alarm"]),
        (&[("state", "resolved")], &["done"]),
        (&[("state", "open"), ("limit", "1")], &["alarm"]),
        (&[("since", "2026-01-31T12:02:00Z")], &["done", "alarm"]),
        (&[("until", "2026-01-31T13:02:00+01:00")], &["old"]),
        (&[("since", ""), ("rule", "")], &["done", "alarm", "old"]),
        (&[("since", "2030-01-01T00:00:00Z")], &[]),
    ] {
        assert_eq!(
            ids(&store.list(&query(parameters))),
            expected,
            "{parameters:?}"
        );
    }
}

#[test]
fn the_oldest_resolved_goes_first_then_the_oldest() {
    let mut store = Store::new(3);
    store.put(&finding("a", 1));
    store.put(&Finding {
        state: State::Resolved,
        ..finding("b", 2)
    });
    store.put(&finding("c", 3));
    store.put(&finding("d", 4));
    assert_eq!(ids(&store.list(&Query::default())), ["d", "c", "a"]);
    store.put(&finding("e", 5));
    assert_eq!(ids(&store.list(&Query::default())), ["e", "d", "c"]);
    assert_eq!((store.len(), store.evicted()), (3, 2));
    assert_eq!(store.get("a"), None);
}

#[test]
fn a_time_that_does_not_parse_is_the_oldest() {
    let mut store = Store::new(3);
    store.put(&Finding {
        time: "yesterday".to_owned(),
        ..finding("x", 0)
    });
    store.put(&finding("a", 1));
    assert_eq!(ids(&store.list(&Query::default())), ["a", "x"]);
}

#[test]
fn bad_queries_are_told_what_would_be_good() {
    let error = |name, value| Query::parse([(name, value)]).unwrap_err().to_string();
    assert_eq!(
        error("limit", "0"),
        "failed to read limit=\"0\": it can be a number from 1 to 1000"
    );
    assert_eq!(
        error("since", "2026-01-31T12:00:00 01:00"),
        "failed to read since=\"2026-01-31T12:00:00 01:00\": write a time like \
         2026-01-31T12:00:00Z, and + as %2B"
    );
    assert_eq!(
        error("sevrity", "notice"),
        "unknown parameter \"sevrity\"; the parameters are since, until, rule, severity, state, \
         limit, cursor"
    );
    for (name, value) in [
        ("state", "shut"),
        ("rule", "reserved_signal"),
        ("severity", "Critical"),
        ("limit", "1001"),
        ("cursor", "xyz"),
        ("cursor", "3"),
        ("cursor", "ü2"),
        ("cursor", "20"),
        ("cursor", "ff20"),
        ("sevrity", ""),
    ] {
        assert!(Query::parse([(name, value)]).is_err(), "{name}={value}");
    }
    assert!(Query::parse([("limit", "1"), ("limit", "2")]).is_err());
    let backwards = [
        ("since", "2026-01-02T00:00:00Z"),
        ("until", "2026-01-01T00:00:00Z"),
    ];
    assert!(Query::parse(backwards).is_err());
    assert!(!error("rule\u{1b}[31m", "x").contains('\u{1b}'));
}
