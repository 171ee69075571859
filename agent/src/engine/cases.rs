//! Policy cases as one table: events in, findings out, through the real process table.

use super::{
    Engine, drift_cases,
    events::{
        CHILD, HTTPD, LIBRARY, MASTER, MOD_WSGI, MPM, PYTHON, WORKER, event, fork, found, modules,
        on_thread, set,
    },
    restriction_cases,
};
use crate::{
    event::{Action, Event, Signal, What},
    policy::{
        Settings,
        finding::WallClock,
        rules::{RULES, Restriction},
    },
};

const APP: &[&str] = &["/srv/app.py:reload"];

/// `rule+also@signal` of each new finding, and `-rule@signal` of each that ends.
pub(super) fn run(restriction: Option<Restriction>, events: Vec<Event>) -> Vec<String> {
    let settings = Settings {
        restriction,
        clock: WallClock { offset: 0 },
    };
    let mut engine = Engine::new(settings);
    let mut told = Vec::new();
    let start = [
        found(MASTER, None),
        set(MASTER, Signal::TERM, Action::Default, MPM, &[]),
    ];
    for event in start
        .into_iter()
        .chain([fork(MASTER, WORKER, false)])
        .chain(events)
    {
        let step = engine.step(event);
        for finding in &step.resolved {
            told.push(format!(
                "-{}@{}",
                finding.rule, finding.evidence.signal.name
            ));
        }
        let found = step.found.filter(|_| step.is_new);
        let drifted = step.drifted.into_iter().filter(|(_, is_new)| *is_new);
        for finding in found.into_iter().chain(drifted.map(|(finding, _)| finding)) {
            let rules: Vec<&str> = std::iter::once(finding.rule.as_str())
                .chain(finding.also.iter().map(String::as_str))
                .collect();
            told.push(format!(
                "{}@{}",
                rules.join("+"),
                finding.evidence.signal.name
            ));
        }
    }
    told
}

/// What happens, under which restriction (`None` is the server's own), and what is told of it.
pub(super) type Case = (
    &'static str,
    Option<Restriction>,
    Vec<Event>,
    &'static [&'static str],
);

