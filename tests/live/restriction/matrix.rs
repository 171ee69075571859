//! Each mod_wsgi, under each MPM, with each word for the restriction.

use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Httpd, Installation, Mpm},
    wait_for,
};

use super::{
    ALONE, CLEAN, DAEMON, EMBEDDED, Edit,
    compare::{Mount, Restriction, Visit, compare, compare_findings},
    site,
};
use crate::support::{PATIENCE, ask};

mod_wsgis! { walk }

/// Ways that every worker goes, in this order. The last one ends what the one before began.
const WAYS: &[&str] = &[
    "imported",
    "nothing",
    "from_request",
    "from_thread",
    "from_child",
    "slip",
    "give_back",
];

/// On and Off, one of them by default; `cargo xtask matrix` leaves nothing out.
fn walk(installation: &Installation, edit: Edit) {
    let everything = std::env::var_os("SIGBLAME_MATRIX").is_some();
    let agent = Agent::start().unwrap();
    let mut trace = Trace::start(&[]).unwrap();
    for mpm in Mpm::ALL {
        for restriction in Restriction::ALL {
            let is_short = matches!(
                (mpm, restriction),
                (Mpm::Event, Restriction::Default | Restriction::Off)
                    | (Mpm::Prefork, Restriction::On | Restriction::Off)
            );
            if everything || is_short {
                let server = restriction
                    .write(site(installation, edit, mpm))
                    .start()
                    .unwrap();
                visit(&agent, &mut trace, server, mpm, restriction);
            }
        }
    }
    let metrics = agent.metrics().unwrap();
    assert_eq!(metrics.sum("sigblame_events_lost_total", &[]), 0.0);
}

/// One server: every way in every worker, and what is told of it.
fn visit(agent: &Agent, trace: &mut Trace, server: Httpd, mpm: Mpm, restriction: Restriction) {
    ask(&server, CLEAN);
    let mut visits = Vec::new();
    for mount in [EMBEDDED, DAEMON, ALONE] {
        let role = if mount == EMBEDDED {
            "embedded"
        } else {
            "daemon"
        };
        let mount = Mount {
            path: mount,
            role,
            mpm,
        };
        for way in WAYS {
            visits.push(go(&server, mount, way));
        }
        if restriction != Restriction::Off {
            // The real function would take a number for a string.
            visits.push(go(&server, mount, "wrongly"));
        }
        if mount.path == ALONE {
            // Python forbids it in other interpreters from 3.8 on.
            visits.push(go(&server, mount, "from_python_child"));
        }
    }
    ask(&server, CLEAN);
    let expected = visits.iter().map(Visit::told).sum::<usize>();
    let arrived = wait_for(PATIENCE, || {
        (trace.lines(server.pid()).unwrap().len() >= expected).then_some(())
    });
    let lines = trace.lines(server.pid()).unwrap();
    assert!(
        arrived.is_some(),
        "{} lines and not {expected}",
        lines.len()
    );
    let from = restriction.from(&server);
    compare(&server, &from, &visits, &lines);
    compare_findings(agent, &server, &from, &visits);
    server.stop().unwrap();
}

fn go<'a>(server: &Httpd, mount: Mount, way: &'a str) -> Visit<'a> {
    let answer = ask(server, &format!("{}/{way}", mount.path));
    Visit { mount, way, answer }
}
