//! Words for what stands on a signal, and for how long.

use jiff::Timestamp;

use crate::{
    engine::status::{SignalStatus, Worker},
    escape,
};

/// What stands on a signal: an owner and a symbol, or a word.
pub(super) fn stands(signal: &SignalStatus) -> String {
    match (signal.kind.as_str(), &signal.owner, &signal.symbol) {
        ("handler", Some(owner), Some(symbol)) => {
            format!("{}!{}", escape::text(owner), escape::text(symbol))
        }
        ("handler", Some(owner), None) => escape::text(owner).to_string(),
        ("handler", None, _) => "code of no known file".to_owned(),
        ("ignore", ..) => "ignored".to_owned(),
        (kind, ..) => escape::text(kind).to_string(),
    }
}

/// A worker's process id, and the one that its container knows.
pub(super) fn pid(worker: &Worker) -> String {
    match worker.ns_pid.filter(|inner| *inner != worker.pid) {
        Some(inner) => format!("{} ({inner} inside)", worker.pid),
        None => worker.pid.to_string(),
    }
}

/// Why a signal without a finding stands out. `other` is what stands in its siblings.
pub(super) fn why(signal: &SignalStatus, other: Option<&SignalStatus>) -> String {
    match (other, signal.kind.as_str(), signal.name.as_str()) {
        (Some(other), ..) => format!("{} in its siblings", stands(other)),
        (None, "handler", _) => "no open finding: set before sigblame came, or allowed".to_owned(),
        (None, _, "SIGPIPE") => {
            "Apache ignores it: a client that hangs up can kill the process".to_owned()
        }
        _ => "Apache handles it, to stop the process".to_owned(),
    }
}

/// The restriction in force, and by what.
pub(super) fn restriction(switch: &str, from: &str) -> String {
    let by = match from {
        "default" => "by default".to_owned(),
        "configuration" => "by sigblame's configuration".to_owned(),
        "assumed" => "assumed: the server's configuration is not known".to_owned(),
        place => format!("by {}", escape::text(place)),
    };
    format!("{}, {by}", escape::text(switch))
}

/// How long ago that was, to one unit.
pub(super) fn age(now: Option<Timestamp>, time: &str) -> String {
    let then: Option<Timestamp> = time.parse().ok();
    let Some((now, then)) = now.zip(then) else {
        return "?".to_owned();
    };
    let seconds = now.as_second().saturating_sub(then.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `1 worker`, `2 workers`.
pub(super) fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}
