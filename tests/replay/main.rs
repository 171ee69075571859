//! Judges a recorded server again: the whole core on real bytes, without root and on any machine.
//!
//! `BLESS=1` writes the golden file anew; what changed in it is then read like code.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use sigblame::{
    capture::{self, Capture, CaptureError, FORMAT},
    engine::Engine,
    event::{What, decode},
    policy::Finding,
    process::{Role, origin::Origin},
};
use sigblame_tests::{
    demo::{APPLICATION_GROUP, BILLING_GROUP, PROCESS_GROUP, ROUTES},
    package_dir,
};

use self::told::replay;

mod command;
mod told;
mod what_if;

fn fixture() -> Result<Vec<u8>> {
    let path = package_dir().join("fixtures/captures/demo-event.jsonl");
    fs::read(&path).with_context(|| format!("failed to read {}", path.display()))
}

fn golden() -> PathBuf {
    package_dir().join("golden/demo-event.json")
}

fn capture() -> Result<Capture> {
    Ok(capture::read(&fixture()?)?)
}

/// The same bytes give the same findings, to the letter: ids, times, fingerprints, sentences.
#[test]
fn the_recorded_server_gives_the_golden_findings() -> Result<()> {
    let capture = capture()?;
    assert_eq!(capture.cut, None);
    let (_, told) = replay(capture.header.settings(), capture.events);
    let text = serde_json::to_string_pretty(&told)? + "\n";
    if env::var_os("BLESS").is_some() {
        fs::create_dir_all(golden().parent().context("a file without a folder")?)?;
        fs::write(golden(), text).context("failed to write the golden findings")?;
        return Ok(());
    }
    let expected = fs::read_to_string(golden()).context("failed to read the golden findings")?;
    // The first difference says more than two texts of a thousand lines.
    for (number, (now, then)) in (1..).zip(text.lines().zip(expected.lines())) {
        assert_eq!(now, then, "line {number} of {}", golden().display());
    }
    assert_eq!(
        text.len(),
        expected.len(),
        "one goes on where the other ends"
    );
    Ok(())
}

/// What the demo promises of its links is what was found, in each mount: the golden file cannot be
/// blessed into something else.
#[test]
fn the_recorded_server_gives_what_the_demo_promises() -> Result<()> {
    let capture = capture()?;
    assert_eq!(capture.header.restrict_signal, None, "the server's counts");
    let (engine, told) = replay(capture.header.settings(), capture.events);
    let mut promised: Vec<(&str, &str)> = ROUTES
        .iter()
        // Each generation of workers imports what it runs: the same causes again.
        .flat_map(|route| route.at_start.iter().chain(route.findings).copied())
        .collect();
    promised.sort_unstable();
    for role in [Role::Embedded, Role::Daemon] {
        let of_role = |finding: &&Finding| finding.evidence.worker.role == role.name();
        let mut found: Vec<(&str, &str)> = told
            .findings
            .iter()
            .filter(of_role)
            .map(|finding| (finding.evidence.signal.name.as_str(), finding.rule.as_str()))
            .collect();
        found.sort_unstable();
        assert_eq!(found, promised, "{}", role.name());
    }
    for finding in &told.findings {
        let evidence = &finding.evidence;
        assert_eq!(evidence.python.result, "complete", "{}", finding.message);
        assert_eq!(evidence.python.version.as_deref(), Some("3.11"));
        assert!(evidence.blame.line.is_some(), "{}", finding.message);
        assert!(finding.resolved_at.is_some(), "the server has gone");
        let extent = &finding.extent;
        assert_eq!(extent.workers, 0, "the server has gone");
        let generations = if finding.rule == "blocked-attempt" {
            2
        } else {
            1
        };
        assert_eq!(extent.workers_ever, generations, "{}", finding.message);
        let server = &evidence.server;
        let restricted = (&*server.restrict_signal, &*server.restrict_signal_from);
        assert_eq!(restricted, ("on", "default"), "{}", finding.message);
        let is_daemon = evidence.worker.role == Role::Daemon.name();
        let group = evidence.worker.process_group.as_deref();
        assert_eq!(group, is_daemon.then_some(PROCESS_GROUP));
        let (application, script) = match &*finding.rule {
            "blocked-attempt" => (BILLING_GROUP, "/billing.py"),
            _ => (APPLICATION_GROUP, "/pages.py"),
        };
        assert_eq!(evidence.application.group.as_deref(), Some(application));
        let found = evidence.application.script.as_deref();
        assert!(
            found.is_some_and(|found| found.ends_with(script)),
            "{found:?}"
        );
    }
    assert_eq!(engine.table.processes().count(), 0, "the server has gone");
    assert_eq!(engine.table.servers().count(), 0, "the server has gone");
    Ok(())
}

/// A finding about attempts is open for as long as its worker lives, and not longer.
#[test]
fn attempts_end_with_their_workers() -> Result<()> {
    let capture = capture()?;
    let mut engine = Engine::new(capture.header.settings());
    let mut seen = 0;
    for event in capture.events {
        let (worker, exited) = (event.process, matches!(event.what, What::Exited { .. }));
        let step = engine.step(event);
        if let Some(blocked) = &step.blocked {
            seen += 1;
            assert_eq!(blocked.context.process.key, worker);
            assert!(step.change.is_none() && !step.news.is_empty());
        }
        let attempts = || engine.book.iter().filter(|f| f.rule == "blocked-attempt");
        if exited {
            let left = attempts().filter(|f| f.evidence.worker.pid == worker.pid);
            assert_eq!(left.count(), 0, "{worker:?}");
        }
        let ended = step.resolved().filter(|f| f.rule == "blocked-attempt");
        for finding in ended {
            assert!(exited, "{}", finding.message);
            assert!(
                finding
                    .exposure_seconds
                    .is_some_and(|seconds| seconds > 0.0)
            );
        }
    }
    assert_eq!(seen, 12);
    Ok(())
}

