//! Cases of the policy in which the server's own configuration counts.

use super::{
    Engine,
    cases::{Case, case},
    events::{
        CHILD, LIBRARY, MASTER, MOD_WSGI, MPM, PYTHON, WORKER, attempt, configured, event, fork,
        found, on_thread, set,
    },
};
use crate::{
    event::{Action, Event, Signal, What},
    httpd::{Configuration, DaemonGroup, ImportScript, Place, Script, Switch},
    policy::{Finding, Settings, finding::WallClock},
    process::{Found, ServerFacts},
};

/// `signal.signal`, called at the module level of a script.
const IMPORT: &[&str] = &[
    "/usr/lib/python3.11/signal.py:signal",
    "/srv/warm.py:<module>",
];
/// The same in a request.
const REQUEST: &[&str] = &["/usr/lib/python3.11/signal.py:signal", "/srv/app.py:view"];
const APP: &[&str] = &["/srv/app.py:view"];

fn place(line: u32) -> Place {
    Place {
        file: "/etc/httpd.conf".into(),
        line,
    }
}

/// One daemon group `demo`, an import script for it and for embedded mode, and a switch.
fn configuration(on: bool, threads: u32) -> Configuration {
    let import = |group: &str| ImportScript {
        file: "/srv/warm.py".to_owned(),
        process_group: group.to_owned(),
        application_group: String::new(),
        place: place(3),
    };
    Configuration {
        main_file: "/etc/httpd.conf".to_owned(),
        restrict_signal: Some(Switch {
            on,
            place: place(1),
        }),
        daemons: vec![DaemonGroup {
            name: "demo".to_owned(),
            threads,
            processes: 1,
            display_name: None,
            place: place(2),
        }],
        import_scripts: vec![import("demo"), import("")],
        scripts: vec![Script {
            file: "/srv/app.wsgi".to_owned(),
            process_group: Some("demo".to_owned()),
            application_group: Some(String::new()),
            place: place(4),
        }],
        ..Configuration::default()
    }
}

/// The worker becomes a daemon.
fn daemon() -> Event {
    set(WORKER, Signal::TERM, MPM, MOD_WSGI, &[])
}

/// What a look at the master tells of its server.
fn facts(mpm: &str, mod_wsgi: &str) -> Event {
    let Event { what, .. } = found(MASTER, None);
    let What::Found(found) = what else {
        unreachable!("it is one");
    };
    let server = ServerFacts {
        mpm: Some(mpm.to_owned()),
        mod_wsgi: Some(mod_wsgi.to_owned()),
        ..found.server.clone()
    };
    event(MASTER, What::Found(Box::new(Found { server, ..*found })))
}

