//! The tables' form, and the sentences that are made of them.

use std::{collections::BTreeSet, sync::Arc};

use super::*;
use crate::{
    event::{Frame, Signal},
    policy::{finding::NativeFrame, rules::RULES, sample},
};

/// A sentence longer than this is not read.
const LONGEST: usize = 300;

fn knowledge() -> Knowledge {
    serde_saphyr::from_str(include_str!("../knowledge.yaml")).expect("the table is YAML")
}

/// Evidence of nobody, about this signal.
fn of(signal: &str) -> Evidence {
    let mut evidence = sample::evidence();
    evidence.signal.name = signal.to_owned();
    evidence.blame.file = None;
    evidence.blame.function = None;
    evidence.python.frames.clear();
    evidence
}

fn check_clause(clause: &str) {
    let first = clause.chars().next().unwrap();
    assert!(first.is_lowercase(), "{clause}: begins with a verb");
    assert!(
        !clause.ends_with('.') && !clause.contains(". "),
        "{clause}: one clause"
    );
    assert!(
        !clause.contains(['{', '\n']) || clause.contains("={}"),
        "{clause}: nothing to fill in"
    );
}

#[test]
fn every_row_says_what_to_do_since_when_and_who_says_so() {
    let knowledge = knowledge();
    assert!(
        knowledge.libraries.len() >= 25,
        "{}",
        knowledge.libraries.len()
    );
    assert_eq!(KNOWLEDGE.libraries.len(), knowledge.libraries.len());
    let signals: Vec<String> = Signal::all().map(|signal| signal.to_string()).collect();
    let mut names = BTreeSet::new();
    for row in &knowledge.libraries {
        let name = &row.name;
        assert!(names.insert(name.clone()), "{name} is there twice");
        check_clause(&row.clause);
        assert!(row.clause.len() <= 140, "{name}: {}", row.clause);
        assert!(row.source.starts_with("https://"), "{name}: {}", row.source);
        assert!(
            row.version.contains(|c: char| c.is_ascii_digit()),
            "{name}: {}",
            row.version
        );
        assert!(
            row.since
                .as_deref()
                .is_none_or(|since| Version::parse(since).is_some()),
            "{name}"
        );
        for signal in &row.signals {
            assert!(signals.contains(signal), "{name}: {signal}");
        }
    }
    let run = knowledge
        .libraries
        .iter()
        .filter(|row| row.verified == Verified::Run);
    assert!(run.count() >= 10);
    for way in &knowledge.ways {
        check_clause(&way.clause);
        assert!(way.source.starts_with("https://"), "{}", way.source);
        for signal in &way.signals {
            assert!(signals.contains(signal), "{signal}");
        }
    }
}

/// A row that an earlier one hides, or that fits nothing, helps nobody.
#[test]
fn every_row_is_found_by_its_example() {
    for row in knowledge().libraries {
        let mut evidence = of(row.signals.first().map_or("SIGVTALRM", |signal| signal));
        let example = row.example.clone();
        if !row.modules.is_empty() {
            evidence.blame.module = Some(example);
        } else if !row.symbols.is_empty() {
            evidence.native.frames.push(NativeFrame {
                module: Arc::from("/usr/lib/some.so"),
                symbol: Some(Arc::from(example)),
                offset: 0,
                code: "application".into(),
                python_inside: 0,
            });
        } else {
            evidence.blame.file = Some(example);
        }
        let found = library(&evidence).unwrap_or_else(|| panic!("{} finds nobody", row.example));
        assert_eq!(found.name, row.name);
    }
}

