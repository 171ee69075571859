//! `WSGIRestrictSignal Off`: what the policy allows is no finding, what the server needs is one.

use std::fs;

use serde_json::{Value, json};
use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Builder, Httpd, Mpm, Place},
    scratch::Scratch,
    wait_for,
};

use crate::support::{PATIENCE, builder, findings, is_about};

/// The daemon process group.
const GROUP: &str = "importing";
/// Where `importer.py` registers.
const LINES: [(&str, u32); 2] = [("SIGUSR2", 14), ("SIGTERM", 15)];

/// A server that imports `importer.py` on the main thread of its main interpreter, embedded and in
/// a daemon. Not under a threaded MPM: its workers take SIGTERM back once they are up.
fn importing() -> Builder {
    builder(Mpm::Prefork)
        .daemon(GROUP, "processes=1 threads=1")
        .import_script("importer.py", &Place::embedded("%{GLOBAL}"))
        .import_script("importer.py", &Place::daemon(GROUP, "%{GLOBAL}"))
}

/// Where a server's configuration says `WSGIRestrictSignal`.
fn place(server: &Httpd) -> String {
    let file = server.dir().join("httpd.conf");
    let text = fs::read_to_string(&file).unwrap();
    let line = text
        .lines()
        .position(|line| line.starts_with("WSGIRestrictSignal"));
    format!("{}:{}", file.display(), line.unwrap() + 1)
}

/// What was found, in few words, in an order of its own.
fn told(found: &[Value]) -> Vec<Value> {
    let mut told: Vec<Value> = found
        .iter()
        .map(|f| {
            json!([
                f["worker"]["role"],
                f["signal"]["name"],
                f["rule"],
                f["also"],
                f["state"],
                f["count"]
            ])
        })
        .collect();
    told.sort_by_key(Value::to_string);
    told
}

/// What is true of each call of `importer.py`.
fn assert_who(finding: &Value, server: &Httpd, restricted: (&str, &str), route: (&str, &str)) {
    let script = json!(server.app_file("importer.py"));
    let is_daemon = finding["worker"]["role"] == "daemon";
    assert_eq!(finding["source"], "probe");
    assert_eq!(finding["route"], route.0, "{finding:#}");
    assert_eq!(finding["outcome"], route.1, "{finding:#}");
    assert_eq!(
        finding["server"]["config"],
        json!(server.dir().join("httpd.conf"))
    );
    assert_eq!(finding["server"]["restrict_signal"], restricted.0);
    assert_eq!(finding["server"]["restrict_signal_from"], restricted.1);
    assert_eq!(finding["worker"]["mpm"], "prefork");
    let group = is_daemon.then_some(GROUP);
    assert_eq!(
        finding["worker"]["process_group"],
        json!(group),
        "{finding:#}"
    );
    let application = json!({ "group": "%{GLOBAL}", "interpreter": 0, "script": script });
    assert_eq!(finding["application"], application, "{finding:#}");
    assert_eq!(finding["thread"]["main"], true);
    let line = LINES.iter().find(|(signal, _)| is_about(finding, signal));
    let blame = json!({
        "file": script, "line": line.unwrap().1, "function": "<module>", "module": null,
    });
    assert_eq!(finding["blame"], blame, "{finding:#}");
    assert_eq!(finding["python"]["result"], "complete", "{finding:#}");
    assert_eq!(finding["native"]["result"], "complete", "{finding:#}");
}

/// Off, as the server's own configuration says: `signal.signal` at import gives a finding for
/// SIGTERM, which is the server's, and none for SIGUSR2, but that it never runs in the daemon.
#[test]
fn import_script_may_take_what_the_server_does_not_need() {
    let agent = Agent::start().unwrap();
    let mut trace = Trace::start(&[]).unwrap();
    let server = importing().restrict(false).start().unwrap();

    let found = findings(&agent, &server, "two workers", |all| all.len() >= 3);
    let expected = [
        json!([
            "daemon",
            "SIGTERM",
            "reserved-signal",
            ["never-dispatched"],
            "open",
            1
        ]),
        json!(["daemon", "SIGUSR2", "never-dispatched", [], "open", 1]),
        json!(["embedded", "SIGTERM", "reserved-signal", [], "open", 1]),
    ];
    assert_eq!(told(&found), expected);
    let from = place(&server);
    for finding in &found {
        assert_who(
            finding,
            &server,
            ("off", &from),
            ("signal.signal", "applied"),
        );
    }
    // SIGUSR2 was seen in both, and nothing more was said about it.
    let seen = wait_for(PATIENCE, || {
        let lines = trace.lines(server.pid()).unwrap();
        let usr2 = lines.iter().filter(|l| is_about(l, "SIGUSR2")).count();
        (usr2 >= 2).then_some(())
    });
    assert!(seen.is_some());
    for line in trace.lines(server.pid()).unwrap() {
        assert_eq!(line["kind"], "registration", "{line:#}");
        assert_who(line, &server, ("off", &from), ("signal.signal", "applied"));
    }
    assert_eq!(agent.findings(server.pid()).unwrap().len(), expected.len());
    let labels = [("server", found[0]["server"]["name"].as_str().unwrap())];
    let restricted = wait_for(PATIENCE, || {
        let metrics = agent.metrics().unwrap();
        (metrics.sum("sigblame_restrict_signal", &labels) == 0.0).then_some(())
    });
    assert!(restricted.is_some());
    let metrics = agent.metrics().unwrap();
    assert_eq!(metrics.sum("sigblame_blocked_attempts_total", &labels), 0.0);
}