pub(super) fn cases() -> Vec<Case> {
    use Action::{Default, Ignore};
    let w = WORKER;
    let on = || configured(0, configuration(true, 15));
    let off = || configured(0, configuration(false, 15));
    let service = || configured(0, configuration(true, 0));
    let none = Configuration::default;
    vec![
        case(
            "a blocked attempt is told, and is over with its worker",
            None,
            vec![
                on(),
                attempt(w, Signal::TERM, APP),
                attempt(w, Signal::TERM, APP),
                event(w, What::Exited { code: 0 }),
            ],
            &["blocked-attempt@SIGTERM", "-blocked-attempt@SIGTERM"],
        ),
        case(
            "one cause in two workers is one finding, over with the last",
            None,
            vec![
                on(),
                fork(MASTER, CHILD, false),
                attempt(w, Signal::TERM, APP),
                attempt(CHILD, Signal::TERM, APP),
                event(w, What::Exited { code: 0 }),
                attempt(CHILD, Signal::HUP, APP),
            ],
            &["blocked-attempt@SIGTERM", "blocked-attempt@SIGHUP"],
        ),
        case(
            "in a worker's forked child, the real function runs",
            None,
            vec![
                on(),
                fork(w, CHILD, false),
                attempt(CHILD, Signal::TERM, APP),
            ],
            &[],
        ),
        case(
            "what slips past, as the server says",
            None,
            vec![
                on(),
                set(w, Signal::USR2, Default, LIBRARY, APP),
                set(w, Signal::TERM, MPM, LIBRARY, APP),
            ],
            &[
                "restricted-registration@SIGUSR2",
                "reserved-signal+restricted-registration@SIGTERM",
            ],
        ),
        case(
            "the restriction is off",
            None,
            vec![
                off(),
                set(w, Signal::USR2, Default, LIBRARY, APP),
                set(w, Signal::TERM, MPM, LIBRARY, APP),
            ],
            &["reserved-signal@SIGTERM"],
        ),
        case(
            "while nothing is known of the configuration, mod_wsgi's default is assumed",
            None,
            vec![set(w, Signal::USR2, Default, LIBRARY, APP)],
            &["restricted-registration@SIGUSR2"],
        ),
        case(
            "a reload counts for the workers that are made after it",
            None,
            vec![
                on(),
                event(MASTER, What::Reloads),
                fork(MASTER, CHILD, false),
                configured(1, configuration(false, 15)),
                set(w, Signal::USR2, Default, LIBRARY, APP),
                set(CHILD, Signal::USR2, Default, LIBRARY, &["/srv/b.py:b"]),
            ],
            &["restricted-registration@SIGUSR2"],
        ),
        case(
            "the same, where looks find the workers before their births are heard",
            None,
            vec![
                on(),
                found(CHILD, Some(MASTER)),
                event(MASTER, What::Reloads),
                configured(1, configuration(false, 15)),
                fork(MASTER, CHILD, false),
                set(CHILD, Signal::USR2, Default, LIBRARY, APP),
            ],
            &[],
        ),
        case(
            "a reload whose configuration could not be read: the last good answer",
            None,
            vec![
                off(),
                event(MASTER, What::Reloads),
                fork(MASTER, CHILD, false),
                set(CHILD, Signal::USR2, Default, LIBRARY, APP),
            ],
            &[],
        ),
        case(
            "a service script is never restricted, and Python handlers run there",
            None,
            vec![
                service(),
                daemon(),
                // mod_wsgi's own.
                set(
                    w,
                    Signal::TERM,
                    MOD_WSGI,
                    PYTHON,
                    &["/usr/lib/python3.11/signal.py:signal"],
                ),
                set(w, Signal::USR2, Default, PYTHON, REQUEST),
            ],
            &[],
        ),
        case(
            "a Python handler in a daemon, from an import script",
            None,
            vec![
                off(),
                daemon(),
                set(w, Signal::USR2, Default, PYTHON, IMPORT),
            ],
            &["never-dispatched@SIGUSR2"],
        ),
        case(
            "a Python handler in a daemon, from a request",
            None,
            vec![
                off(),
                daemon(),
                on_thread(set(w, Signal::USR2, Default, PYTHON, REQUEST), 201),
            ],
            &["secondary-thread+outside-import-script+never-dispatched@SIGUSR2"],
        ),
        case(
            "ignoring a signal runs no handler",
            None,
            vec![
                off(),
                daemon(),
                set(w, Signal::USR2, Default, Ignore, REQUEST),
            ],
            &["outside-import-script@SIGUSR2"],
        ),
        case(
            "under prefork, embedded, Python's handlers run",
            None,
            vec![
                facts("prefork", "4.9.4"),
                off(),
                set(w, Signal::USR2, Default, PYTHON, IMPORT),
            ],
            &[],
        ),
        case(
            "no configuration, no word about import scripts",
            None,
            vec![
                facts("prefork", "4.9.4"),
                set(w, Signal::USR2, Default, PYTHON, REQUEST),
            ],
            &["restricted-registration@SIGUSR2"],
        ),
        case(
            "SIGUSR2 in a daemon of mod_wsgi 6 is the server's",
            None,
            vec![
                facts("event", "6.1.1"),
                off(),
                daemon(),
                set(w, Signal::USR2, MOD_WSGI, LIBRARY, APP),
                set(w, Signal::XCPU, MOD_WSGI, LIBRARY, APP),
            ],
            &["reserved-signal@SIGUSR2", "reserved-signal@SIGXCPU"],
        ),
        case(
            "SIGUSR2 and SIGXCPU in an embedded worker are nobody's",
            None,
            vec![
                facts("event", "6.1.1"),
                configured(
                    0,
                    Configuration {
                        restrict_signal: Some(Switch {
                            on: false,
                            place: place(1),
                        }),
                        ..none()
                    },
                ),
                set(w, Signal::USR2, Default, LIBRARY, APP),
                set(w, Signal::XCPU, Default, LIBRARY, APP),
            ],
            &[],
        ),
    ]
}

