//! A finding for tests, as the contract's example shows it.

use super::finding::{
    ApplicationRef, Blame, ChangeRef, DispositionRef, Evidence, Extent, Finding, NativeRef, Origin,
    Outcome, PythonRef, Route, ServerRef, Severity, SignalRef, State, ThreadRef, TraceLine,
    WorkerRef,
};
use crate::event::Frame;

fn frame(function: &str, file: &str, line: u32) -> Frame {
    Frame {
        file: file.to_owned(),
        line: Some(line),
        function: function.to_owned(),
    }
}

/// `signal.signal(SIGTERM, …)` in a daemon.
pub(crate) fn evidence() -> Evidence {
    let owner = |owner: &str| DispositionRef {
        kind: "handler".to_owned(),
        owner: Some(owner.to_owned()),
        symbol: None,
    };
    Evidence {
        signal: SignalRef {
            number: 15,
            name: "SIGTERM".to_owned(),
        },
        route: Route::SignalSignal,
        outcome: Outcome::Applied,
        source: "probe".to_owned(),
        server: ServerRef {
            name: "apache2".to_owned(),
            pid: Some(10),
            config: Some("/etc/apache2/apache2.conf".to_owned()),
            restrict_signal: "on".to_owned(),
            restrict_signal_from: "default".to_owned(),
            mod_wsgi: Some("4.9.4".to_owned()),
        },
        worker: WorkerRef {
            pid: 42,
            ns_pid: Some(42),
            role: "daemon".to_owned(),
            mpm: Some("event".to_owned()),
            process_group: Some("demo".to_owned()),
        },
        application: ApplicationRef {
            group: Some("demo|/billing".to_owned()),
            interpreter: Some(1),
            script: Some("/srv/app/billing.wsgi".to_owned()),
        },
        thread: Some(ThreadRef {
            tid: 43,
            main: false,
        }),
        change: ChangeRef {
            old: owner("/usr/lib/apache2/modules/mod_wsgi.so"),
            new: owner("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0"),
            flags: vec!["SA_ONSTACK".to_owned()],
            contested: false,
        },
        python: PythonRef {
            version: Some("3.11".to_owned()),
            result: "complete".to_owned(),
            frames: vec![
                frame("signal", "/usr/lib/python3.11/signal.py", 56),
                frame("Billing.reload_on_hangup", "/srv/app/billing.py", 42),
            ],
            left_out: 0,
        },
        native: NativeRef {
            result: "none".to_owned(),
            frames: Vec::new(),
        },
        blame: Blame {
            file: Some("/srv/app/billing.py".to_owned()),
            line: Some(42),
            function: Some("Billing.reload_on_hangup".to_owned()),
            module: None,
        },
        container: None,
    }
}

/// An open, critical finding.
pub(crate) fn finding() -> Finding {
    Finding {
        schema: 1,
        id: "0123456789abcdef".to_owned(),
        fingerprint: "fedcba9876543210".to_owned(),
        time: "2026-01-31T12:00:00.000000Z".to_owned(),
        rule: "reserved-signal".to_owned(),
        also: vec!["restricted-registration".to_owned()],
        severity: Severity::Critical,
        state: State::Open,
        resolved_at: None,
        exposure_seconds: None,
        count: 1,
        extent: Extent::default(),
        lasting: None,
        taken_from: None,
        cause: None,
        shutdown: None,
        drift: None,
        exception: None,
        evidence: evidence(),
        message: "SIGTERM, by which the server stops this worker, was taken.".to_owned(),
        remedy: "Use mod_wsgi.subscribe_shutdown instead.".to_owned(),
    }
}

/// The same as a line of `trace`.
pub(crate) fn trace_line() -> TraceLine {
    TraceLine {
        schema: 1,
        kind: "registration".to_owned(),
        time: "2026-01-31T12:00:00.000000Z".to_owned(),
        origin: Origin::Application,
        evidence: evidence(),
    }
}
