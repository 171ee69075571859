//! Cases of takeovers that begin and end: chains, repetitions, and what is told of them when.

use super::{
    cases::{APP, Case, case, engine},
    events::{CHILD, LIBRARY, MASTER, MPM, PYTHON, WORKER, at, event, fork, overdue, set},
};
use crate::{
    event::{Action, Event, FileKey, Signal, What},
    policy::{
        Finding, State,
        finding::{Extent, Lasting},
        rules::Restriction,
    },
};

const OTHER: &[&str] = &["/srv/other.py:f"];
const MINUTE: u64 = 60_000;
const PROGRAM: FileKey = FileKey {
    inode: 7,
    device: 1,
    generation: 0,
};

/// Taken and given back, so many milliseconds after the start, as `os.system` does.
fn flip(milliseconds: u64) -> [Event; 2] {
    [
        at(
            milliseconds,
            set(WORKER, Signal::INT, MPM, Action::Ignore, APP),
        ),
        at(
            milliseconds + 1,
            set(WORKER, Signal::INT, Action::Ignore, MPM, APP),
        ),
    ]
}

fn gone(worker: crate::process::ProcessKey) -> Event {
    event(worker, What::Exited { code: 0 })
}

pub(super) fn cases() -> Vec<Case> {
    #[expect(non_upper_case_globals, reason = "as the directive has it")]
    const Off: Option<Restriction> = Some(Restriction::Off);
    const NEW: &str = "reserved-signal@SIGTERM";
    const ENDS: &str = "-reserved-signal@SIGTERM";
    const OPENS: &str = "reserved-signal@SIGINT";
    const OVER: &str = "-reserved-signal@SIGINT";
    const AGAIN: &str = "=reserved-signal@SIGINT";
    let w = WORKER;
    vec![
        case(
            "a chain: A takes, B takes from A, B gives back to A, A to the server",
            Off,
            vec![
                set(w, Signal::TERM, MPM, LIBRARY, APP),
                set(w, Signal::TERM, LIBRARY, PYTHON, OTHER),
                set(w, Signal::TERM, PYTHON, LIBRARY, OTHER),
                set(w, Signal::TERM, LIBRARY, MPM, APP),
            ],
            &[NEW, NEW, ENDS, ENDS],
        ),
        case(
            "A gives back to the server while B is on top: both are over",
            Off,
            vec![
                set(w, Signal::TERM, MPM, LIBRARY, APP),
                set(w, Signal::TERM, LIBRARY, PYTHON, OTHER),
                set(w, Signal::TERM, PYTHON, MPM, APP),
            ],
            &[NEW, NEW, ENDS, ENDS],
        ),
        case(
            "the server takes back what it needs",
            Off,
            vec![
                set(w, Signal::TERM, MPM, LIBRARY, APP),
                set(w, Signal::TERM, LIBRARY, MPM, &[]),
            ],
            &[NEW, ENDS],
        ),
        case(
            "another than the one who took it gives it back",
            Off,
            vec![
                set(w, Signal::TERM, MPM, LIBRARY, APP),
                set(w, Signal::TERM, LIBRARY, MPM, OTHER),
            ],
            &[NEW, ENDS],
        ),
        case(
            "the worker runs another program",
            Off,
            vec![
                set(w, Signal::TERM, MPM, LIBRARY, APP),
                event(w, What::Executed { file: PROGRAM }),
            ],
            &[NEW, ENDS],
        ),
        case(
            "a forked child neither has nor ends its worker's takeovers",
            Off,
            vec![
                set(w, Signal::TERM, MPM, LIBRARY, APP),
                fork(w, CHILD, false),
                set(CHILD, Signal::TERM, LIBRARY, MPM, APP),
                gone(CHILD),
            ],
            &[NEW],
        ),
        case(
            "what a child sets in its worker's own table stays when the child goes",
            Off,
            vec![
                fork(w, CHILD, true),
                set(CHILD, Signal::TERM, MPM, LIBRARY, APP),
                gone(CHILD),
                set(w, Signal::TERM, LIBRARY, MPM, APP),
            ],
            &["reserved-signal+secondary-thread@SIGTERM", ENDS],
        ),
        case(
            "a process id that is used again: nothing was heard of the worker's end",
            Off,
            vec![
                set(w, Signal::TERM, MPM, LIBRARY, APP),
                fork(MASTER, crate::process::ProcessKey { start: 77, ..w }, false),
            ],
            &[NEW, ENDS],
        ),
        case(
            "a cause that comes and goes is one finding, told when it begins and first ends",
            Off,
            (0..50).flat_map(|turn| flip(turn * 10)).collect(),
            &[OPENS, OVER],
        ),
        case(
            "what it came to is told when it has been over for ten minutes",
            Off,
            (0..50)
                .flat_map(|turn| flip(turn * 10))
                .chain([overdue(9 * MINUTE), overdue(11 * MINUTE)])
                .collect(),
            &[OPENS, OVER, OVER],
        ),
        case(
            "after that the same cause is a new finding",
            Off,
            flip(0)
                .into_iter()
                .chain([overdue(11 * MINUTE)])
                .chain(flip(12 * MINUTE))
                .collect(),
            &[OPENS, OVER, OPENS, OVER],
        ),
        case(
            "open again for long: told when the minute is over",
            Off,
            flip(0)
                .into_iter()
                .chain(flip(10))
                .chain(flip(20).into_iter().take(1))
                .chain([
                    overdue(MINUTE - 1),
                    overdue(MINUTE + 1),
                    overdue(3 * MINUTE),
                ])
                .collect(),
            &[OPENS, OVER, AGAIN],
        ),
        case(
            "at most one line a minute, for ten minutes of it",
            Off,
            (0..600).flat_map(|turn| flip(turn * 1_000 + 700)).collect(),
            &[
                OPENS, OVER, AGAIN, OVER, AGAIN, OVER, AGAIN, OVER, AGAIN, OVER, AGAIN,
            ],
        ),
        case(
            "one cause in more workers: told once a minute, and only when they become more",
            Off,
            vec![
                fork(MASTER, CHILD, false),
                set(w, Signal::TERM, MPM, LIBRARY, APP),
                at(1, set(CHILD, Signal::TERM, MPM, LIBRARY, APP)),
                overdue(MINUTE + 1),
                at(MINUTE + 2, gone(CHILD)),
                overdue(3 * MINUTE),
            ],
            &[NEW, "=reserved-signal@SIGTERM"],
        ),
    ]
}

