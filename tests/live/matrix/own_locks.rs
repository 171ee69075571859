//! Interpreters with a lock of their own (PEP 684, CPython 3.12; `WSGIPerInterpreterGIL` of mod_wsgi
//! 6): several threads of one process run Python at the same time.

use std::thread;

use sigblame_tests::{
    agent::Trace,
    httpd::{Httpd, Installation, Mpm, Place},
};

use super::{
    A, B, DAEMON, MAIN, builder,
    compare::{Report, Visit},
    visit,
};

pythons! { stacks_are_told_apart:
    cpython_3_12: pyenv(12);
    cpython_3_13: pyenv(13);
}

/// Cases that need no module which refuses such an interpreter (`ctypes` does so before 3.13).
const CASES: [&str; 9] = [
    "callbacks",
    "class_bodies",
    "comprehensions",
    "coroutines",
    "generators",
    "lock_given_up",
    "recursion",
    "specialised",
    "without_python",
];

/// Two interpreters, and the main one, asked at the same time.
fn stacks_are_told_apart(installation: &Installation) {
    let trace = Trace::start(&["--all"]).unwrap();
    let server = builder(installation, Mpm::Event)
        .directive("WSGIPerInterpreterGIL On")
        .directive("LogLevel wsgi:info")
        .daemon("matrix", "processes=1 threads=3")
        .script(DAEMON, "matrix.py", &Place::daemon("matrix", "a"))
        .script(MAIN, "matrix.py", &Place::embedded("%{GLOBAL}"))
        .script(B, "matrix.py", &Place::embedded("b"))
        .script(A, "matrix.py", &Place::embedded("a"))
        .start()
        .unwrap();
    let imported = [MAIN, A, B, DAEMON].map(|mount| visit(&server, mount, "imported"));
    let mut visits: Vec<Visit> = imported.into();
    visits.extend(thread::scope(|scope| {
        let clients = [A, B, MAIN, DAEMON].map(|mount| scope.spawn(|| all(&server, mount)));
        let visits = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        visits.collect::<Vec<_>>()
    }));
    let log = server.error_log();
    assert!(log.contains("with own GIL"), "{log}");
    let lines = trace.finish(server.pid()).unwrap();
    Report::new(&lines, visits).finish(280);
}

fn all(server: &Httpd, mount: &str) -> Vec<Visit> {
    let cases = [&CASES[..], &CASES].concat();
    let visits = cases.into_iter().map(|case| visit(server, mount, case));
    visits.collect()
}
