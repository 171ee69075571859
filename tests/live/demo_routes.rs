//! Each link of the demo site, in every kind of worker: the exact findings, frames and lines.

use serde_json::{Value, json};
use sigblame_tests::{
    agent::Agent,
    demo::{self, DAEMON_MOUNT, LIBRARY, ROUTES, Route},
    httpd::{Httpd, Mpm},
};

use crate::support::{ask, assert_frames, call_for, findings, is_about};

/// Where a link is clicked.
struct Place<'a> {
    agent: &'a Agent,
    server: &'a Httpd,
    mpm: Mpm,
    mount: &'static str,
    role: &'static str,
}

/// Event, worker and prefork MPM, embedded and in a daemon: each link gives the findings of its row
/// in `ROUTES` and no others, with the stack that Python itself noted, and what is given back
/// resolves them.
#[test]
fn each_link_gives_its_findings_in_every_worker() {
    let agent = Agent::start().unwrap();
    for mpm in Mpm::ALL {
        let server = demo::start(mpm).unwrap();
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
            // A link without findings proves nothing until a later one has its own.
            let arm = ROUTES.iter().find(|route| route.path == "/alarm/").unwrap();
            let restore = ROUTES.iter().find(|r| r.path == "/alarm/restore").unwrap();
            place.click(arm);
            place.click(restore);
        }
        let all = agent.findings(server.pid()).unwrap();
        let open: Vec<&Value> = all.iter().filter(|f| f["state"] == "open").collect();
        assert_eq!(open.len(), 2, "SIGTERM of two workers: {open:#?}");
        assert!(open.iter().all(|f| is_about(f, "SIGTERM")));
        let labels = [("server", open[0]["server"]["name"].as_str().unwrap())];
        let metrics = agent.metrics().unwrap();
        let overrides = metrics.sum("sigblame_override_seconds_count", &labels);
        assert_eq!(
            overrides,
            (all.len() - 2) as f64,
            "each resolved finding is one"
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
        let told = json!({
            "rule": finding["rule"],
            "also": finding["also"],
            "state": finding["state"],
            "count": finding["count"],
            "route": finding["route"],
            "outcome": finding["outcome"],
            "worker": finding["worker"],
            "main": finding["thread"]["main"],
            "contested": finding["change"]["contested"],
            "owner": finding["change"]["new"]["owner"],
            "blame": finding["blame"],
            "version": finding["python"]["version"],
            "sub-interpreter": finding["application"]["interpreter"].as_i64() > Some(0),
            "exposed": finding["exposure_seconds"].as_f64().is_some_and(|s| s >= 0.0),
            "ended": finding["resolved_at"].is_string(),
        });
        let pid = &answer["pid"];
        let expected = json!({
            "rule": rule,
            "also": also(rule, signal, main),
            "state": if resolved { "resolved" } else { "open" },
            "count": 1,
            "route": "native",
            "outcome": "applied",
            "worker": {
                "pid": pid, "ns_pid": finding["worker"]["ns_pid"], "role": self.role,
                "mpm": self.mpm.name(), "process_group": null,
            },
            "main": main,
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
            "version": answer["python"],
            "sub-interpreter": true,
            "exposed": resolved,
            "ended": resolved,
        });
        assert_eq!(told, expected, "{what}");
    }
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
