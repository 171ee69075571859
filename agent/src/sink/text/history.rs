//! What became of a finding: how far it reaches, what lies below it, and what it broke.

use std::fmt::Write as _;

use super::{Paint, blame, line};
use crate::{
    escape,
    policy::{
        Finding, State,
        finding::{Extent, Lasting},
    },
};

/// How far a finding reaches; when it is over, how long it lasted, and whether it was given back.
pub(super) fn reach(finding: &Finding) -> String {
    let Extent {
        workers,
        of,
        workers_ever,
        ..
    } = finding.extent;
    if finding.state == State::Open {
        // Of one that is alone there is nothing to say.
        return if of > 1 {
            format!(" in {workers} of {of} workers")
        } else {
            String::new()
        };
    }
    let mut out = ", over".to_owned();
    if let Some((killed, seconds)) = finding
        .shutdown
        .as_ref()
        .and_then(|s| Some((s.killed, s.seconds?)))
    {
        let how = if killed { "killed" } else { "gone" };
        let _ = write!(out, ": {how} {seconds:.1} s after it was asked");
    } else if let Some(seconds) = finding.exposure_seconds {
        let _ = write!(out, " after {seconds:.3} s");
    }
    let lasting = finding.lasting.map(|lasting| match lasting {
        Lasting::Temporary => ", temporary",
        Lasting::Permanent => ", permanent",
        Lasting::Mixed => ", temporary or permanent",
    });
    out.push_str(lasting.unwrap_or_default());
    if workers_ever > 1 {
        let _ = write!(out, ", in {workers_ever} workers");
    }
    out
}

/// Lines of their own: whom a signal was taken from, which shutdown hung and by whose fault, and how a
/// drift was seen.
pub(super) fn lines(out: &mut String, paint: Paint, finding: &Finding) {
    if let Some(from) = &finding.taken_from {
        let below = blame(&from.blame).unwrap_or_else(|| "an unknown caller".to_owned());
        let taken = format!("taken from {below}, finding {}", escape::text(&from.id));
        line(out, paint, "chain", &taken);
    }
    if let Some(shutdown) = &finding.shutdown {
        let mut asked = format!(
            "{}: {} by {} at {}, {}",
            escape::text(&shutdown.occasion),
            escape::text(&shutdown.signal.name),
            escape::text(&shutdown.sent_by),
            escape::text(&shutdown.sent_at),
            escape::text(&shutdown.result),
        );
        if let Some(handler) = &shutdown.handled_by {
            let _ = write!(asked, " to {}", escape::text(handler));
        }
        for confirmed in &shutdown.confirmed_by {
            let _ = write!(asked, ", {}", escape::text(confirmed));
        }
        line(out, paint, "asked", &asked);
    }
    if let Some(cause) = &finding.cause {
        let cause = format!(
            "{}, taken since {}, finding {}",
            escape::text(&cause.rule),
            escape::text(&cause.since),
            escape::text(&cause.id),
        );
        line(out, paint, "cause", &cause);
    }
    if let Some(drift) = &finding.drift {
        let mut seen = match drift.seen.as_str() {
            "start" => "there when the worker was looked at first".to_owned(),
            _ => "there since".to_owned(),
        };
        if let Some(address) = &drift.address {
            let _ = write!(seen, ", handler at {}", escape::text(address));
        }
        if drift.by_32_bit_call {
            seen.push_str(", set by a 32-bit call");
        }
        if drift.agrees_with + drift.differs_from > 0 {
            let _ = write!(
                seen,
                ", the same in {} siblings, other in {}",
                drift.agrees_with, drift.differs_from
            );
        }
        line(out, paint, "drift", &seen);
    }
}