fn cases() -> Vec<Case> {
    use Action::{Default, Ignore};
    #[expect(non_upper_case_globals, reason = "as the directive has it")]
    const On: Option<Restriction> = Some(Restriction::On);
    #[expect(non_upper_case_globals, reason = "as the directive has it")]
    const Off: Option<Restriction> = Some(Restriction::Off);
    let w = WORKER;
    vec![
        (
            "the server's own registrations, from worker start to stop",
            On,
            vec![
                set(w, Signal::TERM, MPM, HTTPD, &[]),
                set(w, Signal::HUP, HTTPD, MPM, &[]),
                set(w, Signal::PIPE, Default, Ignore, &[]),
                set(w, Signal::TERM, HTTPD, MOD_WSGI, &[]),
                set(w, Signal::TERM, MOD_WSGI, Default, &[]),
            ],
            &[],
        ),
        (
            "the interpreter's start, first import of signal, and shutdown",
            On,
            vec![
                set(w, Signal::XFSZ, Default, Ignore, &[]),
                set(
                    w,
                    Signal::INT,
                    Default,
                    PYTHON,
                    &["<frozen importlib._bootstrap>:_call"],
                ),
                set(w, Signal::INT, PYTHON, Default, &[]),
            ],
            &[],
        ),
        (
            "a reserved signal under On",
            On,
            vec![set(w, Signal::TERM, MPM, LIBRARY, APP)],
            &["reserved-signal+restricted-registration@SIGTERM"],
        ),
        (
            "a reserved signal under Off",
            Off,
            vec![set(w, Signal::HUP, MPM, PYTHON, APP)],
            &["reserved-signal@SIGHUP"],
        ),
        (
            "SIGXCPU is a daemon's, and nobody's else",
            Off,
            vec![
                set(w, Signal::XCPU, Default, LIBRARY, APP),
                set(w, Signal::XCPU, LIBRARY, Default, APP),
                set(w, Signal::TERM, MPM, MOD_WSGI, &[]),
                set(w, Signal::XCPU, MOD_WSGI, LIBRARY, APP),
            ],
            &["reserved-signal@SIGXCPU"],
        ),
        (
            "any other signal: restricted under On, free under Off",
            On,
            vec![set(w, Signal::USR2, Default, LIBRARY, APP)],
            &["restricted-registration@SIGUSR2"],
        ),
        (
            "any other signal under Off",
            Off,
            vec![set(w, Signal::USR2, Default, LIBRARY, APP)],
            &[],
        ),
        (
            "SIGPIPE to default, and back",
            On,
            vec![
                set(w, Signal::PIPE, Ignore, Default, APP),
                set(w, Signal::PIPE, Default, Ignore, APP),
            ],
            &[
                "sigpipe-not-ignored+restricted-registration@SIGPIPE",
                "-sigpipe-not-ignored@SIGPIPE",
            ],
        ),
        (
            "SIGPIPE to ignore where it is ignored, as MySQL's client does",
            On,
            vec![set(w, Signal::PIPE, Ignore, Ignore, APP)],
            &[],
        ),
        (
            "SIGALRM under Off",
            Off,
            vec![set(w, Signal::ALRM, Default, LIBRARY, APP)],
            &["sigalrm@SIGALRM"],
        ),
        (
            "SIGALRM under On",
            On,
            vec![set(w, Signal::ALRM, Default, LIBRARY, APP)],
            &["restricted-registration+sigalrm@SIGALRM"],
        ),
        (
            "a secondary thread under Off",
            Off,
            vec![on_thread(set(w, Signal::USR2, Default, LIBRARY, APP), 201)],
            &["secondary-thread@SIGUSR2"],
        ),
        (
            "a library's own thread, without Python",
            On,
            vec![on_thread(set(w, Signal::TERM, MPM, LIBRARY, &[]), 201)],
            &["reserved-signal+restricted-registration+secondary-thread@SIGTERM"],
        ),
        (
            "os.system: two signals ignored and put back",
            On,
            vec![
                set(w, Signal::INT, MPM, Ignore, APP),
                set(w, Signal::QUIT, Default, Ignore, APP),
                set(w, Signal::INT, Ignore, MPM, APP),
                set(w, Signal::QUIT, Ignore, Default, APP),
            ],
            &[
                "reserved-signal+restricted-registration@SIGINT",
                "restricted-registration@SIGQUIT",
                "-reserved-signal@SIGINT",
                "-restricted-registration@SIGQUIT",
            ],
        ),
        (
            "an application's forked child is exempt",
            On,
            vec![
                fork(w, CHILD, false),
                set(CHILD, Signal::TERM, MPM, LIBRARY, APP),
            ],
            &[],
        ),
        (
            "a child that shares its parent's handlers is not",
            On,
            vec![
                fork(w, CHILD, true),
                set(CHILD, Signal::TERM, MPM, LIBRARY, APP),
            ],
            &["reserved-signal+restricted-registration@SIGTERM"],
        ),
        (
            "the worker's exit ends what it had taken",
            On,
            vec![
                set(w, Signal::TERM, MPM, LIBRARY, APP),
                event(w, What::Exited { code: 9 }),
            ],
            &[
                "reserved-signal+restricted-registration@SIGTERM",
                "-reserved-signal@SIGTERM",
            ],
        ),
        (
            "the same cause twice is one finding",
            On,
            vec![
                set(w, Signal::TERM, MPM, LIBRARY, APP),
                fork(MASTER, CHILD, false),
                set(CHILD, Signal::TERM, MPM, LIBRARY, APP),
            ],
            &["reserved-signal+restricted-registration@SIGTERM"],
        ),
    ]
}

fn all() -> impl Iterator<Item = Case> {
    cases()
        .into_iter()
        .chain(restriction_cases::cases())
        .chain(drift_cases::cases())
}

/// Every case gives exactly its findings.
#[test]
fn every_case_gives_its_findings() {
    for (name, restriction, events, expected) in all() {
        assert_eq!(run(restriction, events), expected, "{name}");
    }
}

/// Every rule fires in some case and stays silent in another.
#[test]
fn every_rule_has_a_case_for_and_against() {
    for rule in RULES {
        let names = |told: &Vec<String>| {
            told.iter()
                .filter(|line| !line.starts_with('-'))
                .any(|line| {
                    line.split('@')
                        .next()
                        .unwrap_or("")
                        .split('+')
                        .any(|r| r == rule.id)
                })
        };
        let results: Vec<bool> = all()
            .map(|(_, r, events, _)| names(&run(r, events)))
            .collect();
        assert!(results.contains(&true), "no case fires {}", rule.id);
        assert!(
            results.contains(&false),
            "no case leaves {} silent",
            rule.id
        );
    }
}

