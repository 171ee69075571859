//! What became of a finding, as a part of its sentence. Pure.

use super::{
    Finding, State,
    finding::{Extent, Lasting},
};

/// The sentence of a finding, and what became of it.
pub(super) fn sentence(first: &str, finding: &Finding) -> String {
    let what = match (finding.state, finding.exposure_seconds) {
        (State::Resolved, _) if finding.shutdown.is_some() => went(finding),
        (State::Resolved, Some(seconds)) => over(finding, seconds),
        _ => stands(&finding.extent),
    };
    match what {
        Some(what) => format!("{}; {what}.", first.strip_suffix('.').unwrap_or(first)),
        None => first.to_owned(),
    }
}

/// In how many workers; of one that is alone there is nothing to say.
fn stands(extent: &Extent) -> Option<String> {
    (extent.of > 1).then(|| format!("it stands in {} of {} workers", extent.workers, extent.of))
}

/// How a worker went that did not go when it was told to.
fn went(finding: &Finding) -> Option<String> {
    let shutdown = finding.shutdown.as_ref()?;
    let seconds = shutdown.seconds?;
    Some(match (finding.count, shutdown.killed) {
        (1, false) => format!("it went after {seconds:.1} s"),
        (1, true) => format!("it was killed after {seconds:.1} s"),
        (count, false) => format!("{count} workers, {seconds:.1} s at most"),
        (count, true) => {
            format!("{count} workers, {seconds:.1} s at most, at least one was killed")
        }
    })
}

fn over(finding: &Finding, seconds: f64) -> Option<String> {
    let (one, many) = match finding.lasting {
        Some(Lasting::Temporary) => ("it was put back after", "it was put back each time"),
        Some(Lasting::Permanent) => (
            "it lasted as long as its worker,",
            "it lasted as long as its workers",
        ),
        Some(Lasting::Mixed) => ("", "it was put back, or lasted as long as its worker"),
        // A blocked attempt: nothing was taken.
        None => return None,
    };
    Some(match finding.count {
        1 => format!("{one} {seconds:.3} s"),
        count => format!("{many}, {count} times, {seconds:.3} s in all"),
    })
}
