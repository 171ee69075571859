//! A server with three workers for tests, of which one has lost SIGTERM.

use jiff::civil::{Date, date};

use super::{
    Agent, Counts, ExceptionStatus, Hook, Report, SCHEMA, Server, SignalStatus, Snapshot, Status,
    TakenBy, Worker,
};
use crate::{
    config::{Exception, Pattern},
    event::Signal,
    policy::{finding::ApplicationRef, sample},
};

/// The time of a report, and some before.
const NOW: &str = "2026-01-31T12:03:00.000000Z";
const MINUTES_AGO: &str = "2026-01-31T11:58:00.000000Z";
const HOURS_AGO: &str = "2026-01-31T09:03:00.000000Z";

/// A signal on which a handler of this owner stands.
pub(crate) fn handler(signal: Signal, owner: &str, code: &str) -> SignalStatus {
    SignalStatus {
        kind: "handler".to_owned(),
        owner: Some(owner.to_owned()),
        code: Some(code.to_owned()),
        ..plain(signal, "default")
    }
}

/// A signal without a handler.
pub(crate) fn plain(signal: Signal, kind: &str) -> SignalStatus {
    SignalStatus {
        number: signal.number(),
        name: signal.to_string(),
        kind: kind.to_owned(),
        owner: None,
        code: None,
        symbol: None,
        flags: Vec::new(),
        taken_by: None,
    }
}

/// SIGTERM in an extension, as a finding has it.
pub(crate) fn taken() -> SignalStatus {
    SignalStatus {
        symbol: Some("on_term".to_owned()),
        flags: vec!["SA_RESTART".to_owned()],
        taken_by: Some(TakenBy::from(&sample::finding())),
        ..handler(Signal::TERM, "takeover.so", "application")
    }
}

fn signals(term: SignalStatus) -> Vec<SignalStatus> {
    Signal::all()
        .map(|signal| match signal {
            Signal::TERM => term.clone(),
            Signal::HUP => handler(signal, "mod_mpm_event.so", "server"),
            Signal::PIPE | Signal::XFSZ => plain(signal, "ignore"),
            _ => plain(signal, "default"),
        })
        .collect()
}

fn worker(pid: u32, role: &str, term: SignalStatus) -> Worker {
    Worker {
        pid,
        ns_pid: Some(pid),
        started: MINUTES_AGO.to_owned(),
        role: role.to_owned(),
        server: "apache2".to_owned(),
        restrict_signal: "on".to_owned(),
        restrict_signal_from: "default".to_owned(),
        process_group: (role == "daemon").then(|| "demo".to_owned()),
        applications: vec![ApplicationRef {
            group: Some("site".to_owned()),
            interpreter: None,
            script: Some("/srv/app.wsgi".to_owned()),
        }],
        container: None,
        blocked_attempts: Vec::new(),
        signals: signals(term),
    }
}

/// What the loop answers.
pub(crate) fn snapshot() -> Snapshot {
    let mpm = || handler(Signal::TERM, "mod_mpm_event.so", "server");
    let mod_wsgi = handler(Signal::TERM, "mod_wsgi.so", "server");
    Snapshot {
        exceptions: vec![exception(date(2026, 1, 1), "expired", 3)],
        time: NOW.to_owned(),
        servers: vec![Server {
            name: "apache2".to_owned(),
            pid: 10,
            started: HOURS_AGO.to_owned(),
            program: "apache2".to_owned(),
            mpm: Some("event".to_owned()),
            mod_wsgi: Some("4.9.4".to_owned()),
            config: Some("/etc/apache2/apache2.conf".to_owned()),
            restrict_signal: "on".to_owned(),
            restrict_signal_from: "default".to_owned(),
            problems: Vec::new(),
            workers: Counts {
                embedded: 2,
                daemon: 1,
                service_script: 0,
            },
            container: None,
            signals: signals(mpm()),
        }],
        workers: vec![
            worker(43, "daemon", mod_wsgi),
            worker(42, "embedded", taken()),
            worker(41, "embedded", mpm()),
        ],
    }
}

/// An exception, of a state at some moment.
pub(crate) fn exception(until: Date, state: &str, matched: u64) -> ExceptionStatus {
    let module = Pattern::new("takeover*.so");
    let exception = Exception {
        rule: Some("reserved-signal".to_owned()),
        signal: Some(Signal::TERM),
        application: None,
        module: Some(module),
        server: None,
        process_group: None,
        reason: "until the next release".to_owned(),
        until: Some(until),
    };
    ExceptionStatus {
        exception,
        state: state.to_owned(),
        matched,
    }
}

/// The same as `sigblame status` puts it together.
pub(crate) fn report() -> Report {
    let Snapshot {
        time,
        exceptions,
        servers,
        workers,
    } = snapshot();
    let status = Status {
        schema: SCHEMA,
        time,
        agent: Agent {
            version: "0.1.0".to_owned(),
            pid: 7,
            started: MINUTES_AGO.to_owned(),
        },
        hooks: vec![
            hook("registration", "fexit", Some("not permitted")),
            hook("registration", "tracepoint", None),
        ],
        exceptions,
        servers,
    };
    Report { status, workers }
}

/// A hook that is attached where nothing speaks against it.
pub(crate) fn hook(hook: &str, mechanism: &str, reason: Option<&str>) -> Hook {
    Hook {
        hook: hook.to_owned(),
        mechanism: mechanism.to_owned(),
        required: true,
        attached: reason.is_none(),
        reason: reason.map(str::to_owned),
    }
}
