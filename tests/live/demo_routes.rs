//! Each link of the demo site, in every kind of worker: the exact findings, frames and lines.

use serde_json::{Value, json};
use sigblame_tests::{
    agent::Agent,
    demo::{
        self, APPLICATION_GROUP, BILLING_GROUP, DAEMON_MOUNT, LIBRARY, PROCESS_GROUP, ROUTES, Route,
    },
    httpd::{Httpd, Mpm},
    wait_for,
};

use crate::support::{
    PATIENCE, ask, assert_frames, blocked_at_start, call_for, findings, is_about,
};

/// Where a link is clicked.
struct Place<'a> {
    agent: &'a Agent,
    server: &'a Httpd,
    mpm: Mpm,
    mount: &'static str,
    role: &'static str,
}

/// Event, worker and prefork MPM, embedded and in a daemon: each link gives the findings of its row
/// in `ROUTES` and no others, with the stack that Python itself noted and all that the server's
/// configuration says of it; what is given back resolves them.
#[test]
fn each_link_gives_its_findings_in_every_worker() {
    let agent = Agent::start().unwrap();
    for mpm in Mpm::ALL {
        let server = demo::start(mpm).unwrap();
        let master = server.pid();
        let blocked = blocked_at_start(&agent, &server).len();
        for (mount, role) in [("", "embedded"), (DAEMON_MOUNT, "daemon")] {
            let place = Place {
                agent: &agent,
                server: &server,
                mpm,
                mount,
                role,
            };
            for route in ROUTES {
                place.click(route);
            }
            // A link without findings proves nothing until a later one has been heard: the same cause
            // again opens its finding again.
            let restore = ROUTES.iter().find(|r| r.path == "/alarm/restore").unwrap();
            place.again("/alarm/", "SIGALRM");
            place.click(restore);
        }
        let all = agent.findings(server.pid()).unwrap();
        let open: Vec<&Value> = all.iter().filter(|f| f["state"] == "open").collect();
        let (attempts, takeovers): (Vec<&Value>, Vec<&Value>) =
            open.iter().partition(|f| f["rule"] == "blocked-attempt");
        assert_eq!(attempts.len(), blocked, "{attempts:#?}");
        assert_eq!(takeovers.len(), 2, "SIGTERM of two workers: {takeovers:#?}");
        assert!(takeovers.iter().all(|f| is_about(f, "SIGTERM")));
        let labels = [("server", open[0]["server"]["name"].as_str().unwrap())];
        let metrics = agent.metrics().unwrap();
        let overrides = metrics.sum("sigblame_override_seconds_count", &labels);
        let restored = all
            .iter()
            .map(|f| f["extent"]["restored"].as_f64().unwrap());
        assert_eq!(
            overrides,
            restored.sum::<f64>(),
            "each that was given back is one"
        );
        assert_eq!(metrics.sum("sigblame_restrict_signal", &labels), 1.0);
        let attempts = metrics.sum("sigblame_blocked_attempts_total", &labels);
        assert_eq!(attempts, blocked as f64);
        let rule = [labels[0], ("rule", "blocked-attempt")];
        assert_eq!(metrics.sum("sigblame_findings_open", &rule), blocked as f64);
        server.stop().unwrap();
        let ended = wait_for(PATIENCE, || {
            let mut all = agent.findings(master).unwrap();
            // A daemon whose SIGTERM is taken has to be killed, which is a finding of its own.
            all.retain(|f| f["rule"] != "shutdown-blocked");
            all.iter().all(|f| f["state"] == "resolved").then_some(all)
        });
        assert_eq!(
            ended.map(|ended| ended.len()),
            Some(all.len()),
            "every worker is gone"
        );
    }
    let metrics = agent.metrics().unwrap();
    assert_eq!(metrics.sum("sigblame_events_lost_total", &[]), 0.0);
}

