//! Workers that go and come while the server stays.

use std::time::Duration;

use rustix::process::Signal;
use sigblame_tests::{httpd::Mpm, wait_for};

use super::{Watchers, kill, touch, wait_until_gone};
use crate::{
    restriction::{DAEMON, EMBEDDED, Restriction, Watched, site, system, whole},
    support::PATIENCE,
};

/// Embedded workers that live for one connection.
#[test]
fn connections_per_child() {
    let mut watchers = Watchers::start();
    let builder = site(&system().unwrap(), whole, Mpm::Prefork, "");
    // httpd makes new ones once a second.
    let builder = builder.children(8).max_connections_per_child(1);
    let mut watched = watchers.watch_it(builder, Mpm::Prefork, Restriction::Default);
    let mut seen: Vec<u64> = (0..4).map(|_| watched.round()[0]).collect();
    seen.dedup();
    assert_eq!(seen.len(), 4, "each has one of its own");
    watched.settle();
}

/// A daemon that has had its requests asks itself to go by SIGINT.
#[test]
fn requests_of_a_daemon() {
    recycled("maximum-requests=3", |_| {});
}

/// A daemon without requests.
#[test]
fn inactivity_of_a_daemon() {
    recycled("inactivity-timeout=1", |pid| {
        wait_until_gone(pid, "inactivity-timeout");
    });
}

/// A daemon that is so old.
#[test]
fn age_of_a_daemon() {
    recycled("restart-interval=2", |pid| {
        wait_until_gone(pid, "restart-interval")
    });
}

fn recycled(options: &str, wait: impl Fn(u64)) {
    let mut watchers = Watchers::start();
    let mut watched = watchers.watch(options, |builder| builder);
    let [_, before, alone] = watched.round();
    wait(before);
    wait(alone);
    let new = new_daemon(&mut watched, before);
    assert_ne!(new, before);
    watched.round();
    watched.settle();
}

/// The daemon may still be on its way out when it is asked.
fn new_daemon(watched: &mut Watched, before: u64) -> u64 {
    let pid = wait_for(PATIENCE, || {
        let pid = watched.go(DAEMON, "one").answer["pid"].as_u64().unwrap();
        if pid == before {
            std::thread::sleep(Duration::from_millis(50));
        }
        (pid != before).then_some(pid)
    });
    pid.expect("a new daemon")
}

/// A script that has changed: a daemon is started anew for it, an embedded worker reads it again.
#[test]
fn changed_script() {
    let mut watchers = Watchers::start();
    let mut watched = watchers.watch("", |builder| builder);
    let before = watched.round();
    touch(&watched.server.app_file("application.py"));
    let after = watched.round();
    assert_eq!(before[0], after[0]);
    assert_ne!(before[1], after[1]);
    watched.settle();
}

/// Workers that are killed, or crash.
#[test]
fn killed_and_crashed_workers() {
    let mut watchers = Watchers::start();
    let mut watched = watchers.watch("", |builder| builder);
    for signal in [Signal::KILL, Signal::SEGV] {
        let before = watched.round();
        for pid in before {
            kill(pid, signal);
            wait_until_gone(pid, "a killed worker");
        }
        let after = watched.round();
        super::assert_new(before, after, "killed");
    }
    watched.go(EMBEDDED, "from_thread");
    watched.settle();
}
