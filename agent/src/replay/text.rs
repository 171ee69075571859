//! Differences and counts for people. Pure.

use std::fmt::Write as _;

use super::judge::{Difference, Judge, Kind, Tally};
use crate::{
    policy::{Finding, Severity},
    sink::text,
};

/// A difference, with a line break at the end.
pub(super) fn difference(difference: &Difference, colour: bool) -> String {
    let mut out = String::new();
    match (difference.difference, &difference.was, &difference.is) {
        (Kind::Appears, _, Some(is)) => {
            let _ = write!(out, "+ {}", text::finding(is, colour));
        }
        (Kind::Vanishes, Some(was), _) => {
            let _ = write!(out, "- {}", brief(was, colour));
        }
        (Kind::Changes, Some(was), Some(is)) => {
            let _ = write!(out, "~ {}", brief(is, colour));
            let _ = writeln!(
                out,
                "  was {} {}{}",
                was.severity.name(),
                was.rule,
                excepted(was)
            );
            let _ = writeln!(
                out,
                "  is {} {}{}",
                is.severity.name(),
                is.rule,
                excepted(is)
            );
        }
        // There is no other.
        _ => {}
    }
    if let Some(note) = difference.note {
        let _ = writeln!(out, "  note {note}");
    }
    out
}

/// What it is, and who did it.
fn brief(finding: &Finding, colour: bool) -> String {
    let whole = text::finding(finding, colour);
    let mut out = whole.lines().next().unwrap_or_default().to_owned() + "\n";
    if let Some(blamed) = text::blame(&finding.evidence.blame) {
        let _ = writeln!(out, "  blame {blamed}");
    }
    out
}

fn excepted(finding: &Finding) -> &'static str {
    if finding.exception.is_some() {
        ", excepted"
    } else {
        ""
    }
}

/// What there was, in one line, or in three where something was asked.
pub(super) fn summary(judge: &Judge, is_asked: bool) -> String {
    let events = judge.events;
    if !is_asked {
        return format!("{events} events: {}\n", tally(judge.recorded()));
    }
    let of = |kind| judge.differences.get(&kind).copied().unwrap_or(0);
    format!(
        "{events} events: {} appear, {} vanish, {} change\nas recorded: {}\nas asked: {}\n",
        of(Kind::Appears),
        of(Kind::Vanishes),
        of(Kind::Changes),
        tally(judge.recorded()),
        tally(judge.asked()),
    )
}

fn tally(tally: &Tally) -> String {
    let all: u64 = tally.of.values().sum();
    let severities = Severity::ALL.iter().rev();
    let each: Vec<String> = severities
        .map(|severity| {
            let count = tally.of.get(severity).copied().unwrap_or(0);
            format!("{count} {}", severity.name())
        })
        .collect();
    let mut out = format!("{all} findings ({})", each.join(", "));
    let excepted: u64 = tally.excepted.values().sum();
    if excepted > 0 {
        let _ = write!(out, ", {excepted} of them excepted");
    }
    out
}
