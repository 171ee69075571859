//! Names, series and bounds, and promtool's opinion of them.

use std::{
    collections::BTreeSet,
    io::{ErrorKind, Write as _},
    process::{Command, Stdio},
};

use super::{
    series::{CAP, OTHER},
    *,
};
use crate::policy::sample;

/// Every family has a series.
fn busy() -> Metrics {
    let metrics = Metrics::new().unwrap();
    metrics.registration(
        "a",
        Some("demo"),
        Some(Signal::TERM),
        Origin::Application,
        Outcome::Applied,
    );
    metrics.registration("a", None, None, Origin::Server, Outcome::Failed);
    metrics.blocked_attempt("a", Some("demo"), Some("demo|/x"), Signal::INT);
    metrics.finding(&sample::finding());
    metrics.open(&sample::finding());
    metrics.override_seconds("a", Signal::PIPE, 0.02);
    metrics.event(EventKind::Registration);
    metrics.lost(Stage::Ring, 3);
    metrics.misses(&[("ring_full", 3)]);
    metrics.python_stack(&StackResult::Failed("x".to_owned()));
    metrics.hook("registration", "fexit", false);
    metrics.event_delay(0.000_2);
    metrics.ring_used(0.25);
    metrics.probe_run("registration_exit", 1.5);
    metrics.workers("a", Role::Daemon, 2);
    metrics.restrict_signal("a", true);
    metrics
}

fn value(text: &str, series: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .map(|value| value.parse().unwrap())
}

#[test]
fn the_list_of_names_is_what_is_served() {
    let text = busy().encode().unwrap();
    let served: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    assert_eq!(served, NAMES.iter().copied().collect());
}

#[test]
fn promtool_accepts_the_scrape() {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: promtool is not installed (Debian: apt-get install prometheus)");
            return;
        }
        Err(error) => panic!("failed to start promtool: {error}"),
    };
    let metrics = busy();
    metrics.workers("quote\" back\\ line\nend \u{1b}[31m", Role::Daemon, 1);
    let text = metrics.encode().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn known_series_start_at_0() {
    let text = Metrics::new().unwrap().encode().unwrap();
    for series in [
        "sigblame_events_total{kind=\"registration\"}",
        "sigblame_events_total{kind=\"exempt\"}",
        "sigblame_events_lost_total{stage=\"decode\"}",
        "sigblame_probe_misses_total{reason=\"ring_full\"}",
        "sigblame_python_stacks_total{result=\"failed\"}",
        "sigblame_series_overflow_total{metric=\"sigblame_findings_open\"}",
        "sigblame_event_delay_seconds_count",
    ] {
        assert_eq!(value(&text, series), Some(0.0), "{series}");
    }
    assert_eq!(value(&text, "sigblame_workers"), None, "no server is known");
}

#[test]
fn totals_of_the_kernel_only_grow() {
    let metrics = Metrics::new().unwrap();
    let series = "sigblame_probe_misses_total{reason=\"ring_full\"}";
    for (total, expected) in [(5, 5.0), (5, 5.0), (7, 7.0), (2, 9.0), (3, 10.0)] {
        metrics.misses(&[("ring_full", total)]);
        assert_eq!(value(&metrics.encode().unwrap(), series), Some(expected));
    }
    metrics.probe_run("p", 1.5);
    metrics.probe_run("p", 2.0);
    let series = "sigblame_probe_run_seconds_total{program=\"p\"}";
    assert_eq!(value(&metrics.encode().unwrap(), series), Some(2.0));
}

#[test]
fn open_findings_fall_to_0() {
    let metrics = Metrics::new().unwrap();
    let one = sample::finding();
    let series = "sigblame_findings_open{application=\"demo|/billing\",process_group=\"demo\",\
                  rule=\"reserved-signal\",server=\"apache2\",severity=\"critical\"}";
    let mut other = one.clone();
    other.id.push('0');
    // The same finding may change as often as it likes.
    for finding in [&one, &other, &one] {
        metrics.open(finding);
    }
    assert_eq!(value(&metrics.encode().unwrap(), series), Some(2.0));
    for finding in [&mut other.clone(), &mut one.clone(), &mut one.clone()] {
        finding.state = State::Resolved;
        metrics.open(finding);
    }
    assert_eq!(value(&metrics.encode().unwrap(), series), Some(0.0));
}

#[test]
fn a_gone_server_takes_its_series_along() {
    let metrics = busy();
    metrics.workers("stays", Role::Daemon, 1);
    metrics.server_gone("a");
    metrics.server_gone("apache2");
    let text = metrics.encode().unwrap();
    let left: Vec<_> = text.lines().filter(|l| l.contains("server=")).collect();
    assert_eq!(
        left,
        ["sigblame_workers{role=\"daemon\",server=\"stays\"} 1"]
    );
}

#[test]
fn hostile_names_stay_under_the_cap() {
    let metrics = Metrics::new().unwrap();
    let hostile = |number: usize| {
        let mut finding = sample::finding();
        let name = format!("{number}\n\u{1b}]0;\" }} 1 #{}", "x".repeat(10_000));
        finding.evidence.application.group = Some(name);
        finding.id = number.to_string();
        finding
    };
    for number in 0..5000 {
        metrics.finding(&hostile(number));
        metrics.workers(&format!("server {number}"), Role::Daemon, 1);
    }
    let all: Vec<_> = (0..5000).map(hostile).collect();
    all.iter().for_each(|finding| metrics.open(finding));
    let text = metrics.encode().unwrap();
    let series = |name: &str| text.lines().filter(|l| l.starts_with(name)).count();
    assert_eq!(series("sigblame_findings_total{"), CAP + 1);
    assert_eq!(series("sigblame_findings_open{"), CAP + 1);
    assert_eq!(series("sigblame_workers{"), CAP + CAP / 4 + 1);
    let labels = format!(
        "{{application=\"{OTHER}\",process_group=\"{OTHER}\",rule=\"reserved-signal\",\
         server=\"apache2\",severity=\"critical\"}}"
    );
    assert_eq!(
        value(&text, &format!("sigblame_findings_open{labels}")),
        Some(3000.0)
    );
    assert_eq!(
        value(
            &text,
            "sigblame_series_overflow_total{metric=\"sigblame_findings_total\"}"
        ),
        Some(3000.0)
    );
    assert!(text.lines().all(|line| line.len() < 500), "values are cut");
    for mut finding in all {
        finding.state = State::Resolved;
        metrics.open(&finding);
    }
    let text = metrics.encode().unwrap();
    let open = text
        .lines()
        .filter(|l| l.starts_with("sigblame_findings_open{"));
    assert!(open.count() <= CAP / 2 + 1, "ended series make room");
}
