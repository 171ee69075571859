//! Snapshots of what the engine knows.

use super::{SignalStatus, Snapshot, Worker};
use crate::{
    engine::{
        Engine,
        events::{
            CHILD, HTTPD, LIBRARY, MASTER, MOD_WSGI, MPM, PYTHON, WORKER, configured, event, fork,
            found, set,
        },
    },
    event::{Action, Event, Instant, Signal, What},
    httpd::{Configuration, DaemonGroup, ImportScript, Place, Problem, Script, Switch},
    policy::{Settings, finding::WallClock, rules::Restriction},
    process::{ProcessKey, unknown_dispositions},
};

const APP: &[&str] = &["/srv/app.py:reload"];
const LATER: ProcessKey = ProcessKey { pid: 150, start: 9 };

fn snapshot(restriction: Option<Restriction>, events: Vec<Event>) -> Snapshot {
    let settings = Settings {
        restriction,
        clock: WallClock { offset: 0 },
        ..Settings::default()
    };
    let mut engine = Engine::new(settings);
    let start = [
        found(MASTER, None),
        set(MASTER, Signal::TERM, Action::Default, MPM, &[]),
        fork(MASTER, WORKER, false),
    ];
    for event in start.into_iter().chain(events) {
        engine.step(event);
    }
    engine.snapshot(Instant(60_000_000_000))
}

fn inventory(process: ProcessKey, set: &[(Signal, Action)]) -> Event {
    let mut all = unknown_dispositions();
    for (signal, action) in set {
        all[signal.index()].action = *action;
    }
    event(process, What::Inventory(all))
}

fn on(worker: &Worker, signal: Signal) -> &SignalStatus {
    assert_eq!(worker.signals.len(), 64, "every signal");
    &worker.signals[signal.index()]
}

fn the_worker(snapshot: &Snapshot) -> &Worker {
    assert_eq!(snapshot.workers.len(), 1, "{snapshot:#?}");
    &snapshot.workers[0]
}

/// An owner, whose code it is, and the finding's rule: what a takeover leaves behind.
#[test]
fn a_taken_signal_shows_its_owner_and_its_finding() {
    let taken = set(WORKER, Signal::TERM, MPM, LIBRARY, APP);
    let snapshot = snapshot(None, vec![taken]);
    let worker = the_worker(&snapshot);
    let term = on(worker, Signal::TERM);
    assert_eq!((term.number, term.name.as_str()), (15, "SIGTERM"));
    assert_eq!(term.kind, "handler");
    assert_eq!(term.owner.as_deref(), Some("takeover.so"));
    assert_eq!(term.code.as_deref(), Some("application"));
    let by = term.taken_by.as_ref().expect("the finding");
    assert_eq!(by.rule, "reserved-signal");
    assert_eq!(by.since, "1970-01-01T00:00:05.000000Z");
    assert_eq!(by.blame.file.as_deref(), Some("/srv/app.py"));

    let server = &snapshot.servers[0];
    let masters = &server.signals[Signal::TERM.index()];
    assert_eq!(masters.owner.as_deref(), Some("mod_mpm_event.so"));
    assert_eq!(masters.code.as_deref(), Some("server"));
    assert_eq!(masters.taken_by, None);
    assert_eq!(
        (worker.role.as_str(), &worker.server),
        ("embedded", &server.name)
    );
    assert_eq!(server.workers.embedded, 1);
    assert_eq!(worker.started, "1970-01-01T00:00:00.020000Z");
    assert_eq!(snapshot.time, "1970-01-01T00:01:00.000000Z");
}

/// What nobody has seen is not said to be the default.
#[test]
fn what_was_not_looked_at_is_unknown() {
    let before = snapshot(None, Vec::new());
    assert_eq!(on(the_worker(&before), Signal::USR2).kind, "unknown");
    assert_eq!(on(the_worker(&before), Signal::TERM).kind, "handler");
    let seen = [
        (Signal::TERM, MOD_WSGI),
        (Signal::INT, MOD_WSGI),
        (Signal::PIPE, Action::Ignore),
    ];
    let after = snapshot(None, vec![inventory(WORKER, &seen)]);
    let worker = the_worker(&after);
    assert_eq!(on(worker, Signal::USR2).kind, "default");
    assert_eq!(on(worker, Signal::PIPE).kind, "ignore");
    assert_eq!(worker.role, "daemon", "by the owner of its SIGTERM");
    assert_eq!(after.servers[0].workers.daemon, 1);
}

#[test]
fn of_several_takeovers_the_last_one_stands() {
    let other = &["/srv/other.py:take"][..];
    let first = set(WORKER, Signal::TERM, MPM, LIBRARY, APP);
    let second = set(WORKER, Signal::TERM, LIBRARY, PYTHON, other);
    let third = set(WORKER, Signal::TERM, PYTHON, LIBRARY, other);
    let both = snapshot(None, vec![first.clone(), second.clone()]);
    let by = on(the_worker(&both), Signal::TERM).taken_by.as_ref();
    let file = by.expect("a finding").blame.file.as_deref();
    assert_eq!(file, Some("/srv/other.py"));
    let back = snapshot(None, vec![first, second, third]);
    let by = on(the_worker(&back), Signal::TERM).taken_by.as_ref();
    assert_eq!(
        by.expect("a finding").blame.file.as_deref(),
        Some("/srv/app.py")
    );
}

