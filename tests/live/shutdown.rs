//! Workers that do not go when their server asks them to: told before httpd kills them, with the
//! takeover as the cause, and with what it cost.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::Value;
use sigblame_tests::{
    agent::Agent,
    httpd::{Builder, Httpd, Mpm, Place},
    package_dir, wait_for,
};

use crate::support::{PATIENCE, ask};

const DAEMON: &str = "/daemon";

/// A server with `deaf.py` embedded and in a daemon with these options.
fn builder(mpm: Mpm, options: &str) -> Builder {
    Builder::new(mpm)
        .unwrap()
        .files(&package_dir().join("apps/live"))
        .unwrap()
        .daemon("deaf", &format!("processes=1 threads=2 {options}"))
        .script(DAEMON, "deaf.py", &Place::daemon("deaf", "deaf"))
        .script("/", "deaf.py", &Place::embedded("deaf"))
}

/// A signal is ignored from here on; by which process.
fn ignore(server: &Httpd, mount: &str, signal: Signal) -> u64 {
    let path = format!("{mount}/ignore/{}", signal.as_raw());
    ask(server, &path)["pid"].as_u64().unwrap()
}

/// The findings about shutdowns of a server.
fn hangs(agent: &Agent, master: u32) -> Vec<Value> {
    let all = agent.findings(master).unwrap().into_iter();
    all.filter(|finding| finding["rule"] == "shutdown-blocked")
        .collect()
}

/// Waits until there is one in this state, and gives it.
fn hang(agent: &Agent, master: u32, state: &str) -> Value {
    let found = wait_for(PATIENCE, || {
        let all = hangs(agent, master);
        assert!(all.len() <= 1, "{all:#?}");
        all.into_iter().find(|finding| finding["state"] == state)
    });
    found.unwrap_or_else(|| {
        panic!(
            "none is {state}: {:#?}\n{}",
            hangs(agent, master),
            agent.log()
        )
    })
}

fn lives(pid: u64) -> bool {
    Path::new(&format!("/proc/{pid}/maps")).exists()
        && !std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .unwrap_or_default()
            .contains(") Z ")
}

/// What a hang says, but for how it ended.
fn assert_hang(agent: &Agent, server: &Httpd, finding: &Value, told: (&str, &str, &str, u64)) {
    let (signal, occasion, by, pid) = told;
    assert_eq!(finding["severity"], "critical", "{finding:#}");
    assert_eq!(finding["signal"]["name"], signal, "{finding:#}");
    assert_eq!(finding["worker"]["pid"], pid, "{finding:#}");
    let shutdown = &finding["shutdown"];
    assert_eq!(shutdown["signal"]["name"], signal, "{finding:#}");
    assert_eq!(shutdown["occasion"], occasion, "{finding:#}");
    assert_eq!(shutdown["sent_by"], by, "{finding:#}");
    assert_eq!(shutdown["result"], "ignored", "{finding:#}");
    assert_eq!(shutdown["handled_by"], Value::Null, "{finding:#}");
    // The line that took the signal, as its own finding has it.
    let cause = &finding["cause"];
    let path = format!("/api/v1/findings/{}", cause["id"].as_str().unwrap());
    let taken: Value = serde_json::from_str(&agent.get(&path).unwrap().body).unwrap();
    assert_eq!(taken["rule"], "reserved-signal", "{taken:#}");
    assert_eq!(cause["rule"], taken["rule"]);
    assert_eq!(cause["fingerprint"], taken["fingerprint"]);
    assert_eq!(cause["blame"], taken["blame"]);
    assert_eq!(finding["python"]["frames"], taken["python"]["frames"]);
    let file = server.app_file("deaf.py");
    assert_eq!(
        cause["blame"]["file"],
        file.to_str().unwrap(),
        "{finding:#}"
    );
    assert_eq!(cause["blame"]["function"], "ignore", "{finding:#}");
}

fn seconds(finding: &Value) -> f64 {
    finding["shutdown"]["seconds"].as_f64().unwrap()
}

/// A daemon that ignores SIGTERM: the finding comes before httpd's own SIGKILL.
fn restarted(action: &str, occasion: &str) {
    let agent = Agent::start().unwrap();
    let server = builder(Mpm::Event, "").start().unwrap();
    let pid = ignore(&server, DAEMON, Signal::TERM);
    let sent = Instant::now();
    server.control(action).unwrap();
    let open = hang(&agent, server.pid(), "open");
    assert!(lives(pid), "it was told before httpd killed it");
    assert!(
        sent.elapsed() < Duration::from_secs(3),
        "{:?}",
        sent.elapsed()
    );
    assert_hang(&agent, &server, &open, ("SIGTERM", occasion, "master", pid));
    assert_eq!(open["shutdown"]["seconds"], Value::Null);
    let last = hang(&agent, server.pid(), "resolved");
    assert_eq!(last["id"], open["id"]);
    assert_eq!(last["shutdown"]["killed"], true, "{last:#}");
    // `APR_KILL_AFTER_TIMEOUT` is three seconds.
    assert!((2.8..4.5).contains(&seconds(&last)), "{last:#}");
    assert_eq!(last["shutdown"]["confirmed_by"], serde_json::json!([]));
    assert!(
        agent.output().contains("shutdown-blocked"),
        "{}",
        agent.output()
    );
}

#[test]
fn restart_with_a_deaf_daemon() {
    restarted("restart", "restart");
}

#[test]
fn graceful_with_a_deaf_daemon() {
    restarted("graceful", "graceful");
}

#[test]
fn stop_with_a_deaf_daemon() {
    restarted("stop", "stop");
}

