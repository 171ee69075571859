//! An agent that starts after the server: who is what is known from the inventory.

use sigblame_tests::{
    agent::Agent,
    demo::{self, DAEMON_MOUNT},
    httpd::Mpm,
    wait_for,
};

use crate::support::{PATIENCE, ask, assert_frames, call_for, findings};

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
