//! Beginnings and ends.

use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Installation, Mpm},
};

use super::Watchers;
use crate::{
    restriction::{ALONE, DAEMON, EMBEDDED, Edit, Restriction, Watched, mod_wsgis, site},
    support::ask,
};

mod_wsgis! { server_was_there_first }

/// What was done before anybody looked is not told; what is done afterwards is told in full: who a
/// worker is, its restriction, its groups and its script are known without its start, and the
/// intercept is found in what runs already.
fn server_was_there_first(installation: &Installation, edit: Edit) {
    for (mpm, restriction) in [
        (Mpm::Event, Restriction::Default),
        (Mpm::Prefork, Restriction::Off),
    ] {
        let server = restriction.write(site(installation, edit, mpm, ""));
        let server = server.start().unwrap();
        for mount in [EMBEDDED, DAEMON, ALONE] {
            ask(&server, &format!("{mount}/one"));
        }
        let agent = Agent::start().unwrap();
        let mut trace = Trace::start(&[]).unwrap();
        let mut watched = Watched::new(&agent, &mut trace, server, (mpm, restriction));
        watched.round();
        watched.settle();
        watched.server.stop().unwrap();
    }
}

/// A service's way: in the background, and `-k stop`.
#[test]
fn server_in_the_background_comes_and_goes() {
    let mut watchers = Watchers::start();
    let mut watched = watchers.watch("", |builder| builder.background());
    watched.round();
    watched.server.control("stop").unwrap();
    assert!(watched.server.ends());
    watched.settle();
}