/// A daemon that asks itself to go by SIGINT, and does not hear it, until it is stopped.
#[test]
fn recycling_of_a_deaf_daemon() {
    let agent = Agent::start().unwrap();
    let server = builder(Mpm::Event, "maximum-requests=1").start().unwrap();
    let pid = ignore(&server, DAEMON, Signal::INT);
    let open = hang(&agent, server.pid(), "open");
    assert_hang(&agent, &server, &open, ("SIGINT", "recycle", "itself", pid));
    thread::sleep(Duration::from_secs(2));
    assert!(lives(pid));
    server.control("stop").unwrap();
    let last = hang(&agent, server.pid(), "resolved");
    assert_eq!(last["shutdown"]["killed"], false, "{last:#}");
    assert!(seconds(&last) > 4.0, "{last:#}");
}

/// A child of event that has had its connections wakes its main thread by SIGTERM.
#[test]
fn recycling_of_a_deaf_child_of_event() {
    let agent = Agent::start().unwrap();
    let builder = builder(Mpm::Event, "").children(1);
    let server = builder.max_connections_per_child(3).start().unwrap();
    let pid = ignore(&server, "", Signal::TERM);
    for _ in 0..3 {
        ask(&server, "/sleep/0");
    }
    let open = hang(&agent, server.pid(), "open");
    assert_hang(
        &agent,
        &server,
        &open,
        ("SIGTERM", "recycle", "itself", pid),
    );
    server.control("stop").unwrap();
    let last = hang(&agent, server.pid(), "resolved");
    assert_eq!(last["shutdown"]["killed"], false, "{last:#}");
}

/// A child of worker whose listener does not wake: httpd waits for it ten times half a second.
#[test]
fn stop_with_a_deaf_child_of_worker() {
    let agent = Agent::start().unwrap();
    let server = builder(Mpm::Worker, "").children(1).start().unwrap();
    let pid = ignore(&server, "", Signal::HUP);
    server.control("stop").unwrap();
    let open = hang(&agent, server.pid(), "open");
    assert_hang(&agent, &server, &open, ("SIGHUP", "stop", "itself", pid));
    let last = hang(&agent, server.pid(), "resolved");
    assert_eq!(last["shutdown"]["killed"], false, "{last:#}");
    assert!((4.5..8.0).contains(&seconds(&last)), "{last:#}");
}

/// A child of prefork is killed after nine seconds, and httpd's error log says so: the finding has what
/// it says.
#[test]
fn restart_with_a_deaf_child_of_prefork() {
    let agent = Agent::start().unwrap();
    let server = builder(Mpm::Prefork, "").children(1).start().unwrap();
    let pid = ignore(&server, "", Signal::TERM);
    ignore(&server, "", Signal::HUP);
    server.control("restart").unwrap();
    let open = hang(&agent, server.pid(), "open");
    assert_eq!(open["shutdown"]["occasion"], "restart", "{open:#}");
    assert_eq!(open["worker"]["pid"], pid);
    let last = hang(&agent, server.pid(), "resolved");
    assert_eq!(last["shutdown"]["killed"], true, "{last:#}");
    assert!((8.5..11.0).contains(&seconds(&last)), "{last:#}");
    let confirmed = serde_json::json!(["AH00045", "AH00046"]);
    assert_eq!(
        last["shutdown"]["confirmed_by"],
        confirmed,
        "{}",
        server.error_log()
    );
}

/// Slow workers, of which nothing is taken, or nothing that they need: httpd kills them, too.
#[test]
fn slow_workers_are_not_ours() {
    let agent = Agent::start().unwrap();
    let server = builder(Mpm::Event, "").start().unwrap();
    let master = server.pid();
    // A child of event is told to go by a pipe, and a daemon by SIGTERM.
    ignore(&server, "", Signal::TERM);
    ignore(&server, DAEMON, Signal::USR1);
    let url = server.url("");
    let clients: Vec<_> = ["/sleep/30", "/daemon/sleep/30"]
        .map(|path| {
            let mut client = std::process::Command::new("curl");
            client.args(["-s", "-o", "/dev/null", &format!("{url}{path}")]);
            client.spawn().unwrap()
        })
        .into();
    thread::sleep(Duration::from_secs(1));
    server.control("stop").unwrap();
    assert!(server.ends(), "{}", server.error_log());
    assert!(
        server.error_log().contains("AH00046"),
        "{}",
        server.error_log()
    );
    for mut client in clients {
        client.wait().unwrap();
    }
    let is_told = || agent.log().contains("the server is gone").then_some(());
    assert!(wait_for(PATIENCE, is_told).is_some(), "{}", agent.log());
    assert!(
        hangs(&agent, master).is_empty(),
        "{:#?}",
        hangs(&agent, master)
    );
    let signals = agent.metrics().unwrap();
    let signals = signals.sum("sigblame_events_total", &[("kind", "signal")]);
    assert!(signals >= 8.0, "{signals}: they were heard");
}

/// A server of which nobody takes anything goes through all of it without a word.
#[test]
fn clean_servers_say_nothing() {
    let agent = Agent::start().unwrap();
    for mpm in Mpm::ALL {
        let server = builder(mpm, "maximum-requests=2").start().unwrap();
        for action in ["restart", "graceful", "restart"] {
            for mount in ["", DAEMON, DAEMON] {
                ask(&server, &format!("{mount}/sleep/0"));
            }
            server.control_and_wait(action).unwrap();
        }
        let master = server.pid();
        server.control("stop").unwrap();
        assert!(server.ends());
        thread::sleep(Duration::from_secs(3));
        assert!(agent.findings(master).unwrap().is_empty());
    }
}
