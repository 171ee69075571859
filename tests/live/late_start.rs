//! An agent that starts after the server: who is what is known from the inventory.

use serde_json::json;
use sigblame_tests::{
    agent::Agent,
    demo::{self, APPLICATION_GROUP, DAEMON_MOUNT, PROCESS_GROUP},
    httpd::Mpm,
    wait_for,
};

use crate::support::{PATIENCE, ask, assert_frames, blocked_at_start, call_for, findings};

/// Workers that were there before have their roles before they register anything, and what they
/// then do is told with its stack.
#[test]
fn workers_that_were_there_before_have_their_roles() {
    for mpm in Mpm::ALL {
        let server = demo::start(mpm).unwrap();
        for mount in ["", DAEMON_MOUNT] {
            ask(&server, &format!("{mount}/clean/?json"));
        }
        let agent = Agent::start().unwrap();
        for (number, (mount, role)) in (1..).zip([(DAEMON_MOUNT, "daemon"), ("", "embedded")]) {
            let answer = ask(&server, &format!("{mount}/ctypes/?json"));
            let found = findings(&agent, &server, role, |all| all.len() == number);
            let finding = found.last().unwrap();
            assert_eq!(finding["worker"]["role"], role, "{mpm:?}");
            assert_eq!(finding["worker"]["pid"], answer["pid"], "{mpm:?}");
            assert_eq!(finding["worker"]["mpm"], mpm.name());
            let group = (role == "daemon").then_some(PROCESS_GROUP);
            assert_eq!(finding["worker"]["process_group"], json!(group), "{mpm:?}");
            let application = json!({
                "group": APPLICATION_GROUP,
                "interpreter": answer["calls"][0]["interpreter"],
                "script": server.app_file("pages.py"),
            });
            assert_eq!(finding["application"], application, "{mpm:?}");
            assert_eq!(finding["server"]["restrict_signal_from"], "default");
            let config = server.dir().join("httpd.conf");
            assert_eq!(finding["server"]["config"], json!(config));
            assert_frames(finding, call_for(&answer, &finding["signal"]["number"]));
            let server = finding["server"]["name"].as_str().unwrap();
            let labels = [("server", server), ("role", role)];
            let counted = wait_for(PATIENCE, || {
                let metrics = agent.metrics().unwrap();
                (metrics.sum("sigblame_workers", &labels) == 1.0).then_some(())
            });
            assert!(counted.is_some(), "{mpm:?}: one {role}");
        }
    }
}

/// What was attempted before cannot be known, what comes is: the mod_wsgi that a server has long
/// had in use is probed, and heard when its next workers import what they run.
#[test]
fn next_workers_attempts_are_heard() {
    for mpm in Mpm::ALL {
        let server = demo::start(mpm).unwrap();
        let answer = ask(&server, "/import/?json");
        let agent = Agent::start().unwrap();
        assert_eq!(agent.findings(server.pid()).unwrap().len(), 0, "{mpm:?}");
        server.graceful().unwrap();
        let later = ask(&server, "/import/?json");
        assert_ne!(later["pid"], answer["pid"], "{mpm:?}");
        for finding in blocked_at_start(&agent, &server) {
            assert_eq!(finding["rule"], "blocked-attempt", "{finding:#}");
            if finding["worker"]["role"] == "embedded" {
                assert_eq!(finding["worker"]["pid"], later["pid"], "{finding:#}");
                assert_frames(&finding, call_for(&later, &finding["signal"]["number"]));
            }
        }
    }
}
