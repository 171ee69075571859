//! Cases of `disposition-drift`: inventories between events, and what is told of them.

use super::{
    cases::Case,
    events::{CHILD, HTTPD, LIBRARY, MASTER, MOD_WSGI, MPM, PYTHON, WORKER, event, fork, set},
};
use crate::{
    event::{Action, Event, Instant, Signal, What},
    policy::rules::Restriction,
    process::{ProcessKey, unknown_dispositions},
};

const APP: &[&str] = &["/srv/app.py:reload"];
/// Workers beside the first.
const OTHERS: [ProcessKey; 3] = [
    ProcessKey { pid: 201, start: 2 },
    ProcessKey { pid: 202, start: 2 },
    ProcessKey { pid: 203, start: 2 },
];
#[expect(non_upper_case_globals, reason = "as the directive has it")]
const On: Option<Restriction> = Some(Restriction::On);
#[expect(non_upper_case_globals, reason = "as the directive has it")]
const Off: Option<Restriction> = Some(Restriction::Off);

/// The event, so many tenths of a second after the agent's first look.
pub(super) fn at(tenths: u64, event: Event) -> Event {
    Event {
        when: Instant(5_000_000_000 + tenths * 100_000_000),
        ..event
    }
}

/// What stands in a child of the MPM that nobody has touched.
pub(super) const EMBEDDED: &[(Signal, Action)] = &[
    (Signal::TERM, MPM),
    (Signal::HUP, MPM),
    (Signal::USR1, HTTPD),
    (Signal::PIPE, Action::Ignore),
    (Signal::XFSZ, Action::Ignore),
    (Signal::INT, PYTHON),
];

/// The same in a daemon.
pub(super) const DAEMON: &[(Signal, Action)] = &[
    (Signal::TERM, MOD_WSGI),
    (Signal::INT, MOD_WSGI),
    (Signal::USR1, MOD_WSGI),
    (Signal::PIPE, Action::Ignore),
];

pub(super) fn inventory(
    process: ProcessKey,
    tenths: u64,
    usual: &[(Signal, Action)],
    but: &[(Signal, Action)],
) -> Event {
    let mut all = unknown_dispositions();
    for (signal, action) in usual.iter().chain(but) {
        all[signal.index()].action = *action;
    }
    at(tenths, event(process, What::Inventory(all)))
}

/// Two inventories, of which the second confirms the first.
pub(super) fn twice(
    process: ProcessKey,
    tenths: u64,
    usual: &[(Signal, Action)],
    but: &[(Signal, Action)],
) -> Vec<Event> {
    [tenths, tenths + 11]
        .map(|tenths| inventory(process, tenths, usual, but))
        .to_vec()
}

fn masks(process: ProcessKey, tenths: u64, ignored: &[Signal], caught: &[Signal]) -> Event {
    let mask = |signals: &[Signal]| signals.iter().fold(0, |all, s| all | 1 << s.index());
    let (ignored, caught) = (mask(ignored), mask(caught));
    at(tenths, event(process, What::Masks { ignored, caught }))
}

/// The worker with three siblings, all looked at and judged.
pub(super) fn siblings(usual: &[(Signal, Action)], but: &[(Signal, Action)]) -> Vec<Event> {
    let mut events: Vec<Event> = OTHERS.map(|other| fork(MASTER, other, false)).to_vec();
    for tenths in [0, 11] {
        events.push(inventory(WORKER, tenths, usual, but));
        events.extend(OTHERS.map(|other| inventory(other, tenths, usual, &[])));
    }
    events
}

fn at_fork(tenths: i64, child: ProcessKey) -> Event {
    let mut event = fork(MASTER, child, false);
    event.when = Instant(event.when.0.saturating_add_signed(tenths * 100_000_000));
    event
}

fn joined(parts: Vec<Vec<Event>>) -> Vec<Event> {
    parts.into_iter().flatten().collect()
}

