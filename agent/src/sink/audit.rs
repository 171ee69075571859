//! The audit's report for people: by distribution, a line for each use.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::{
    audit::report::{Report, UseRef, VerdictRef},
    escape,
    policy::{Severity, rules::Restriction},
    sink::text::{BOLD, DIM, Paint, grade},
};

/// The report, judged under this restriction first.
#[must_use]
pub fn text(report: &Report, restriction: Restriction, colour: bool) -> String {
    let paint = Paint(colour);
    let mut out = String::new();
    let mut counts = BTreeMap::<Option<Severity>, usize>::new();
    for group in &report.distributions {
        let name = match (&group.name, &group.version) {
            (Some(name), Some(version)) => format!("{name} {version}"),
            _ => "of no distribution".to_owned(),
        };
        let _ = writeln!(out, "{}", paint.with(BOLD, escape::text(&name)));
        let mut remedies = BTreeSet::new();
        for found in &group.uses {
            let verdict = match restriction {
                Restriction::On => &found.on,
                Restriction::Off => &found.off,
            };
            *counts.entry(verdict.severity).or_default() += 1;
            line(&mut out, paint, found, verdict);
            if let (Some(rule), Some(remedy)) = (verdict.rule, &verdict.remedy) {
                remedies.insert((rule, remedy));
            }
        }
        for (rule, remedy) in remedies {
            let mend = paint.with(DIM, "mend");
            let _ = writeln!(out, "  {mend} {rule}: {}", escape::text(remedy));
        }
        out.push('\n');
    }
    if !report.problems.is_empty() {
        let _ = writeln!(out, "{}", paint.with(BOLD, "not read to the end"));
        for problem in &report.problems {
            let (file, reason) = (escape::text(&problem.file), escape::text(&problem.reason));
            let _ = writeln!(out, "  {file}: {reason}");
        }
        out.push('\n');
    }
    let read = &report.read;
    let uses: usize = counts.values().sum();
    let by_severity = |severity| counts.get(&Some(severity)).copied().unwrap_or_default();
    let _ = writeln!(
        out,
        "{uses} uses in {} Python files ({} speak of signals) and {} libraries, {:.2} s; with \
         WSGIRestrictSignal {}: {} critical, {} warning, {} notice",
        read.python,
        read.parsed,
        read.native,
        read.seconds,
        restriction.name(),
        by_severity(Severity::Critical),
        by_severity(Severity::Warning),
        by_severity(Severity::Notice),
    );
    out
}

fn line(out: &mut String, paint: Paint, found: &UseRef, verdict: &VerdictRef) {
    let severity = match verdict.severity {
        Some(severity) => grade(severity, paint),
        None => paint.with(DIM, "none"),
    };
    let place = match found.line {
        Some(line) => format!("{}:{line}", escape::text(&found.file)),
        None => escape::text(&found.file).to_string(),
    };
    let mut signals: Vec<&str> = found.signals.iter().map(|it| &*it.name).collect();
    if found.other_signals {
        signals.push(if signals.is_empty() {
            "any signal"
        } else {
            "others"
        });
    }
    let likely = if found.likely { " (likely)" } else { "" };
    let tests = if found.in_tests { ", in tests" } else { "" };
    let handler = match found.handler {
        "default" => " to its default",
        "ignore" => " to ignore",
        _ => "",
    };
    let rule = |verdict: &VerdictRef| verdict.rule.unwrap_or("–");
    let _ = writeln!(
        out,
        "  {severity} {place} {}{likely} {}{handler}, {}{tests}; On {}, Off {}",
        paint.with(BOLD, escape::text(&found.what)),
        escape::text(&signals.join(" ")),
        when(found),
        rule(&found.on),
        rule(&found.off),
    );
}

fn when(found: &UseRef) -> String {
    match (found.when, &found.function) {
        ("import", _) => "on import".to_owned(),
        ("library", _) => "when its code says so".to_owned(),
        ("program", _) => "only as a program".to_owned(),
        (_, Some(function)) => format!("by {}", escape::text(function)),
        (other, None) => other.to_owned(),
    }
}
