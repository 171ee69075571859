//! Cases of the policy about workers that are asked to go. The moments are those of real servers
//! (httpd 2.4.71, mod_wsgi 4.9.4), in milliseconds after the takeover.

use super::{
    cases::Case,
    events::{
        CHILD, HTTPD, LIBRARY, MASTER, MOD_WSGI, MPM, WORKER, event, fork, found, modules, set,
    },
};
use crate::{
    event::{Action, Delivered, Event, Fate, Instant, Sent, Signal, What},
    process::{Found, ProcessKey, ServerFacts},
};

const APP: &[&str] = &["/srv/app.py:reload"];
const OPERATOR: ProcessKey = ProcessKey { pid: 9, start: 1 };
const TAKEN: &str = "reserved-signal+restricted-registration@SIGTERM";
const GIVEN_BACK: &str = "-reserved-signal@SIGTERM";
const HANGS: &str = "shutdown-blocked@SIGTERM";
const GONE: &str = "-shutdown-blocked@SIGTERM";

fn at(milliseconds: u64, process: ProcessKey, what: What) -> Event {
    let mut event = event(process, what);
    event.when = Instant(event.when.0 + milliseconds * 1_000_000);
    event
}

fn sent(milliseconds: u64, to: ProcessKey, by: ProcessKey, signal: Signal, fate: Fate) -> Event {
    let sent = Sent {
        signal,
        by,
        by_tid: by.pid,
        code: 0,
        to_process: true,
        fate,
        folded: 0,
    };
    at(milliseconds, to, What::Sent(sent))
}

fn delivered(milliseconds: u64, to: ProcessKey, signal: Signal, action: Action) -> Event {
    let delivered = Delivered {
        signal,
        action,
        flags: 0,
        code: 0,
        folded: 0,
    };
    at(milliseconds, to, What::Delivered(delivered))
}

/// What an operator, or `httpd -k`, asks of the server.
fn asked(signal: Signal) -> Event {
    sent(1, MASTER, OPERATOR, signal, Fate::Queued)
}

fn overdue(milliseconds: u64) -> Event {
    at(milliseconds, ProcessKey::NONE, What::Overdue)
}

fn exited(milliseconds: u64, code: u32) -> Event {
    at(milliseconds, WORKER, What::Exited { code })
}

/// The worker is a daemon.
fn daemon() -> Event {
    set(WORKER, Signal::TERM, MPM, MOD_WSGI, &[])
}

/// The application of a worker ignores a signal.
fn ignores(worker: ProcessKey, signal: Signal) -> Event {
    set(worker, signal, MOD_WSGI, Action::Ignore, APP)
}

/// A look tells another MPM.
fn mpm(name: &str) -> Event {
    let found = Found {
        parent: None,
        ns_pid: MASTER.pid,
        modules: modules(),
        server: ServerFacts {
            mpm: Some(name.to_owned()),
            ..ServerFacts::default()
        },
        container: None,
        command: String::new(),
        daemon: None,
    };
    event(MASTER, What::Found(Box::new(found)))
}