impl Place<'_> {
    fn click(&self, route: &Route) {
        let expected = self.expected(route);
        let before = self.agent.findings(self.server.pid()).unwrap().len();
        let answer = ask(self.server, &format!("{}{}?json", self.mount, route.path));
        let what = format!("{:?} {}{}", self.mpm, self.mount, route.path);
        let after = findings(self.agent, self.server, &what, |all| {
            all.len() >= before + expected.len()
                && route.restores.iter().all(|s| self.is_resolved(all, s))
        });
        assert_eq!(
            after.len(),
            before + expected.len(),
            "{what}: {:#?}",
            &after[before..]
        );
        for (signal, rule) in expected {
            let finding = after[before..].iter().find(|f| is_about(f, signal));
            let finding = finding.unwrap_or_else(|| panic!("{what}: no finding on {signal}"));
            self.compare(&what, finding, rule, &answer, route);
        }
        for (signal, rule) in route.at_start {
            let is_its = |f: &&Value| {
                f["rule"] == *rule && is_about(f, signal) && f["worker"]["role"] == self.role
            };
            let finding = after.iter().find(is_its);
            let finding = finding.unwrap_or_else(|| panic!("{what}: no finding on {signal}"));
            self.compare_attempt(&what, finding, &answer);
        }
    }

    /// A link that was clicked, and whose signal was given back.
    fn again(&self, path: &str, signal: &str) {
        let before = self.agent.findings(self.server.pid()).unwrap().len();
        ask(self.server, &format!("{}{path}?json", self.mount));
        let is_open = |f: &Value| f["state"] == "open" && f["count"] == 2;
        let all = findings(self.agent, self.server, path, |all| {
            let mut its = all.iter().filter(|f| is_about(f, signal));
            its.any(|f| f["worker"]["role"] == self.role && is_open(f))
        });
        assert_eq!(all.len(), before, "the same cause is the same finding");
    }

    /// What is the same for everything that happens in this place.
    fn who(
        &self,
        finding: &Value,
        call: &Value,
        answer: &Value,
        group: &str,
        script: &str,
    ) -> Value {
        let is_daemon = self.role == "daemon";
        json!({
            "source": "probe",
            "server": {
                "name": finding["server"]["name"],
                "pid": self.server.pid(),
                "config": self.server.dir().join("httpd.conf"),
                "restrict_signal": "on",
                "restrict_signal_from": "default",
                "mod_wsgi": finding["server"]["mod_wsgi"],
            },
            "worker": {
                "pid": answer["pid"], "ns_pid": answer["pid"], "role": self.role,
                "mpm": self.mpm.name(), "process_group": is_daemon.then_some(PROCESS_GROUP),
            },
            "application": {
                "group": group,
                "interpreter": call["interpreter"],
                "script": self.server.app_file(script),
            },
            "main": call["tid"] == answer["pid"],
            "native": "complete",
            "version": answer["python"],
        })
    }

    /// What was blocked when `billing.py` was imported, long before the link was clicked.
    fn compare_attempt(&self, what: &str, finding: &Value, answer: &Value) {
        let call = call_for(answer, &finding["signal"]["number"]);
        assert_frames(finding, call);
        let who = self.who(finding, call, answer, BILLING_GROUP, "billing.py");
        assert_eq!(told_who(finding), who, "{what}");
        let told = json!({
            "also": finding["also"],
            "state": finding["state"],
            "count": finding["count"],
            "route": finding["route"],
            "outcome": finding["outcome"],
            "severity": finding["severity"],
            "wanted": finding["change"]["new"],
            "flags": finding["change"]["flags"],
            "blame": finding["blame"],
            "ended": finding["resolved_at"],
        });
        let expected = json!({
            "also": [],
            "state": "open",
            "count": 1,
            "route": "intercept",
            "outcome": "blocked",
            "severity": "warning",
            // A bound method is told by its function.
            "wanted": {
                "kind": "handler",
                "owner": self.server.app_file("billing.py"),
                "symbol": "Billing.on_signal",
            },
            "flags": [],
            "blame": {
                "file": self.server.app_file("billing.py"),
                "line": call["frames"][0]["line"],
                "function": call["frames"][0]["function"],
                "module": null,
            },
            "ended": null,
        });
        assert_eq!(told, expected, "{what}");
        // What stands is not the application's.
        let owner = finding["change"]["old"]["owner"].as_str();
        let is_server = |owner: &str| owner.starts_with("apache2") || owner.starts_with("mod_");
        assert!(owner.is_none_or(is_server), "{what}: {finding:#}");
    }

    /// The row's findings. A child of the prefork MPM ignores SIGINT by itself, so that ignoring it
    /// changes nothing there (`make_child` in server/mpm/prefork/prefork.c, httpd 2.4).
    fn expected(&self, route: &Route) -> Vec<(&'static str, &'static str)> {
        let has_sigint = self.mpm != Mpm::Prefork || self.role == "daemon";
        let all = route.findings.iter().copied();
        all.filter(|(signal, _)| has_sigint || *signal != "SIGINT")
            .collect()
    }

    /// Whether no finding about this worker and signal is open.
    fn is_resolved(&self, all: &[Value], signal: &str) -> bool {
        all.iter()
            .filter(|f| is_about(f, signal) && f["worker"]["role"] == self.role)
            .all(|f| f["state"] == "resolved")
    }

    fn compare(&self, what: &str, finding: &Value, rule: &str, answer: &Value, route: &Route) {
        let call = call_for(answer, &finding["signal"]["number"]);
        assert_frames(finding, call);
        let main = call["tid"] == answer["pid"];
        let signal = finding["signal"]["name"].as_str().unwrap();
        let is_ours = matches!(signal, "SIGTERM" | "SIGALRM" | "SIGUSR2");
        let resolved = route.restores.contains(&signal);
        let who = self.who(finding, call, answer, APPLICATION_GROUP, "pages.py");
        assert_eq!(told_who(finding), who, "{what}");
        let told = json!({
            "rule": finding["rule"],
            "also": finding["also"],
            "state": finding["state"],
            "count": finding["count"],
            "route": finding["route"],
            "outcome": finding["outcome"],
            "contested": finding["change"]["contested"],
            "owner": finding["change"]["new"]["owner"],
            "blame": finding["blame"],
            "exposed": finding["exposure_seconds"].as_f64().is_some_and(|s| s >= 0.0),
            "ended": finding["resolved_at"].is_string(),
        });
        let expected = json!({
            "rule": rule,
            "also": also(rule, signal, main),
            "state": if resolved { "resolved" } else { "open" },
            "count": 1,
            "route": "native",
            "outcome": "applied",
            "contested": false,
            "owner": match signal {
                "SIGTERM" | "SIGALRM" | "SIGUSR2" => json!(LIBRARY),
                // The handlers of faulthandler are the interpreter's code.
                "SIGBUS" | "SIGILL" | "SIGFPE" | "SIGABRT" | "SIGSEGV" => {
                    json!(finding["change"]["new"]["owner"].as_str().filter(|o| o.contains("python")))
                }
                _ => Value::Null,
            },
            "blame": {
                "file": self.server.app_file("takeovers.py"),
                "line": call["frames"][0]["line"],
                "function": call["frames"][0]["function"],
                "module": is_ours.then_some(LIBRARY),
            },
            "exposed": resolved,
            "ended": resolved,
        });
        assert_eq!(told, expected, "{what}");
    }
}

/// The parts of a finding that [`Place::who`] promises.
fn told_who(finding: &Value) -> Value {
    json!({
        "source": finding["source"],
        "server": finding["server"],
        "worker": finding["worker"],
        "application": finding["application"],
        "main": finding["thread"]["main"],
        "native": finding["native"]["result"],
        "version": finding["python"]["version"],
    })
}

/// The other rules that hold, in the order of precedence.
fn also(rule: &str, signal: &str, main: bool) -> Vec<&'static str> {
    let mut also = Vec::new();
    if rule != "restricted-registration" {
        also.push("restricted-registration");
    }
    if signal == "SIGALRM" {
        also.push("sigalrm");
    }
    if !main {
        also.push("secondary-thread");
    }
    also
}
