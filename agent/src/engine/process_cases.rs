//! Who is who, through the engine: masters, orphans, and whose maps are believed.

use super::{
    Engine,
    cases::APP,
    events::{
        CHILD, LIBRARY, MASTER, MOD_WSGI, MPM, PYTHON, WORKER, event, fork, found, modules, set,
    },
};
use crate::{
    event::{Action, Signal, What},
    policy::{Settings, finding::WallClock, rules::Restriction},
};

/// An httpd that goes into the background: the first process forks the master and exits, and that may
/// be heard when the master has made workers already.
#[test]
fn a_background_start_makes_the_child_the_master() {
    let settings = Settings {
        restriction: Some(Restriction::On),
        clock: WallClock { offset: 0 },
        ..Settings::default()
    };
    let gone = || event(MASTER, What::Exited { code: 0 });
    let made = || fork(WORKER, CHILD, false);
    for [first, second] in [[gone(), made()], [made(), gone()]] {
        let mut engine = Engine::new(settings.clone());
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
        ..Settings::default()
    };
    let mut engine = Engine::new(settings);
    engine.step(found(MASTER, None));
    engine.step(fork(MASTER, WORKER, false));
    let frames = [
        "/usr/lib/python3.11/signal.py:signal",
        "/srv/billing.py:Billing.start",
    ];
    let step = engine.step(set(WORKER, Signal::TERM, MPM, PYTHON, &frames));
    let finding = step.found().cloned().expect("a finding");
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
        ..Settings::default()
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
        ..Settings::default()
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
    assert!(step.exempt && step.found().is_none());
    let servers = engine.table.servers().map(|server| server.master);
    assert_eq!(servers.collect::<Vec<_>>(), [MASTER]);
}