/// What a finding is at the end of these events.
fn last(events: Vec<Event>) -> Finding {
    let mut engine = engine(Some(Restriction::Off));
    let news = events.into_iter().flat_map(|event| engine.step(event).news);
    news.last().expect("a finding").finding
}

/// A link of a chain names the one below, and the lowest one the server's.
#[test]
fn a_chain_names_its_links() {
    let mut engine = engine(Some(Restriction::Off));
    let first = engine.step(set(WORKER, Signal::TERM, MPM, LIBRARY, APP));
    let first = first.found().cloned().expect("a finding");
    assert_eq!(first.taken_from, None);
    let second = engine.step(set(WORKER, Signal::TERM, LIBRARY, PYTHON, OTHER));
    let second = second.found().cloned().expect("a finding");
    let link = second.taken_from.clone().expect("a link");
    assert_eq!(
        (&link.id, &link.fingerprint),
        (&first.id, &first.fingerprint)
    );
    assert_eq!(link.blame.file.as_deref(), Some("/srv/app.py"));
    // The same code sets its next handler: no chain, the same finding.
    let own = engine.step(set(WORKER, Signal::HUP, MPM, LIBRARY, APP));
    let own = own.found().cloned().expect("a finding");
    let again = engine.step(set(
        WORKER,
        Signal::HUP,
        LIBRARY,
        Action::Handler(0x5008),
        APP,
    ));
    let again = again.found().cloned().expect("a finding");
    assert_eq!((again.id, again.count, again.taken_from), (own.id, 2, None));
}

/// Two workers, one after the other and both at once: the time in which at least one was exposed.
#[test]
fn exposure_is_the_time_with_at_least_one_worker() {
    let take = |worker, when| at(when, set(worker, Signal::TERM, MPM, LIBRARY, APP));
    let give = |worker, when| at(when, set(worker, Signal::TERM, LIBRARY, MPM, APP));
    let found = last(vec![
        fork(MASTER, CHILD, false),
        take(WORKER, 0),
        take(CHILD, 500),
        give(WORKER, 1_000),
        give(CHILD, 2_000),
        // Three seconds of nobody.
        take(CHILD, 5_000),
        at(5_250, gone(CHILD)),
    ]);
    assert_eq!(found.exposure_seconds, Some(2.25));
    assert_eq!((found.count, found.lasting), (3, Some(Lasting::Mixed)));
    let extent = Extent {
        workers: 0,
        of: 1,
        workers_ever: 2,
        restored: 2,
        exited: 1,
        executed: 0,
    };
    assert_eq!((found.state, found.extent), (State::Resolved, extent));
    assert_eq!(
        found.resolved_at.as_deref(),
        Some("1970-01-01T00:00:10.250000Z")
    );
}

/// The sentence says how many workers are affected, and of SIGPIPE for how long.
#[test]
fn the_message_says_what_became_of_it() {
    let pipe = |old, new| set(WORKER, Signal::PIPE, old, new, APP);
    let taken = pipe(Action::Ignore, Action::Default);
    let alone = last(vec![taken.clone()]).message;
    assert!(alone.ends_with("worker 200 of apache2."), "{alone}");
    let of = last(vec![fork(MASTER, CHILD, false), taken.clone()]).message;
    assert!(
        of.ends_with("of apache2; it stands in 1 of 2 workers."),
        "{of}"
    );
    let back = at(20, pipe(Action::Default, Action::Ignore));
    let back = last(vec![taken.clone(), back]).message;
    assert!(
        back.ends_with("of apache2; it was put back after 0.020 s."),
        "{back}"
    );
    let gone = last(vec![taken, at(1_500, gone(WORKER))]).message;
    assert!(
        gone.ends_with("; it lasted as long as its worker, 1.500 s."),
        "{gone}"
    );
}

/// Of an application that makes up causes without end, the rest is one finding for each signal.
#[test]
fn causes_without_end_are_folded() {
    let mut engine = engine(Some(Restriction::Off));
    let mut told = 0;
    for number in 0..1_000 {
        let frame = format!("/srv/{number}.py:f");
        let taken = set(WORKER, Signal::INT, MPM, Action::Ignore, &[&frame]);
        let back = set(WORKER, Signal::INT, Action::Ignore, MPM, &[&frame]);
        for event in [taken, back] {
            told += engine.step(event).told().count();
        }
    }
    assert_eq!(told, 2 * 65);
}