#[test]
fn what_was_given_back_or_is_allowed_is_taken_by_nobody() {
    let given_back = vec![
        set(WORKER, Signal::TERM, MPM, LIBRARY, APP),
        set(WORKER, Signal::TERM, LIBRARY, MPM, APP),
    ];
    let allowed = vec![set(WORKER, Signal::USR2, Action::Default, LIBRARY, APP)];
    for (events, signal, owner) in [
        (given_back, Signal::TERM, "mod_mpm_event.so"),
        (allowed, Signal::USR2, "takeover.so"),
    ] {
        let snapshot = snapshot(Some(Restriction::Off), events);
        let status = on(the_worker(&snapshot), signal);
        assert_eq!(status.owner.as_deref(), Some(owner));
        assert_eq!(status.taken_by, None);
        let server = &snapshot.servers[0];
        assert_eq!(server.restrict_signal, "off");
        assert_eq!(server.restrict_signal_from, "configuration");
    }
}

/// The newest worker first; neither the master nor what a worker made is one.
#[test]
fn workers_are_those_that_run_python() {
    let events = vec![
        set(MASTER, Signal::INT, Action::Default, HTTPD, &[]),
        fork(WORKER, CHILD, false),
        fork(MASTER, LATER, false),
    ];
    let snapshot = snapshot(None, events);
    let pids: Vec<u32> = snapshot.workers.iter().map(|w| w.pid).collect();
    assert_eq!(pids, [LATER.pid, WORKER.pid]);
    assert_eq!(snapshot.servers.len(), 1);
    assert_eq!(snapshot.servers[0].pid, MASTER.pid);
    assert_eq!(snapshot.servers[0].restrict_signal_from, "assumed");
}

fn place(line: u32) -> Place {
    Place {
        file: "/etc/httpd.conf".into(),
        line,
    }
}

/// A worker runs the scripts of its process group, each once; a service script is never restricted.
#[test]
fn the_configuration_tells_scripts_and_restriction() {
    let script = |file: &str, process: Option<&str>, application: &str| Script {
        file: file.to_owned(),
        process_group: process.map(str::to_owned),
        application_group: Some(application.to_owned()),
        place: place(1),
    };
    let daemon = |name: &str, threads| DaemonGroup {
        name: name.to_owned(),
        threads,
        processes: 1,
        display_name: None,
        place: place(2),
    };
    let configuration = Configuration {
        main_file: "/etc/httpd.conf".to_owned(),
        restrict_signal: Some(Switch {
            on: true,
            place: place(3),
        }),
        daemons: vec![daemon("demo", 15), daemon("cron", 0)],
        scripts: vec![
            script("a.wsgi", Some(""), "site"),
            script("a.wsgi", Some(""), "site"),
            script("b.wsgi", Some("demo"), "site"),
            script("c.wsgi", None, "site"),
        ],
        import_scripts: vec![ImportScript {
            file: "d.wsgi".to_owned(),
            process_group: String::new(),
            application_group: String::new(),
            place: place(4),
        }],
        problems: vec![Problem {
            place: place(5),
            what: "an include of nothing".to_owned(),
        }],
        ..Configuration::default()
    };
    let told = |worker: &Worker| {
        let words = worker.applications.iter().map(|application| {
            let group = application.group.as_deref().unwrap_or_default();
            let script = application.script.as_deref().unwrap_or_default();
            format!("{group} {script}")
        });
        words.collect::<Vec<_>>()
    };
    let worker = |number: Option<u32>| {
        let mut event = found(WORKER, Some(MASTER));
        if let What::Found(found) = &mut event.what {
            found.daemon = number;
        }
        let events = vec![configured(0, configuration.clone()), event];
        let mut snapshot = snapshot(None, events);
        (snapshot.servers.remove(0), snapshot.workers.remove(0))
    };
    let (server, embedded) = worker(None);
    assert_eq!(
        told(&embedded),
        ["site a.wsgi", "site c.wsgi", "%{GLOBAL} d.wsgi"]
    );
    assert_eq!(server.config.as_deref(), Some("/etc/httpd.conf"));
    assert_eq!(server.restrict_signal_from, "/etc/httpd.conf:3");
    assert_eq!(
        server.problems,
        ["/etc/httpd.conf:5: an include of nothing"]
    );
    let (_, demo) = worker(Some(1));
    assert_eq!(told(&demo), ["site b.wsgi", "site c.wsgi"]);
    assert_eq!(demo.process_group.as_deref(), Some("demo"));
    assert_eq!(demo.restrict_signal, "on");
    let (server, cron) = worker(Some(2));
    assert_eq!(cron.role, "service-script");
    assert_eq!(
        (cron.restrict_signal.as_str(), &*cron.restrict_signal_from),
        ("off", "/etc/httpd.conf:2")
    );
    assert_eq!(server.workers.service_script, 1);
}
