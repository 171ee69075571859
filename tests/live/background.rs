//! A server that is started as a service: the process that was started is not the master.

use std::fs;

use sigblame_tests::{
    agent::Agent,
    demo::{self, DAEMON_MOUNT},
    httpd::Mpm,
    wait_for,
};

use crate::support::{PATIENCE, ask, assert_frames, call_for, findings};

/// `apache2 -k start`: the master is the one of the pid file, its workers have their roles, and what
/// they do is told. Also across a graceful restart, and for an agent that comes later.
#[test]
fn server_in_the_background_is_known_by_its_real_master() {
    for mpm in Mpm::ALL {
        let agent = Agent::start().unwrap();
        let server = demo::builder(mpm).unwrap().background().start().unwrap();
        let pid = fs::read_to_string(server.dir().join("httpd.pid")).unwrap();
        assert_eq!(pid.trim(), server.pid().to_string());
        for count in [0, 2] {
            for (number, (mount, role)) in
                (count + 1..).zip([("", "embedded"), (DAEMON_MOUNT, "daemon")])
            {
                let answer = ask(&server, &format!("{mount}/ctypes/?json"));
                let found = findings(&agent, &server, role, |all| all.len() == number);
                let finding = found.last().unwrap();
                assert_eq!(finding["worker"]["role"], role, "{mpm:?}: {finding:#}");
                assert_frames(finding, call_for(&answer, &finding["signal"]["number"]));
                let name = finding["server"]["name"].as_str().unwrap();
                let labels = [("server", name), ("role", role)];
                let known = wait_for(PATIENCE, || {
                    let metrics = agent.metrics().unwrap();
                    (metrics.sum("sigblame_workers", &labels) == 1.0).then_some(())
                });
                assert!(known.is_some(), "{mpm:?}: one {role}");
            }
            if count == 0 {
                server.graceful().unwrap();
                // The old workers' takeovers end with them.
                findings(&agent, &server, "graceful restart", |all| {
                    all.iter().all(|f| f["state"] == "resolved")
                });
            }
        }
        let later = Agent::start().unwrap();
        assert_eq!(later.findings(server.pid()).unwrap().len(), 0);
        ask(&server, &format!("{DAEMON_MOUNT}/alarm/?json"));
        let found = findings(&later, &server, "later", |all| all.len() == 1);
        assert_eq!(found[0]["worker"]["role"], "daemon");
        let children = server.children().unwrap();
        assert!(!server.stop().unwrap().forced);
        for child in children {
            assert!(!fs::exists(format!("/proc/{child}")).unwrap());
        }
    }
}
