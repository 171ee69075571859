//! Whether an exception of the configuration covers a finding, and since when it no longer does.
//! Pure.
//!
//! An exception covers findings, not rules: its `rule` is the finding's own, the one that says
//! most. So one that covers a finding silences the weaker rules that hold beside it, too, and one
//! that names a weaker rule does not silence a stronger one.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    Settings,
    finding::{Evidence, ExceptionRef, Finding, WallClock},
};
use crate::{
    config::{Exception, Pattern},
    event::Instant,
};

/// Below these directories lie packages, each in a directory or a file of its own name.
const PACKAGES: [&str; 2] = ["/site-packages/", "/dist-packages/"];

/// The first exception that covers a finding, by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covered {
    /// By this one, which holds.
    By(usize),
    /// By this one, which has ended; none that holds does.
    Once(usize),
    /// By none.
    No,
}

/// Which exception covers a finding at a moment.
#[must_use]
pub fn covered(settings: &Settings, finding: &Finding, when: Instant) -> Covered {
    let today = day(settings.clock, when);
    let mut fitting = (0..)
        .zip(settings.exceptions.iter())
        .filter(|(_, exception)| fits(exception, &finding.rule, &finding.evidence))
        .peekable();
    let once = fitting.peek().map(|(place, _)| *place);
    match fitting.find(|(_, exception)| !exception.has_ended(today)) {
        Some((place, _)) => Covered::By(place),
        None => once.map_or(Covered::No, Covered::Once),
    }
}

/// Enters into a finding what its exception says, in the place of what an earlier one said.
pub fn enter(settings: &Settings, finding: &mut Finding, when: Instant) -> Covered {
    let covered = covered(settings, finding, when);
    finding.exception = None;
    match covered {
        Covered::By(place) => {
            finding.exception = settings.exceptions.get(place).map(reference);
        }
        Covered::Once(place) => {
            if let Some(note) = settings.exceptions.get(place).and_then(note) {
                let sentence = finding.message.trim_end_matches('.');
                finding.message = format!("{sentence}{note}");
            }
        }
        Covered::No => {}
    }
    covered
}

/// Takes out of a finding what was entered under these settings.
pub fn withdraw(settings: &Settings, finding: &mut Finding) {
    finding.exception = None;
    let notes = settings.exceptions.iter().filter_map(note);
    for note in notes {
        if let Some(sentence) = finding.message.strip_suffix(&note) {
            finding.message = format!("{sentence}.");
            return;
        }
    }
}

/// When the next exception ends after a moment.
#[must_use]
pub fn next_end(settings: &Settings, after: Option<Instant>) -> Option<Instant> {
    let ends = settings
        .exceptions
        .iter()
        .filter_map(|e| end(settings.clock, e));
    ends.filter(|end| after.is_none_or(|after| *end > after))
        .min()
}

/// When an exception ends: the midnight after its last day.
#[must_use]
pub fn end(clock: WallClock, exception: &Exception) -> Option<Instant> {
    let midnight = exception
        .until?
        .tomorrow()
        .ok()?
        .to_zoned(TimeZone::UTC)
        .ok()?;
    let nanoseconds = midnight.timestamp().as_nanosecond() - i128::from(clock.offset);
    // Before the host was booted: at its first moment. After all moments: never.
    u64::try_from(nanoseconds.max(0)).ok().map(Instant)
}

/// The day of a moment, in UTC.
#[must_use]
pub fn day(clock: WallClock, when: Instant) -> Date {
    let nanoseconds = i128::from(when.0) + i128::from(clock.offset);
    Timestamp::from_nanosecond(nanoseconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::UTC)
        .date()
}

fn reference(exception: &Exception) -> ExceptionRef {
    ExceptionRef {
        reason: exception.reason.clone(),
        until: exception.until.map(|day| day.to_string()),
    }
}

/// How the message of a finding ends whose exception has.
fn note(exception: &Exception) -> Option<String> {
    let until = exception.until?;
    Some(format!(
        " (an exception for it ended on {until}: {}).",
        exception.reason
    ))
}

fn fits(exception: &Exception, rule: &str, evidence: &Evidence) -> bool {
    let group = evidence.worker.process_group.as_deref().unwrap_or_default();
    let is = |pattern: &Option<Pattern>, text: &str| {
        pattern.as_ref().is_none_or(|pattern| pattern.fits(text))
    };
    exception.rule.as_ref().is_none_or(|wanted| wanted == rule)
        && exception
            .signal
            .is_none_or(|signal| signal.number() == evidence.signal.number)
        && is(&exception.server, &evidence.server.name)
        && is(&exception.process_group, group)
        && exception
            .application
            .as_ref()
            .is_none_or(|application| is_application(application, evidence))
        && exception
            .module
            .as_ref()
            .is_none_or(|module| is_module(module, evidence))
}

fn is_application(pattern: &Pattern, evidence: &Evidence) -> bool {
    let application = &evidence.application;
    application
        .group
        .as_ref()
        .is_some_and(|group| pattern.fits(group))
        || application
            .script
            .as_ref()
            .is_some_and(|script| pattern.fits_path(script))
}

/// Whether who did it goes by this name: the blamed module, the new handler's owner, the blamed
/// Python file or the package in which that lies.
fn is_module(pattern: &Pattern, evidence: &Evidence) -> bool {
    let blame = &evidence.blame;
    let files = [
        blame.module.as_deref(),
        evidence.change.new.owner.as_deref(),
        blame.file.as_deref(),
    ];
    let fits = files.iter().flatten().any(|file| pattern.fits_path(file));
    fits || (blame.file.iter().chain(&blame.module))
        .filter_map(|file| package(file))
        .any(|package| pattern.fits(package))
}

/// The name of the package that a file belongs to.
pub(super) fn package(file: &str) -> Option<&str> {
    let below = PACKAGES.iter().find_map(|place| file.rsplit_once(place))?.1;
    let name = below.split('/').next()?;
    Some(name.split('.').next().unwrap_or(name))
}

#[cfg(test)]
mod tests;