/// What stands there when the agent comes.
fn at_start() -> Vec<Case> {
    use Action::{Default, Ignore};
    let w = WORKER;
    vec![
        (
            "a clean embedded worker, looked at twice",
            On,
            twice(w, 0, EMBEDDED, &[]),
            &[],
        ),
        (
            "a clean daemon, looked at twice",
            On,
            twice(w, 0, DAEMON, &[]),
            &[],
        ),
        (
            "a library's handler from before the agent",
            On,
            twice(w, 0, EMBEDDED, &[(Signal::USR2, LIBRARY)]),
            &["disposition-drift+restricted-registration@SIGUSR2"],
        ),
        (
            "the same where it was allowed",
            Off,
            twice(w, 0, EMBEDDED, &[(Signal::USR2, LIBRARY)]),
            &[],
        ),
        (
            "a reserved signal, which it never is",
            Off,
            twice(w, 0, EMBEDDED, &[(Signal::TERM, LIBRARY)]),
            &["disposition-drift+reserved-signal@SIGTERM"],
        ),
        (
            "SIGPIPE no longer ignored",
            On,
            twice(w, 0, EMBEDDED, &[(Signal::PIPE, Default)]),
            &["disposition-drift+sigpipe-not-ignored+restricted-registration@SIGPIPE"],
        ),
        (
            "the interpreter's handler where it has none by itself: faulthandler",
            On,
            twice(w, 0, EMBEDDED, &[(Signal::new(11).unwrap(), PYTHON)]),
            &["disposition-drift+restricted-registration@SIGSEGV"],
        ),
        (
            "a daemon that no longer recycles",
            On,
            twice(w, 0, DAEMON, &[(Signal::INT, Ignore)]),
            &["disposition-drift+reserved-signal+restricted-registration@SIGINT"],
        ),
        (
            "one look is no look: it may be in the middle of a call",
            On,
            vec![inventory(w, 0, EMBEDDED, &[(Signal::PIPE, Default)])],
            &[],
        ),
        (
            "it was in the middle of a call",
            On,
            vec![
                inventory(w, 0, EMBEDDED, &[(Signal::PIPE, Default)]),
                inventory(w, 11, EMBEDDED, &[]),
                inventory(w, 22, EMBEDDED, &[]),
            ],
            &[],
        ),
        (
            "masters and exempt children are nobody's prey",
            On,
            joined(vec![
                vec![fork(w, CHILD, false)],
                twice(CHILD, 0, EMBEDDED, &[(Signal::TERM, LIBRARY)]),
                twice(MASTER, 0, EMBEDDED, &[(Signal::USR2, LIBRARY)]),
            ]),
            &[],
        ),
        (
            "other than its siblings",
            On,
            siblings(EMBEDDED, &[(Signal::HUP, Ignore)]),
            &["disposition-drift+reserved-signal+restricted-registration@SIGHUP"],
        ),
        (
            "made before its master took a signal, and heard of after the kernel was asked of both",
            On,
            joined(vec![
                vec![
                    inventory(MASTER, 0, EMBEDDED, &[(Signal::HUP, HTTPD)]),
                    at_fork(-1, OTHERS[0]),
                ],
                twice(OTHERS[0], 1, EMBEDDED, &[(Signal::HUP, Default)]),
                twice(OTHERS[0], 30, EMBEDDED, &[(Signal::HUP, Default)]),
            ]),
            &[],
        ),
        (
            "siblings that have imported signal, and one that has not yet",
            On,
            siblings(EMBEDDED, &[(Signal::INT, Default)]),
            &[],
        ),
        (
            "a daemon of the first start, beside later ones",
            On,
            siblings(
                &[DAEMON, &[(Signal::HUP, HTTPD)]].concat(),
                &[(Signal::HUP, Default)],
            ),
            &[],
        ),
    ]
}

