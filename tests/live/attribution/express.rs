//! Servers of `mod_wsgi-express`, as containers and hosted applications have them: a configuration
//! that nobody wrote, and a script of its own that loads the application.

use serde_json::json;
use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Httpd, Mpm, Python},
    skip,
};

use crate::restriction::{Restriction, Watched, builder, pip, whole};

/// The newest that runs on CPython 3.11; `None` where it was not built.
fn start(test: &str, options: &[&str]) -> Option<Httpd> {
    let python = Python::all().into_iter().find(|python| python.minor == 11);
    let package = python.and_then(|python| python.package());
    let (Some(package), Ok(installation)) = (package, pip(11)) else {
        let why = "no mod_wsgi 6 was built for CPython 3.11";
        skip(&format!("attribution::express::{test}"), why);
        return None;
    };
    let builder = builder(&installation, whole, Mpm::Event);
    let server = builder.start_by_express(&package, "application.py", options);
    Some(server.unwrap())
}

/// Its daemon processes: the group is named after host and port, and the processes after that.
#[test]
fn its_daemons_are_restricted_by_default() {
    let test = "its_daemons_are_restricted_by_default";
    if let Some(server) = start(test, &["--processes", "1", "--threads", "3"]) {
        check(server, "/daemon", "default");
    }
}

/// Its embedded mode.
#[test]
fn its_embedded_workers_are_restricted_by_default() {
    let test = "its_embedded_workers_are_restricted_by_default";
    if let Some(server) = start(test, &["--embedded-mode"]) {
        check(server, "/embedded", "default");
    }
}

fn check(server: Httpd, mount: &'static str, from: &str) {
    let agent = Agent::start().unwrap();
    let mut trace = Trace::start(&[]).unwrap();
    let word = (Mpm::Event, Restriction::Default);
    let mut watched = Watched::new(&agent, &mut trace, server, word);
    watched.from = from.to_owned();
    let handler = watched.server.dir().join("handler.wsgi");
    for way in ["one", "slip", "give_back"] {
        // The application is at the root of the site, whatever stands before the way.
        let visit = watched.go(mount, way);
        visit.answer["script"] = json!(handler);
    }
    watched.settle();
}