/// Whoever did it: a sentence, ended by a full stop, with nothing left to fill in.
#[test]
fn every_rule_gives_one_sentence_in_every_role_and_version() {
    let blames = [None, Some("/usr/lib/jvm/lib/server/libjvm.so")];
    for rule in RULES {
        for role in ["embedded", "daemon", "service-script", "master"] {
            for version in [
                None,
                Some("4.5.3"),
                Some("4.7.1"),
                Some("4.9.4"),
                Some("5.0.2"),
                Some("6.1.1"),
                Some("x"),
            ] {
                for signal in Signal::all() {
                    for module in blames {
                        let mut evidence = of(&signal.to_string());
                        evidence.worker.role = role.to_owned();
                        evidence.server.mod_wsgi = version.map(str::to_owned);
                        evidence.blame.module = module.map(str::to_owned);
                        let told = sentence(rule.remedy, &evidence);
                        let what = format!("{} {role} {version:?} {signal}: {told}", rule.id);
                        assert!(told.len() <= LONGEST, "{what}");
                        assert!(told.ends_with('.') && !told.ends_with(".."), "{what}");
                        assert!(!told.contains(". ") && !told.contains(['{', '}']), "{what}");
                        assert!(told.starts_with(|c: char| c.is_uppercase()), "{what}");
                        assert_eq!(told, told.trim(), "{what}");
                    }
                }
            }
        }
    }
    for row in knowledge().libraries {
        let longest = knowledge().ways.iter().map(|way| way.clause.len()).max();
        assert!(
            row.clause.len() + longest.unwrap() + 3 <= LONGEST,
            "{}",
            row.name
        );
    }
}

#[test]
fn the_way_is_that_of_role_signal_and_version() {
    for (role, signal, version, expected) in [
        (
            "daemon",
            "SIGTERM",
            Some("4.7.1"),
            "use atexit, or mod_wsgi 4.8",
        ),
        (
            "daemon",
            "SIGTERM",
            Some("4.8.0"),
            "use mod_wsgi.subscribe_shutdown",
        ),
        (
            "embedded",
            "SIGTERM",
            Some("6.1.1"),
            "use mod_wsgi.subscribe_shutdown",
        ),
        (
            "daemon",
            "SIGHUP",
            Some("5.0.2"),
            "use mod_wsgi.subscribe_shutdown",
        ),
        (
            "daemon",
            "SIGHUP",
            Some("6.0.0"),
            "use mod_wsgi.subscribe_signals",
        ),
        (
            "embedded",
            "SIGHUP",
            Some("6.0.0"),
            "use mod_wsgi.subscribe_shutdown",
        ),
        (
            "daemon",
            "SIGHUP",
            None,
            "subscribe_shutdown (mod_wsgi 4.8 and later)",
        ),
        (
            "service-script",
            "SIGTERM",
            Some("6.0.0"),
            "catch the SystemExit",
        ),
    ] {
        let mut evidence = of(signal);
        evidence.worker.role = role.to_owned();
        evidence.server.mod_wsgi = version.map(str::to_owned);
        let told = sentence("Do not; {way}.", &evidence);
        assert!(
            told.contains(expected),
            "{role} {signal} {version:?}: {told}"
        );
    }
}

/// asyncio is how the library does it, and the library is who does it. What called the application is
/// not asked.
#[test]
fn who_did_it_comes_before_how_it_was_done() {
    let frame = |file: &str, function: &str| Frame {
        file: file.to_owned(),
        line: Some(1),
        function: function.to_owned(),
    };
    let mut evidence = of("SIGTERM");
    evidence.python.frames = vec![
        frame(
            "/usr/lib/python3.11/asyncio/unix_events.py",
            "add_signal_handler",
        ),
        frame("/v/site-packages/aiohttp/web_runner.py", "setup"),
        frame("/v/site-packages/celery/platforms.py", "outside"),
    ];
    evidence.blame.file = Some("/v/site-packages/aiohttp/web_runner.py".to_owned());
    evidence.blame.function = Some("setup".to_owned());
    assert_eq!(library(&evidence).unwrap().name, "aiohttp");
    evidence.python.frames[1] = frame("/srv/app.py", "serve");
    evidence.blame.file = Some("/srv/app.py".to_owned());
    evidence.blame.function = Some("serve".to_owned());
    assert_eq!(library(&evidence).unwrap().name, "asyncio");
    evidence.python.frames.remove(0);
    assert!(library(&evidence).is_none());
}
