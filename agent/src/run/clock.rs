//! The agent's clocks.

use std::time::{Duration, Instant as Moment};

use crate::{event::Instant, policy::finding::WallClock};

/// Now, on the clock of the records.
pub(super) fn now() -> Instant {
    Instant(nanoseconds(libc::CLOCK_BOOTTIME).unsigned_abs())
}

/// What turns the records' moments into times of day.
pub(super) fn wall() -> WallClock {
    WallClock {
        offset: nanoseconds(libc::CLOCK_REALTIME) - nanoseconds(libc::CLOCK_BOOTTIME),
    }
}

/// When that will be, or has been long enough, on the clock that the loop sleeps by.
pub(super) fn moment(when: Instant) -> Moment {
    Moment::now() + Duration::from_nanos(when.0.saturating_sub(now().0))
}

fn nanoseconds(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: a valid pointer; both clocks exist on every kernel that has eBPF, and a failure
    // would leave the zeros.
    let _ = unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
