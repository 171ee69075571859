//! Reloads: what httpd's own commands do, and what is new after them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::process::Signal;
use serde_json::Value;
use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Builder, Installation, Mpm},
    wait_for,
};

use super::{Watchers, assert_new, kill, wait_until_gone};
use crate::{
    restriction::{Edit, Restriction, Watched, mod_wsgis, site, stripped, system, whole},
    support::PATIENCE,
};

mod_wsgis! { commands_of_httpd }

/// `-k graceful`, `-k restart` and `-k graceful-stop`: modules are unloaded and loaded again under
/// the same first process. Each command is an httpd of its own for a moment, which reads the
/// configuration and is no server.
fn commands_of_httpd(installation: &Installation, edit: Edit) {
    let agent = Agent::start().unwrap();
    let mut trace = Trace::start(&[]).unwrap();
    let builder = site(installation, edit, Mpm::Event, "").restrict(true);
    let word = (Mpm::Event, Restriction::Default);
    let mut watched = Watched::start(&agent, &mut trace, builder, word);
    watched.from = Restriction::On.from(&watched.server);
    let mut before = watched.round();
    for action in ["graceful", "restart", "graceful"] {
        watched.server.control_and_wait(action).unwrap();
        let after = watched.round();
        assert_new(before, after, action);
        before = after;
    }
    watched.server.control("graceful-stop").unwrap();
    assert!(watched.server.ends(), "{}", watched.server.error_log());
    watched.settle();
}

/// Restriction On, then Off, then nothing said, then On again: what holds for a worker is what its
/// server had read when it started. That the file has changed is nothing by itself.
#[test]
fn changed_configuration_counts_from_the_reload_on() {
    let mut watchers = Watchers::start();
    let builder = site(&system().unwrap(), whole, Mpm::Event, "");
    let mut watched = watchers.watch_it(builder, Mpm::Event, Restriction::On);
    let line = watched.from.clone();
    watched.round();
    for (old, new, from, restricted) in [
        (
            "WSGIRestrictSignal On",
            "WSGIRestrictSignal Off",
            &*line,
            false,
        ),
        ("WSGIRestrictSignal Off", "# Nothing", "default", true),
        ("# Nothing", "WSGIRestrictSignal On", &*line, true),
    ] {
        watched.server.reconfigure(old, new).unwrap();
        watched.round();
        watched.server.control_and_wait("graceful").unwrap();
        watched.from = from.to_owned();
        watched.round();
        assert!(watched.latest().all(|is| is == restricted), "{new}");
    }
    watched.settle();
}

/// A worker that starts after the file has changed, of a server that has not read it again, is as
/// restricted as before.
#[test]
fn worker_that_starts_after_a_change_has_what_the_server_read() {
    let mut watchers = Watchers::start();
    let builder = site(&system().unwrap(), whole, Mpm::Event, "");
    let mut watched = watchers.watch_it(builder, Mpm::Event, Restriction::On);
    let before = watched.round();
    let (old, new) = ("WSGIRestrictSignal On", "WSGIRestrictSignal Off");
    watched.server.reconfigure(old, new).unwrap();
    for pid in before {
        kill(pid, Signal::KILL);
        wait_until_gone(pid, "a killed worker");
    }
    let after = watched.round();
    assert_new(before, after, "a killed worker");
    assert!(watched.latest().all(|is| is), "the server did not read it");
    watched.settle();
}

/// A new file of mod_wsgi takes the old one's place, as an upgrade does: the workers that have the
/// old one go on, those after the reload have the new one, and both are told of.
#[test]
fn upgrade_of_mod_wsgi_under_a_running_server() {
    let mut watchers = Watchers::start();
    let mut module = PathBuf::new();
    let mut watched = watchers.watch("", |builder| {
        builder
            .own_mod_wsgi(|file| {
                module = file.to_path_buf();
                Ok(())
            })
            .unwrap()
    });
    watched.round();
    replace(&module);
    let before = watched.round();
    // One that starts now has the old file, too: it is a copy of the first process.
    for pid in before {
        kill(pid, Signal::KILL);
        wait_until_gone(pid, "a killed worker");
    }
    let before = watched.round();
    watched.server.control_and_wait("graceful").unwrap();
    let after = watched.round();
    assert_new(before, after, "graceful");
    watched.settle();
}

/// Another file with other contents under the same name, without a moment in which there is none.
fn replace(file: &Path) {
    let new = file.with_extension("new");
    fs::copy(file, &new).unwrap();
    stripped(&new).unwrap();
    fs::rename(&new, file).unwrap();
}

/// httpd starts the program of a piped log before its workers, and anew with each reload, while its
/// configuration is read: that is another program, and no worker.
#[test]
fn program_of_a_piped_log_is_no_worker() {
    let agent = Agent::start().unwrap();
    let builder = Builder::new(Mpm::Event).unwrap();
    let builder = builder.directive("CustomLog \"|/bin/sleep 1000\" \"%h\"");
    let server = builder.start().unwrap();
    for _ in 0..3 {
        server.graceful().unwrap();
    }
    let workers = || -> Vec<u64> {
        let answer = agent.get("/api/v1/workers").unwrap().body;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let all = answer["workers"].as_array().unwrap().iter();
        all.map(|worker| worker["pid"].as_u64().unwrap()).collect()
    };
    let others = || -> Vec<u64> {
        let known = workers().into_iter();
        let other = known.filter(|pid| {
            let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            !program.ends_with("apache2") && !program.ends_with("httpd")
        });
        other.collect()
    };
    // Those of the last generation's workers that have just ended are told soon.
    let none = wait_for(PATIENCE, || others().is_empty().then_some(()));
    assert!(
        none.is_some(),
        "no workers: {:?}\n{}",
        others(),
        agent.log()
    );
    server.stop().unwrap();
    let gone = wait_for(PATIENCE, || {
        agent.log().contains("the server is gone").then_some(())
    });
    assert!(gone.is_some(), "{}", agent.log());
}