pub(super) fn cases() -> Vec<Case> {
    let term = Signal::TERM;
    let by_master = |ms, fate| sent(ms, WORKER, MASTER, term, fate);
    let ignored = |ms| by_master(ms, Fate::Ignored);
    let itself = |ms, signal, fate| sent(ms, WORKER, WORKER, signal, fate);
    vec![
        (
            "a daemon that ignores SIGTERM hangs until it is killed",
            None,
            vec![
                daemon(),
                ignores(WORKER, term),
                asked(Signal::HUP),
                ignored(5),
                overdue(2_005),
                exited(3_010, 9),
            ],
            &[TAKEN, HANGS, GONE, GIVEN_BACK],
        ),
        (
            "it is killed before its time is over",
            None,
            vec![daemon(), ignores(WORKER, term), ignored(5), exited(900, 9)],
            &[TAKEN, HANGS, GONE, GIVEN_BACK],
        ),
        (
            "it goes in time, or the moment has not come",
            None,
            vec![
                daemon(),
                ignores(WORKER, term),
                ignored(5),
                overdue(1_900),
                exited(1_950, 0),
                overdue(2_100),
            ],
            &[TAKEN, GIVEN_BACK],
        ),
        (
            "a slow daemon of which nothing is taken",
            None,
            vec![
                daemon(),
                asked(term),
                by_master(5, Fate::Queued),
                delivered(5, WORKER, term, MOD_WSGI),
                overdue(2_005),
                exited(3_010, 9),
            ],
            &[],
        ),
        (
            "a slow daemon of which another signal is taken",
            None,
            vec![
                daemon(),
                ignores(WORKER, Signal::USR2),
                by_master(5, Fate::Queued),
                overdue(2_005),
                exited(3_010, 9),
            ],
            &[
                "restricted-registration@SIGUSR2",
                "-restricted-registration@SIGUSR2",
            ],
        ),
        (
            "a signal that was given back, or that its own handler took",
            None,
            vec![
                daemon(),
                ignores(WORKER, term),
                set(WORKER, term, Action::Ignore, MOD_WSGI, APP),
                by_master(5, Fate::Queued),
                overdue(2_005),
                ignores(WORKER, Signal::INT),
                itself(2_500, Signal::INT, Fate::Queued),
                delivered(2_500, WORKER, Signal::INT, MOD_WSGI),
                overdue(4_600),
            ],
            &[
                TAKEN,
                GIVEN_BACK,
                "reserved-signal+restricted-registration@SIGINT",
            ],
        ),
        (
            "a library's handler ran, and the worker stays",
            None,
            vec![
                daemon(),
                set(WORKER, term, MOD_WSGI, LIBRARY, APP),
                by_master(5, Fate::Queued),
                delivered(5, WORKER, term, LIBRARY),
                overdue(2_005),
            ],
            &[TAKEN, HANGS],
        ),
        (
            "an operator's signal to a worker is not the server's",
            None,
            vec![
                daemon(),
                ignores(WORKER, term),
                sent(5, WORKER, OPERATOR, term, Fate::Ignored),
                overdue(2_005),
            ],
            &[TAKEN],
        ),
        (
            "a daemon cannot recycle itself",
            None,
            vec![
                daemon(),
                ignores(WORKER, Signal::INT),
                itself(5, Signal::INT, Fate::Ignored),
                overdue(2_005),
            ],
            &[
                "reserved-signal+restricted-registration@SIGINT",
                "shutdown-blocked@SIGINT",
            ],
        ),
        (
            "what an application sends itself is its own matter",
            None,
            vec![
                daemon(),
                ignores(WORKER, Signal::USR1),
                itself(5, Signal::USR1, Fate::Ignored),
                overdue(2_005),
            ],
            &["reserved-signal+restricted-registration@SIGUSR1"],
        ),
        (
            "a child of event is told by a pipe: SIGTERM is not needed on a stop",
            None,
            vec![
                ignores(WORKER, term),
                asked(term),
                ignored(5),
                itself(5, term, Fate::Ignored),
                overdue(2_005),
                exited(9_400, 9),
            ],
            &[TAKEN, GIVEN_BACK],
        ),
        (
            "it is when the child has had its connections",
            None,
            vec![
                ignores(WORKER, term),
                itself(5, term, Fate::Ignored),
                overdue(2_005),
                exited(4_000, 0),
            ],
            &[TAKEN, HANGS, GONE, GIVEN_BACK],
        ),
        (
            "SIGHUP wakes the listener of a child of worker, and of nobody else",
            None,
            vec![
                ignores(WORKER, Signal::HUP),
                by_master(5, Fate::Queued),
                itself(5, Signal::HUP, Fate::Ignored),
                overdue(2_005),
                overdue(2_006),
                mpm("worker"),
                fork(MASTER, CHILD, false),
                ignores(CHILD, Signal::HUP),
                sent(3_000, CHILD, CHILD, Signal::HUP, Fate::Ignored),
                overdue(5_000),
            ],
            &[
                "reserved-signal+restricted-registration@SIGHUP",
                "shutdown-blocked@SIGHUP",
            ],
        ),
        (
            "a child of prefork has signals only",
            None,
            vec![
                mpm("prefork"),
                set(WORKER, term, HTTPD, Action::Ignore, APP),
                // It sends them to its whole group.
                sent(4, MASTER, MASTER, term, Fate::Queued),
                ignored(5),
                overdue(2_005),
            ],
            &[TAKEN, HANGS],
        ),
        (
            "taken after it was asked to go",
            None,
            vec![
                daemon(),
                by_master(0, Fate::Queued),
                {
                    let mut late = ignores(WORKER, term);
                    late.when.0 += 1_000_000_000;
                    late
                },
                overdue(2_005),
            ],
            &[TAKEN],
        ),
    ]
}

#[cfg(test)]
mod tests;
