//! Each mod_wsgi, under each MPM, with each word for the restriction.

use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Installation, Mpm},
    scratch::Scratch,
};

use super::{
    ALONE, CLEAN, DAEMON, EMBEDDED, Edit, Watched, compare::Restriction, make_known, places, site,
    whole,
};
use crate::support::ask;

mod_wsgis! { walk }

/// Ways that every worker goes, in this order. The last one ends what the one before began.
const WAYS: [&str; 7] = [
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
    let scratch = Scratch::new("mod_wsgi").unwrap();
    let installation = &edited(installation, edit, &scratch);
    make_known(&agent, &mut trace, installation, whole);
    for mpm in Mpm::ALL {
        for restriction in Restriction::ALL {
            let is_short = matches!(
                (mpm, restriction),
                (Mpm::Event, Restriction::Default | Restriction::Off)
                    | (Mpm::Prefork, Restriction::On | Restriction::Off)
            );
            if everything || is_short {
                let mut builder = site(installation, whole, mpm, "");
                for place in places(mpm) {
                    builder = builder.import_script("imported.py", &place);
                }
                let word = (mpm, restriction);
                visit(
                    Watched::start(&agent, &mut trace, builder, word),
                    restriction,
                );
            }
        }
    }
    let metrics = agent.metrics().unwrap();
    assert_eq!(metrics.sum("sigblame_events_lost_total", &[]), 0.0);
}

/// One file for all servers: it is known after the first of them.
fn edited(installation: &Installation, edit: Edit, scratch: &Scratch) -> Installation {
    if std::ptr::fn_addr_eq(edit, whole as Edit) {
        return installation.clone();
    }
    let file = scratch.path().join("mod_wsgi.so");
    std::fs::copy(&installation.mod_wsgi, &file).unwrap();
    edit(&file).unwrap();
    Installation {
        mod_wsgi: file,
        ..installation.clone()
    }
}

/// One server: every way in every worker, and what is told of it.
fn visit(mut watched: Watched, restriction: Restriction) {
    ask(&watched.server, CLEAN);
    for mount in [EMBEDDED, DAEMON, ALONE] {
        for way in WAYS {
            watched.go(mount, way);
        }
        if restriction != Restriction::Off {
            // The real function would take a string for a number.
            watched.go(mount, "wrongly");
        }
        if mount == ALONE {
            // Python forbids it in other interpreters from 3.8 on.
            watched.go(mount, "from_python_child");
        }
    }
    ask(&watched.server, CLEAN);
    watched.settle();
    watched.server.stop().unwrap();
}
