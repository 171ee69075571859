//! `sigblame status`: what an operator sees of a real server, and what is said without an agent.

use std::process::Command;

use serde_json::Value;
use sigblame_tests::{
    agent::{Agent, Said, run_to_end},
    agent_program,
    demo::{self, DAEMON_MOUNT, LIBRARY},
    http::free_port,
    httpd::{Httpd, Mpm},
};

use crate::support::{PATIENCE, ask, findings};

fn status(address: &str, arguments: &[&str]) -> Said {
    let mut command = Command::new(agent_program().unwrap());
    command
        .args(["status", "--web.listen-address", address])
        .args(arguments);
    run_to_end(&mut command, PATIENCE).unwrap()
}

/// The text.
fn text(agent: &Agent, arguments: &[&str]) -> String {
    let said = status(&agent.address().to_string(), arguments);
    assert_eq!((said.code, said.errors.as_str()), (Some(0), ""), "{said:?}");
    said.output
}

/// One server and its workers, by their process ids.
struct State {
    server: Value,
    workers: Vec<Value>,
}

impl State {
    fn of(agent: &Agent, server: &Httpd) -> Self {
        let report: Value = serde_json::from_str(&text(agent, &["--json"])).unwrap();
        assert_eq!(report["schema"], 1);
        let servers = report["servers"].as_array().unwrap();
        let ours = servers.iter().find(|s| s["pid"] == server.pid());
        let ours = ours.unwrap_or_else(|| panic!("the server: {report:#}"));
        let workers = report["workers"].as_array().unwrap().iter();
        let workers = workers.filter(|worker| worker["server"] == ours["name"]);
        Self {
            server: ours.clone(),
            workers: workers.cloned().collect(),
        }
    }

    /// The worker with this process id, and what stands on a signal of it.
    fn signal(&self, pid: &Value, name: &str) -> (&Value, &Value) {
        let worker = self.workers.iter().find(|worker| worker["pid"] == *pid);
        let worker = worker.unwrap_or_else(|| panic!("worker {pid}: {:#?}", self.workers));
        let signals = worker["signals"].as_array().unwrap();
        let signal = signals.iter().find(|signal| signal["name"] == name);
        (worker, signal.unwrap())
    }
}