/// What changes while the agent is there.
fn later() -> Vec<Case> {
    use Action::{Default, Ignore};
    let (w, clean) = (WORKER, || twice(WORKER, 0, EMBEDDED, &[]));
    vec![
        (
            "a change that nobody saw",
            On,
            joined(vec![
                clean(),
                twice(w, 30, EMBEDDED, &[(Signal::HUP, Ignore)]),
            ]),
            &["disposition-drift+reserved-signal+restricted-registration@SIGHUP"],
        ),
        (
            "of a signal that anybody may have",
            Off,
            joined(vec![
                clean(),
                twice(w, 30, EMBEDDED, &[(Signal::USR2, Ignore)]),
            ]),
            &["disposition-drift@SIGUSR2"],
        ),
        (
            "a change whose record was read after the look",
            On,
            joined(vec![
                clean(),
                vec![
                    inventory(w, 30, EMBEDDED, &[(Signal::HUP, LIBRARY)]),
                    at(29, set(w, Signal::HUP, MPM, LIBRARY, APP)),
                ],
                twice(w, 41, EMBEDDED, &[(Signal::HUP, LIBRARY)]),
            ]),
            &["reserved-signal+restricted-registration@SIGHUP"],
        ),
        (
            "two looks that differ confirm nothing",
            On,
            joined(vec![
                clean(),
                vec![
                    inventory(w, 30, EMBEDDED, &[(Signal::HUP, Ignore)]),
                    inventory(w, 41, EMBEDDED, &[(Signal::HUP, Default)]),
                    inventory(w, 52, EMBEDDED, &[]),
                ],
            ]),
            &[],
        ),
        (
            "the server's own call was lost",
            On,
            joined(vec![
                clean(),
                twice(w, 30, EMBEDDED, &[(Signal::TERM, HTTPD)]),
            ]),
            &[],
        ),
        (
            "what was taken has been given back, and nobody saw it",
            On,
            joined(vec![
                clean(),
                vec![at(20, set(w, Signal::TERM, MPM, LIBRARY, APP))],
                twice(w, 30, EMBEDDED, &[]),
            ]),
            &[
                "reserved-signal+restricted-registration@SIGTERM",
                "-reserved-signal@SIGTERM",
            ],
        ),
        (
            "an end by the signal itself, which its handler outlives once",
            Off,
            joined(vec![
                clean(),
                vec![at(20, once(set(w, Signal::ALRM, Default, LIBRARY, APP)))],
                twice(w, 30, EMBEDDED, &[]),
            ]),
            &["sigalrm@SIGALRM", "-sigalrm@SIGALRM"],
        ),
        (
            "the same cause in another worker is one finding, and ends with the last of them",
            On,
            joined(vec![
                siblings(EMBEDDED, &[]),
                twice(w, 30, EMBEDDED, &[(Signal::USR2, LIBRARY)]),
                twice(OTHERS[0], 30, EMBEDDED, &[(Signal::USR2, LIBRARY)]),
                vec![
                    at(50, event(w, What::Exited { code: 0 })),
                    at(51, event(OTHERS[0], What::Exited { code: 0 })),
                ],
            ]),
            &[
                "disposition-drift+restricted-registration@SIGUSR2",
                "-disposition-drift@SIGUSR2",
            ],
        ),
    ]
}

/// What the masks of `/proc/PID/status` tell.
fn by_masks() -> Vec<Case> {
    let (w, usual) = (WORKER, &[Signal::PIPE, Signal::XFSZ][..]);
    let handled = &[Signal::TERM, Signal::HUP, Signal::INT][..];
    let more = &[Signal::TERM, Signal::HUP, Signal::INT, Signal::USR2][..];
    vec![
        (
            "masks of a clean worker",
            On,
            vec![masks(w, 0, usual, handled), masks(w, 11, usual, handled)],
            &[],
        ),
        (
            "a handler of somebody's",
            On,
            vec![masks(w, 0, usual, more), masks(w, 11, usual, more)],
            &["disposition-drift+restricted-registration@SIGUSR2"],
        ),
        (
            "a handler that was not there",
            On,
            vec![
                masks(w, 0, usual, handled),
                masks(w, 11, usual, handled),
                masks(w, 30, usual, more),
                masks(w, 41, usual, more),
            ],
            &["disposition-drift+restricted-registration@SIGUSR2"],
        ),
        (
            "a handler whose call was heard",
            Off,
            vec![
                masks(w, 0, usual, handled),
                masks(w, 11, usual, handled),
                at(20, set(w, Signal::USR2, Action::Default, LIBRARY, APP)),
                masks(w, 30, usual, more),
                masks(w, 41, usual, more),
            ],
            &[],
        ),
    ]
}

/// A handler that the kernel takes away when it delivers the signal.
fn once(mut event: Event) -> Event {
    if let What::Registration(registration) = &mut event.what {
        registration.new.flags = 0x8000_0000;
    }
    event
}

pub(super) fn cases() -> Vec<Case> {
    joined_cases([at_start(), later(), by_masks()])
}

fn joined_cases(parts: [Vec<Case>; 3]) -> Vec<Case> {
    parts.into_iter().flatten().collect()
}
