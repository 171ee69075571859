//! What an exception covers, from when to when.

use std::sync::Arc;

use super::*;
use crate::{
    config::{Config, exceptions::RULES as NAMED},
    policy::{rules::RULES, sample},
};

/// 2026-01-31T12:00:00Z on a clock that began with the epoch.
const NOON: Instant = Instant(1_769_860_800_000_000_000);
const DAY: u64 = 86_400_000_000_000;

fn settings(exceptions: &str) -> Settings {
    let text = format!("exceptions:\n  - {{ reason: known, {exceptions} }}\n");
    Settings {
        restriction: None,
        clock: WallClock { offset: 0 },
        exceptions: Arc::from(Config::parse(&text, "f").unwrap().exceptions),
        ..Settings::default()
    }
}

/// A rule of which no exception can be made is one that somebody forgot to list.
#[test]
fn every_rule_can_be_named() {
    for rule in RULES {
        assert!(NAMED.contains(&rule.id), "{} is not in {NAMED:?}", rule.id);
    }
}

#[test]
fn each_key_must_fit() {
    let by_jvm = |finding: &mut Finding| {
        finding.evidence.blame.module = Some("/usr/lib/jvm/libjvm.so".to_owned());
        finding.evidence.blame.file =
            Some("/srv/venv/lib/python3.11/site-packages/jpype/_core.py".to_owned());
    };
    for (exception, covers) in [
        ("rule: reserved-signal", true),
        // It holds, too, but is not what the finding is about.
        ("rule: restricted-registration", false),
        ("signal: SIGTERM", true),
        ("signal: SIGINT", false),
        ("application: 'demo|/billing'", true),
        ("application: 'demo|*'", true),
        ("application: billing.wsgi", true),
        ("application: /srv/app/billing.wsgi", true),
        ("application: 'demo'", false),
        ("module: libjvm.so", true),
        ("module: jpype", true),
        ("module: '*/jpype/*'", true),
        ("module: _core.py", true),
        ("module: 'libpython3.*'", true),
        ("module: polars", false),
        ("signal: SIGTERM, server: apache2", true),
        ("signal: SIGTERM, server: other", false),
        ("signal: SIGTERM, process_group: demo", true),
        ("signal: SIGTERM, process_group: ''", false),
        ("signal: SIGTERM, module: polars", false),
    ] {
        let mut finding = sample::finding();
        by_jvm(&mut finding);
        let covered = enter(&settings(exception), &mut finding, NOON);
        assert_eq!(covered == Covered::By(0), covers, "{exception}");
        let reason = finding.exception.map(|exception| exception.reason);
        assert_eq!(reason.as_deref(), covers.then_some("known"), "{exception}");
    }
}

/// The last day counts to its end, and what has ended is said once, however often it is entered.
#[test]
fn it_ends_with_its_last_day() {
    let settings = settings("signal: SIGTERM, until: 2026-01-31");
    let end = end(settings.clock, &settings.exceptions[0]).unwrap();
    assert_eq!(end, Instant(NOON.0 + DAY / 2));
    assert_eq!(next_end(&settings, None), Some(end));
    assert_eq!(next_end(&settings, Some(end)), None);
    let mut finding = sample::finding();
    let before = finding.clone();
    let last = Instant(end.0 - 1);
    assert_eq!(enter(&settings, &mut finding, last), Covered::By(0));
    let exception = finding.exception.clone().unwrap();
    assert_eq!(exception.until.as_deref(), Some("2026-01-31"));
    withdraw(&settings, &mut finding);
    assert_eq!(finding, before);
    assert_eq!(enter(&settings, &mut finding, end), Covered::Once(0));
    assert_eq!(finding.exception, None);
    let expected = "SIGTERM, by which the server stops this worker, was taken \
                    (an exception for it ended on 2026-01-31: known).";
    assert_eq!(finding.message, expected);
    withdraw(&settings, &mut finding);
    assert_eq!(finding, before);
}

/// One that has ended does not hide one that holds, and the first that holds counts.
#[test]
fn one_that_holds_comes_first() {
    let text = "exceptions:\n  - { signal: SIGTERM, reason: old, until: 2020-01-01 }\n  \
                - { signal: SIGTERM, reason: new }\n  - { signal: SIGTERM, reason: newer }\n";
    let settings = Settings {
        exceptions: Arc::from(Config::parse(text, "f").unwrap().exceptions),
        ..settings("signal: SIGTERM")
    };
    let mut finding = sample::finding();
    assert_eq!(enter(&settings, &mut finding, NOON), Covered::By(1));
}

#[test]
fn no_day_and_no_clock_make_it_panic() {
    for until in ["9999-12-31", "0001-01-01", "-9999-01-01"] {
        let text = format!("exceptions:\n  - {{ signal: SIGTERM, reason: x, until: {until} }}\n");
        let Ok(config) = Config::parse(&text, "f") else {
            continue;
        };
        for offset in [i64::MIN, 0, i64::MAX] {
            let settings = Settings {
                clock: WallClock { offset },
                exceptions: Arc::from(config.exceptions.as_slice()),
                ..settings("signal: SIGTERM")
            };
            let _ = next_end(&settings, Some(Instant(u64::MAX)));
            let _ = enter(&settings, &mut sample::finding(), Instant(u64::MAX));
        }
    }
}

#[test]
fn a_file_belongs_to_its_package() {
    for (file, expected) in [
        (
            "/v/lib/python3.11/site-packages/jpype/_core.py",
            Some("jpype"),
        ),
        ("/usr/lib/python3/dist-packages/gi/_gi.so", Some("gi")),
        ("/v/site-packages/pycurl.cpython-311.so", Some("pycurl")),
        ("/srv/app.py", None),
    ] {
        assert_eq!(package(file), expected, "{file}");
    }
}