/// An httpd that goes into the background: the first process forks the master and exits, and that may
/// be heard when the master has made workers already.
#[test]
fn a_background_start_makes_the_child_the_master() {
    let settings = Settings {
        restriction: Some(Restriction::On),
        clock: WallClock { offset: 0 },
    };
    let gone = || event(MASTER, What::Exited { code: 0 });
    let made = || fork(WORKER, CHILD, false);
    for [first, second] in [[gone(), made()], [made(), gone()]] {
        let mut engine = Engine::new(settings);
        for step in [
            found(MASTER, None),
            fork(MASTER, WORKER, false),
            first,
            second,
            set(WORKER, Signal::TERM, Action::Default, MPM, &[]),
        ] {
            assert_eq!(engine.step(step).server_gone, None);
        }
        let processes = engine.table.processes();
        let roles: Vec<_> = processes.map(|p| (p.key.pid, p.role.name())).collect();
        assert_eq!(roles, [(200, "master"), (300, "embedded")]);
        assert_eq!(
            engine.table.servers().map(|s| s.master).collect::<Vec<_>>(),
            [WORKER]
        );
    }
}

/// A message names the signal, the line to blame and the worker.
#[test]
fn the_message_names_who_did_it() {
    let settings = Settings {
        restriction: Some(Restriction::On),
        clock: WallClock { offset: 0 },
    };
    let mut engine = Engine::new(settings);
    engine.step(found(MASTER, None));
    engine.step(fork(MASTER, WORKER, false));
    let frames = [
        "/usr/lib/python3.11/signal.py:signal",
        "/srv/billing.py:Billing.start",
    ];
    let step = engine.step(set(WORKER, Signal::TERM, MPM, PYTHON, &frames));
    let finding = step.found.expect("a finding");
    assert!(
        finding.message.starts_with("SIGTERM was taken"),
        "{}",
        finding.message
    );
    assert!(
        finding.message.contains("/srv/billing.py:42"),
        "{}",
        finding.message
    );
    assert_eq!(
        finding.evidence.blame.function.as_deref(),
        Some("Billing.start")
    );
    assert_eq!(finding.evidence.route, crate::policy::Route::SignalSignal);
    assert_eq!(
        finding.evidence.change.new.owner.as_deref(),
        Some("libpython3.11.so.1.0")
    );
}

/// What a worker inherited may be as old as its master's last look at itself: it is not believed
/// before the worker's own maps were read, and a master's are not believed at all.
#[test]
fn only_a_workers_own_maps_are_believed() {
    let settings = Settings {
        restriction: Some(Restriction::On),
        clock: WallClock { offset: 0 },
    };
    let mut engine = Engine::new(settings);
    engine.step(found(MASTER, None));
    engine.step(fork(MASTER, WORKER, false));
    engine.step(fork(WORKER, CHILD, false));
    let take = |process| set(process, Signal::TERM, MPM, LIBRARY, &[]);
    let ignore = set(WORKER, Signal::PIPE, Action::Default, Action::Ignore, &[]);
    assert!(!engine.table.knows_handlers(&take(WORKER)));
    assert!(engine.table.knows_handlers(&ignore), "no handler, no owner");
    engine.step(event(WORKER, What::Mapped(modules())));
    assert!(engine.table.knows_handlers(&take(WORKER)));
    assert!(!engine.table.knows_handlers(&take(MASTER)));
    assert!(engine.table.knows_handlers(&take(CHILD)), "exempt");
}

/// A daemon's child that went into the background, or a daemon whose master was killed, has no
/// parent that tells; a handler of mod_wsgi's does, although the application took another.
#[test]
fn an_orphan_is_no_server() {
    let mut engine = Engine::new(Settings {
        restriction: Some(Restriction::On),
        clock: WallClock { offset: 0 },
    });
    engine.step(found(MASTER, None));
    engine.step(found(WORKER, None));
    let stand = |term, int| {
        let mut all = crate::process::unknown_dispositions();
        all[Signal::TERM.index()].action = term;
        all[Signal::INT.index()].action = int;
        What::Inventory(all)
    };
    engine.step(event(MASTER, stand(MPM, MPM)));
    engine.step(event(WORKER, stand(LIBRARY, MOD_WSGI)));
    let step = engine.step(set(WORKER, Signal::TERM, LIBRARY, PYTHON, APP));
    assert!(step.exempt && step.found.is_none());
    let servers = engine.table.servers().map(|server| server.master);
    assert_eq!(servers.collect::<Vec<_>>(), [MASTER]);
}