/// Nobody waits for a tick: what the server did before the question is in the answer.
#[test]
fn status_shows_who_has_each_signal() {
    let agent = Agent::start().unwrap();
    let server = demo::start(Mpm::Event).unwrap();
    let embedded = ask(&server, "/clean/?json")["pid"].clone();
    let daemon = ask(&server, &format!("{DAEMON_MOUNT}/clean/?json"))["pid"].clone();

    let before = State::of(&agent, &server);
    assert_eq!(before.server["mpm"], "event");
    assert_eq!(before.server["restrict_signal"], "on");
    assert!(before.server["mod_wsgi"].is_string(), "{:#}", before.server);
    assert_eq!(before.server["workers"]["embedded"], 1);
    assert_eq!(before.server["workers"]["daemon"], 1);
    let config = server.dir().join("httpd.conf");
    assert_eq!(before.server["config"], config.to_str().unwrap());
    let script = server.app_file("pages.py");
    let group = demo::PROCESS_GROUP;
    for (pid, role, group, owner) in [
        (&embedded, "embedded", Value::Null, "mod_mpm_event.so"),
        (&daemon, "daemon", group.into(), "mod_wsgi"),
    ] {
        let (worker, term) = before.signal(pid, "SIGTERM");
        assert_eq!(worker["role"], role);
        assert_eq!(worker["process_group"], group);
        assert_eq!(worker["restrict_signal"], "on");
        let applications = worker["applications"].as_array().unwrap();
        let runs = |application: &&Value| application["script"] == script.to_str().unwrap();
        let site = applications.iter().find(runs).unwrap();
        assert_eq!(site["group"], demo::APPLICATION_GROUP);
        assert_eq!(worker["signals"].as_array().unwrap().len(), 64);
        assert!(term["owner"].as_str().unwrap().contains(owner), "{term:#}");
        assert_eq!(term["code"], "server");
        assert_eq!(term["taken_by"], Value::Null);
        assert_eq!(before.signal(pid, "SIGPIPE").1["kind"], "ignore");
        assert_eq!(before.signal(pid, "SIGUSR2").1["kind"], "default");
    }

    ask(&server, "/library/?json");
    let after = State::of(&agent, &server);
    let (_, term) = after.signal(&embedded, "SIGTERM");
    assert_eq!(term["owner"], LIBRARY);
    assert_eq!(term["code"], "application");
    assert_eq!(term["symbol"], "reports_on_signal");
    let is_ours = |finding: &&Value| finding["rule"] == "reserved-signal";
    let all = findings(&agent, &server, "the library", |all| {
        all.iter().any(|f| is_ours(&f))
    });
    let found = all.iter().find(is_ours).unwrap();
    let by = &term["taken_by"];
    assert_eq!(by["id"], found["id"]);
    assert_eq!(by["rule"], found["rule"]);
    assert_eq!(by["blame"], found["blame"]);
    let (_, daemons) = after.signal(&daemon, "SIGTERM");
    assert_eq!(daemons, before.signal(&daemon, "SIGTERM").1);

    let shown = text(&agent, &[]);
    for part in [
        format!("pid {}, up", server.pid()),
        format!("SIGTERM: {LIBRARY}!reports_on_signal  critical reserved-signal for "),
        "by Reports.start (".to_owned(),
        "mod_mpm_event.so SIGHUP".to_owned(),
    ] {
        assert!(shown.contains(&part), "{part:?} is in:\n{shown}");
    }
    let untouched = |line: &&str| line.contains(&format!("pid {daemon}, "));
    let line = shown.lines().find(untouched).unwrap();
    assert!(line.ends_with(": untouched"), "{shown}");
    assert!(text(&agent, &["--all"]).contains("SIGRTMIN+10 default"));
    server.stop().unwrap();
    let gone = text(&agent, &[]);
    assert!(!gone.contains(&format!("pid {embedded}, ")), "{gone}");
}

/// An agent that came late knows no call, and the owner all the same. In a daemon: a new worker of
/// the event MPM takes SIGTERM once more when its threads already serve.
#[test]
fn status_shows_what_was_taken_before_the_agent_came() {
    let server = demo::start(Mpm::Event).unwrap();
    let pid = ask(&server, &format!("{DAEMON_MOUNT}/library/?json"))["pid"].clone();
    ask(&server, &format!("{DAEMON_MOUNT}/ctypes/?json"));
    let agent = Agent::start().unwrap();
    let state = State::of(&agent, &server);
    let (worker, term) = state.signal(&pid, "SIGTERM");
    assert_eq!(worker["role"], "daemon");
    assert_eq!(term["owner"], LIBRARY);
    assert_eq!(term["seen_by"], "inventory");
    // A second look confirms it, and then there is a finding.
    findings(&agent, &server, "the drifts", |all| all.len() == 2);
    let state = State::of(&agent, &server);
    let (_, term) = state.signal(&pid, "SIGTERM");
    assert_eq!(term["taken_by"]["rule"], "disposition-drift");
    assert_eq!(term["symbol"], "reports_on_signal");
    let shown = text(&agent, &[]);
    for part in [
        format!("SIGTERM: {LIBRARY}!reports_on_signal  warning disposition-drift for "),
        format!("by {LIBRARY}"),
        "SIGPIPE: default  warning disposition-drift for ".to_owned(),
    ] {
        assert!(shown.contains(&part), "{part:?} is in:\n{shown}");
    }
}

#[test]
fn without_an_agent_status_says_where_it_looked() {
    let address = format!("127.0.0.1:{}", free_port().unwrap());
    let said = status(&address, &[]);
    assert_eq!((said.code, said.output.as_str()), (Some(1), ""), "{said:?}");
    let sentence = format!("failed to reach a running agent at {address}: nobody listens there;");
    assert!(said.errors.contains(&sentence), "{said:?}");
    assert_eq!(said.errors.lines().count(), 1, "{said:?}");
}