/// sigblame's own configuration is stronger than the server's: the same registrations, by the rules
/// of a server that would be restricted.
#[test]
fn own_configuration_is_stronger() {
    let scratch = Scratch::new("policy").unwrap();
    let config = scratch.path().join("sigblame.yaml");
    fs::write(&config, "policy:\n  restrict_signal: on\n").unwrap();
    let agent = Agent::with(&["--config", config.to_str().unwrap()]).unwrap();
    let server = importing().restrict(false).start().unwrap();
    let found = findings(&agent, &server, "two workers", |all| all.len() >= 4);
    let restricted = "restricted-registration";
    let also = json!([restricted, "never-dispatched"]);
    let expected = [
        json!(["daemon", "SIGTERM", "reserved-signal", also, "open", 1]),
        json!([
            "daemon",
            "SIGUSR2",
            restricted,
            ["never-dispatched"],
            "open",
            1
        ]),
        json!([
            "embedded",
            "SIGTERM",
            "reserved-signal",
            [restricted],
            "open",
            1
        ]),
        json!(["embedded", "SIGUSR2", restricted, [], "open", 1]),
    ];
    assert_eq!(told(&found), expected);
    for finding in &found {
        let how = ("signal.signal", "applied");
        assert_who(finding, &server, ("on", "configuration"), how);
    }
}

/// On, which is the default: mod_wsgi swallows the very same calls, and each is told, with what says
/// so. There is no registration.
#[test]
fn import_script_is_swallowed_under_the_restriction() {
    let agent = Agent::start().unwrap();
    for is_written in [false, true] {
        let trace = Trace::start(&[]).unwrap();
        let builder = importing();
        let builder = match is_written {
            true => builder.restrict(true),
            false => builder,
        };
        let server = builder.start().unwrap();
        let found = findings(&agent, &server, "two workers", |all| all.len() >= 4);
        let blocked = |role, signal| json!([role, signal, "blocked-attempt", [], "open", 1]);
        let expected = [
            blocked("daemon", "SIGTERM"),
            blocked("daemon", "SIGUSR2"),
            blocked("embedded", "SIGTERM"),
            blocked("embedded", "SIGUSR2"),
        ];
        assert_eq!(told(&found), expected);
        let from = match is_written {
            true => place(&server),
            false => "default".to_owned(),
        };
        let script = server.app_file("importer.py");
        let wanted = json!({ "kind": "handler", "owner": script, "symbol": "on_signal" });
        for finding in &found {
            assert_who(finding, &server, ("on", &from), ("intercept", "blocked"));
            assert_eq!(finding["change"]["new"], wanted, "{finding:#}");
        }
        // mod_wsgi says the same, in so many words.
        for number in [12, 15] {
            let line = format!("Callback registration for signal {number} ignored");
            assert_eq!(server.error_log().matches(&line).count(), 2, "{line}");
        }
        let master = server.pid();
        assert!(!server.stop().unwrap().forced);
        let ended = wait_for(PATIENCE, || {
            let all = agent.findings(master).unwrap();
            all.iter().all(|f| f["state"] == "resolved").then_some(all)
        });
        assert_eq!(
            ended.map(|ended| ended.len()),
            Some(4),
            "they end with their workers"
        );
        let lines = trace.finish(master).unwrap();
        assert_eq!(lines.len(), 4, "{lines:#?}");
        for line in &lines {
            assert_eq!(line["kind"], "blocked-attempt", "{line:#}");
            assert_eq!(line["origin"], "application", "{line:#}");
        }
    }
}