/// httpd, mod_wsgi and the interpreter set some eighty dispositions in a server's life; none is an
/// application's.
#[test]
fn the_servers_own_registrations_are_told_apart() -> Result<()> {
    let capture = capture()?;
    let mut engine = Engine::new(capture.header.settings());
    let mut by_origin = BTreeMap::new();
    let mut exempt = 0;
    for event in capture.events {
        let step = engine.step(event);
        exempt += usize::from(step.exempt);
        if let Some(change) = step.change {
            let has_frames = !change.registration.python.frames.is_empty();
            *by_origin
                .entry((change.origin.name(), has_frames))
                .or_insert(0) += 1;
        }
    }
    let server: usize = by_origin
        .get(&(Origin::Server.name(), false))
        .copied()
        .unwrap_or(0);
    assert!(server > 40, "{by_origin:?}");
    assert_eq!(by_origin.get(&(Origin::Server.name(), true)), None);
    assert_eq!(by_origin.get(&(Origin::Application.name(), false)), None);
    assert_eq!(exempt, 2, "what /fork/ does in its child, once a mount");
    Ok(())
}

/// A capture that a crash cut off is judged as far as it goes, and says where it ends.
#[test]
fn a_fixture_that_is_cut_off_gives_the_findings_before_the_cut() -> Result<()> {
    let bytes = fixture()?;
    let whole = capture()?;
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    let cut = capture::read(&bytes[..bytes.len() / 2])?;
    let line = cut.cut.context("the cut falls into a line")?;
    assert!((2..lines).contains(&line), "line {line} of {lines}");
    assert_eq!(cut.events.len(), line - 2, "one header, one line cut off");
    let (_, told) = replay(cut.header.settings(), cut.events);
    let (_, all) = replay(whole.header.settings(), whole.events);
    assert!(!told.lines.is_empty());
    assert_eq!(told.lines, all.lines[..told.lines.len()]);
    Ok(())
}

/// The lines of the fixture that hold records, with their numbers and bytes.
fn records(text: &str) -> Result<Vec<(usize, Vec<u8>)>> {
    let mut records = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let value: Value = serde_json::from_str(line)?;
        let digits = value["record"].as_str();
        let digits = digits.or(value["registration"][0].as_str());
        if let Some(digits) = digits.or(value["attempt"][0].as_str()) {
            let bytes = (0..digits.len()).step_by(2);
            let bytes = bytes.map(|at| u8::from_str_radix(&digits[at..at + 2], 16));
            records.push((number, bytes.collect::<Result<_, _>>()?));
        }
    }
    assert!(records.len() > 50, "the search is broken");
    Ok(records)
}

/// A damaged record in the middle refuses the capture, with its line: half a truth gives findings
/// that never were.
#[test]
fn a_damaged_record_is_refused_with_its_line() -> Result<()> {
    let text = String::from_utf8(fixture()?)?;
    for (line, bytes) in records(&text)? {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let digits: String = bytes[..bytes.len() - 8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        lines[line - 1] = format!("{{\"record\":\"{digits}\"}}");
        let error = capture::read((lines.join("\n") + "\n").as_bytes()).unwrap_err();
        assert!(
            matches!(error, CaptureError::Record { line: at, .. } if at == line),
            "{error}"
        );
    }
    Ok(())
}

/// As the agent treats its ring: whatever the bytes, a record is taken in or counted as lost, and
/// the engine goes on.
#[test]
fn garbled_bytes_are_counted_and_never_panic() -> Result<()> {
    let capture = capture()?;
    let text = String::from_utf8(fixture()?)?;
    let records = records(&text)?;
    let (mut engine, _) = replay(capture.header.settings(), capture.events);
    let mut hear = |bytes: &[u8]| match decode::decode(bytes) {
        Ok((_, event)) => {
            engine.step(event);
            false
        }
        Err(_) => true,
    };
    let (mut bytes, mut cut, mut flipped) = (0, 0, 0);
    for (_, record) in &records {
        for at in 0..record.len() {
            bytes += 1;
            cut += usize::from(hear(&record[..at]));
            let mut garbled = record.clone();
            garbled[at] ^= 0xff;
            flipped += usize::from(hear(&garbled));
        }
    }
    assert_eq!(cut, bytes, "no part of a record is a record");
    // Sizes, kinds and frames tell; a moment or a mask that is another cannot.
    assert!(
        (bytes / 100..bytes).contains(&flipped),
        "{flipped} of {bytes}"
    );
    Ok(())
}

/// The fixture is what the README says: one server's, of this format, and small.
#[test]
fn the_fixture_is_of_one_server_and_small() -> Result<()> {
    let bytes = fixture()?;
    assert!(bytes.len() < 1 << 20, "{} bytes", bytes.len());
    let capture = capture()?;
    assert_eq!(capture.header.sigblame_capture, FORMAT);
    let masters: BTreeSet<_> = capture
        .events
        .iter()
        .filter(|event| matches!(&event.what, What::Found(found) if found.parent.is_none()))
        .map(|event| event.process)
        .collect();
    assert_eq!(masters.len(), 1, "{masters:?}");
    Ok(())
}
