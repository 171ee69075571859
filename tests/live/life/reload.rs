//! Reloads: what httpd's own commands do, and what is new after them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustix::process::Signal;
use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Installation, Mpm},
};

use super::{Watchers, assert_new, kill, wait_until_gone};
use crate::restriction::{Edit, Restriction, Watched, mod_wsgis, site, stripped, system, whole};

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