fn finding(events: Vec<Event>) -> Finding {
    let mut engine = Engine::new(Settings {
        restriction: None,
        clock: WallClock { offset: 0 },
        ..Settings::default()
    });
    let start = [
        found(MASTER, None),
        set(MASTER, Signal::TERM, Action::Default, MPM, &[]),
        fork(MASTER, WORKER, false),
    ];
    let steps = start.into_iter().chain(events);
    let found = steps.filter_map(|event| engine.step(event).found().cloned());
    let mut found: Vec<Finding> = found.collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// A finding says where the restriction stands, and whose application it is.
#[test]
fn a_finding_says_under_which_rule_it_was_judged() {
    let set = || set(WORKER, Signal::USR2, Action::Default, LIBRARY, APP);
    let from = |events| {
        let server = finding(events).evidence.server;
        (server.restrict_signal, server.restrict_signal_from)
    };
    let told = |on: &str, from: &str| (on.to_owned(), from.to_owned());
    assert_eq!(from(vec![set()]), told("on", "assumed"));
    let default = configured(0, Configuration::default());
    assert_eq!(from(vec![default, set()]), told("on", "default"));
    let on = configured(0, configuration(true, 15));
    assert_eq!(from(vec![on, set()]), told("on", "/etc/httpd.conf:1"));
}

/// A blocked attempt says what was wanted, and what stands instead.
#[test]
fn an_attempt_says_what_was_wanted_and_what_stands() {
    let found = finding(vec![
        configured(0, configuration(true, 15)),
        daemon(),
        attempt(WORKER, Signal::TERM, APP),
    ]);
    let evidence = found.evidence;
    assert_eq!(evidence.change.old.owner.as_deref(), Some("mod_wsgi.so"));
    assert_eq!(evidence.change.new.kind, "ignore");
    assert_eq!(evidence.outcome.name(), "blocked");
    assert_eq!(evidence.blame.file.as_deref(), Some("/srv/app.py"));
    assert_eq!(evidence.worker.role, "daemon");
    assert_eq!(evidence.worker.process_group.as_deref(), Some("demo"));
    assert_eq!(evidence.application.group.as_deref(), Some("%{GLOBAL}"));
    assert_eq!(evidence.server.config.as_deref(), Some("/etc/httpd.conf"));
}

/// Of an application that makes up causes without end, a bounded number is told.
#[test]
fn causes_without_end_are_bounded() {
    let mut engine = Engine::new(Settings {
        restriction: None,
        clock: WallClock { offset: 0 },
        ..Settings::default()
    });
    for event in [found(MASTER, None), fork(MASTER, WORKER, false)] {
        engine.step(event);
    }
    let mut found = 0;
    for number in 0..1_000 {
        let frame = format!("/srv/{number}.py:f");
        let step = engine.step(attempt(WORKER, Signal::TERM, &[&frame]));
        assert!(step.blocked.is_some(), "it is counted");
        found += step.news.iter().filter(|news| news.is_new).count();
    }
    assert_eq!((engine.book.iter().count(), found), (64, 64));
    let step = engine.step(event(WORKER, What::Exited { code: 0 }));
    assert_eq!((engine.book.iter().count(), step.news.len()), (0, 64));
}
