//! A real Prometheus reads what the agent counts, and our rules fire in it.

use std::{
    fs::File,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use sigblame_tests::{
    agent::Agent,
    demo, http,
    httpd::Mpm,
    package_dir,
    process::Scoped,
    scratch::{self, Scratch},
    skip, wait_for,
};

use crate::support::{PATIENCE, ask, blocked_at_start, findings};

/// Whether a program is installed; else the test says that it is left out.
fn has(program: &str, test: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        skip(
            test,
            &format!("no {program} is installed: Debian's package prometheus"),
        );
    }
    there
}

/// `promtool check metrics` has nothing to say about a scrape of an agent that has seen something.
#[test]
fn promtool_accepts_a_scrape() {
    if !has("promtool", "promtool_accepts_a_scrape") {
        return;
    }
    let agent = Agent::start().unwrap();
    let server = demo::start(Mpm::Event).unwrap();
    let at_start = blocked_at_start(&agent, &server).len();
    for path in ["/library/", "/system/", "/fork/"] {
        ask(&server, &format!("{path}?json"));
    }
    // Those of `system()` are over, which is what there is to scrape of overrides.
    let over = |all: &[Value]| all.iter().filter(|f| f["state"] == "resolved").count();
    findings(&agent, &server, "something to scrape", |all| {
        all.len() == at_start + 3 && over(all) == 2
    });
    let scrape = agent.get("/metrics").unwrap().body;
    assert!(
        scrape.contains("sigblame_override_seconds_bucket{"),
        "{scrape}"
    );
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(scrape.as_bytes()).unwrap();
    drop(input);
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|o| String::from_utf8_lossy(&o).into_owned());
    assert!(output.status.success(), "{said:?}");
    assert_eq!(said, ["", ""], "promtool also complains with status 0");
}

/// A Prometheus of our own.
struct Prometheus {
    _process: Scoped,
    address: SocketAddr,
    scratch: Scratch,
}

impl Prometheus {
    fn start(agent: SocketAddr) -> Self {
        let scratch = Scratch::new("prometheus").unwrap();
        let rules = package_dir().join("../dashboards/prometheus/rules.yml");
        let config = scratch.path().join("prometheus.yml");
        let text = format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\n\
             rule_files: ['{}']\n\
             scrape_configs:\n  - job_name: sigblame\n    static_configs:\n      - targets: ['{agent}']\n",
            rules.display()
        );
        scratch::write(&config, text).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, http::free_port().unwrap()));
        let log = File::create(scratch.path().join("log")).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                scratch.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .current_dir(scratch.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let process = Scoped::spawn(&mut command, Duration::from_secs(10)).unwrap();
        Self {
            _process: process,
            address,
            scratch,
        }
    }

    /// `data` of an answer of its API, once it gives one that `fit` wants.
    fn wait(&self, path: &str, fit: impl Fn(&Value) -> bool) -> Value {
        let mut last = String::new();
        let found = wait_for(PATIENCE, || {
            last = http::get(self.address, path, PATIENCE).ok()?.body;
            let answer: Value = serde_json::from_str(&last).ok()?;
            fit(&answer["data"]).then(|| answer["data"].clone())
        });
        found.unwrap_or_else(|| {
            let log = std::fs::read_to_string(self.scratch.path().join("log"));
            panic!("{path}: {last}\n{}", log.unwrap_or_default())
        })
    }
}

/// The result of a query that gives one series.
fn value(data: &Value) -> Option<&str> {
    let series = data["result"].as_array()?;
    (series.len() == 1).then(|| series[0]["value"][1].as_str())?
}

/// Prometheus scrapes the agent, sees the open finding with its labels, fires the alert about it, and
/// drops both once the server and with it the takeover are gone.
#[test]
fn prometheus_scrapes_the_agent_and_fires_our_alert() {
    if !has(
        "prometheus",
        "prometheus_scrapes_the_agent_and_fires_our_alert",
    ) {
        return;
    }
    let agent = Agent::start().unwrap();
    let prometheus = Prometheus::start(agent.address());
    let server = demo::without_billing(Mpm::Event).unwrap().start().unwrap();
    ask(&server, "/library/?json");
    let found = findings(&agent, &server, "SIGTERM", |all| all.len() == 1);
    let label = found[0]["server"]["name"].as_str().unwrap();

    let query = "/api/v1/query?query=";
    prometheus.wait(&format!("{query}up%7Bjob%3D%22sigblame%22%7D"), |data| {
        value(data) == Some("1")
    });
    let open = format!(
        "{query}sigblame_findings_open%7Brule%3D%22reserved-signal%22%2Cserver%3D%22{label}%22%7D"
    );
    let data = prometheus.wait(&open, |data| value(data) == Some("1"));
    assert_eq!(
        data["result"][0]["metric"]["severity"], "critical",
        "{data:#}"
    );
    let ours = |alert: &&Value| {
        let labels = &alert["labels"];
        labels["alertname"] == "SigblameReservedSignal" && labels["server"] == label
    };
    let find = |data: &Value| data["alerts"].as_array()?.iter().find(ours).cloned();
    let data = prometheus.wait("/api/v1/alerts", |data| find(data).is_some());
    let alert = find(&data).unwrap();
    assert_eq!(alert["state"], "firing", "{alert:#}");
    assert_eq!(alert["labels"]["severity"], "critical", "{alert:#}");
    let summary = alert["annotations"]["summary"].as_str().unwrap();
    assert!(summary.starts_with(label), "{summary}");

    server.stop().unwrap();
    prometheus.wait("/api/v1/alerts", |data| find(data).is_none());
    prometheus.wait(&open, |data| value(data) != Some("1"));
}
