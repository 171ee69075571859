//! A server that is started as a service: the process that was started is not the master.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};
use sigblame_tests::{
    agent::Agent,
    demo::{self, DAEMON_MOUNT, PROCESS_GROUP},
    httpd::{Httpd, Mpm},
    wait_for,
};

use crate::support::{PATIENCE, ask, assert_frames, blocked_at_start, by_kind, call_for, findings};

/// `apache2 -k start`: the master is the one of the pid file, its workers have their roles, and what
/// they do is told. Also across a graceful restart, and for an agent that comes later.
#[test]
fn server_in_the_background_is_known_by_its_real_master() {
    for mpm in Mpm::ALL {
        let agent = Agent::start().unwrap();
        let server = demo::builder(mpm).unwrap().background().start().unwrap();
        let pid = fs::read_to_string(server.dir().join("httpd.pid")).unwrap();
        assert_eq!(pid.trim(), server.pid().to_string());
        let at_start = blocked_at_start(&agent, &server).len();
        for generation in [1, 2] {
            for (mount, role) in [("", "embedded"), (DAEMON_MOUNT, "daemon")] {
                let answer = ask(&server, &format!("{mount}/ctypes/?json"));
                // The same cause in the next generation is the same finding.
                let is_it = |finding: &Value| {
                    finding["worker"]["role"] == role
                        && finding["state"] == "open"
                        && finding["count"] == generation
                };
                let found = findings(&agent, &server, role, |all| {
                    by_kind(all.to_vec()).1.iter().any(is_it)
                });
                let (_, mut found) = by_kind(found);
                found.retain(is_it);
                let [finding] = &found[..] else {
                    panic!("{mpm:?}: {found:#?}");
                };
                let group = (role == "daemon").then_some(PROCESS_GROUP);
                assert_eq!(finding["worker"]["process_group"], json!(group));
                assert_eq!(finding["server"]["pid"], server.pid());
                assert_eq!(finding["server"]["restrict_signal_from"], "default");
                assert_frames(finding, call_for(&answer, &finding["signal"]["number"]));
                let name = finding["server"]["name"].as_str().unwrap();
                let labels = [("server", name), ("role", role)];
                let known = wait_for(PATIENCE, || {
                    let metrics = agent.metrics().unwrap();
                    (metrics.sum("sigblame_workers", &labels) == 1.0).then_some(())
                });
                assert!(known.is_some(), "{mpm:?}: one {role}");
            }
            if generation == 1 {
                server.graceful().unwrap();
                // The old workers' takeovers end with them.
                findings(&agent, &server, "graceful restart", |all| {
                    let (_, takeovers) = by_kind(all.to_vec());
                    takeovers.iter().all(|f| f["state"] == "resolved")
                });
                assert_attempts(&agent, &server, 2, at_start);
            }
        }
        let later = Agent::start().unwrap();
        assert_eq!(later.findings(server.pid()).unwrap().len(), 0);
        ask(&server, &format!("{DAEMON_MOUNT}/alarm/?json"));
        // What stood there before is a drift, when it was looked at twice.
        let found = findings(&later, &server, "later", |all| {
            all.iter()
                .any(|finding| finding["rule"] != "disposition-drift")
        });
        let mut heard = found.iter().filter(|f| f["rule"] != "disposition-drift");
        assert_eq!(heard.next().unwrap()["worker"]["role"], "daemon");
        assert_eq!(heard.next(), None);
        let children = server.children().unwrap();
        assert!(!server.stop().unwrap().forced);
        for child in children {
            assert!(!fs::exists(format!("/proc/{child}")).unwrap());
        }
    }
}

/// Each cause was attempted once a generation, and is open once: by the workers that live.
fn assert_attempts(agent: &Agent, server: &Httpd, generations: u64, causes: usize) {
    let found = findings(agent, server, "attempts of the new workers", |all| {
        let (attempts, _) = by_kind(all.to_vec());
        let open = attempts.iter().filter(|f| f["state"] == "open").count();
        let count: u64 = attempts.iter().filter_map(|f| f["count"].as_u64()).sum();
        open == causes && count == generations * causes as u64
    });
    let mut counts = BTreeMap::new();
    for finding in by_kind(found).0 {
        let fingerprint = finding["fingerprint"].as_str().unwrap().to_owned();
        *counts.entry(fingerprint).or_insert(0) += finding["count"].as_u64().unwrap();
    }
    assert_eq!(counts.len(), causes);
    assert!(
        counts.values().all(|count| *count == generations),
        "{counts:?}"
    );
}
