//! A clean application gives no finding, whatever its server goes through.

use sigblame_tests::{
    agent::{Agent, Trace},
    demo::{self, DAEMON_MOUNT, PROCESS_GROUP},
    httpd::{Httpd, Mpm},
    wait_for,
};

use crate::support::{PATIENCE, ask_often};

/// What httpd, mod_wsgi and the interpreter register is never taken for the application's: not at
/// the start, in 200 requests, a graceful restart, 200 more and the stop.
#[test]
fn clean_site_is_quiet_through_its_whole_life() {
    let agent = Agent::start().unwrap();
    for mpm in Mpm::ALL {
        let trace = Trace::start(&["--all"]).unwrap();
        let server = demo::without_billing(mpm).unwrap().start().unwrap();
        let seen = live(&agent, server, trace, mpm);
        // A master, and a worker and a daemon of either generation: the agent knows the program
        // before it runs for the first time.
        assert!(
            seen >= 5,
            "{mpm:?}: the whole life was traced, {seen} processes"
        );
    }
}

/// The same for an agent and a trace that come when the server is already there.
#[test]
fn clean_site_is_quiet_for_an_agent_that_comes_later() {
    for mpm in Mpm::ALL {
        let server = demo::without_billing(mpm).unwrap().start().unwrap();
        clicks(&server, 20);
        let agent = Agent::start().unwrap();
        let trace = Trace::start(&["--all"]).unwrap();
        let seen = live(&agent, server, trace, mpm);
        assert!(
            seen >= 3,
            "{mpm:?}: the second half was traced, {seen} processes"
        );
    }
}

/// Requests, a graceful restart, requests and the stop. How many processes registered something.
fn live(agent: &Agent, server: Httpd, trace: Trace, mpm: Mpm) -> usize {
    let master = server.pid();
    clicks(&server, 200);
    server.graceful().unwrap();
    clicks(&server, 200);
    assert_eq!(attempts(agent), 0.0, "{mpm:?}");
    assert!(!server.stop().unwrap().forced);
    let is_gone = || {
        agent
            .metrics()
            .unwrap()
            .sum("sigblame_events_total", &[("kind", "exit")])
    };
    assert!(wait_for(PATIENCE, || (is_gone() >= 3.0).then_some(())).is_some());

    let lines = trace.finish(master).unwrap();
    for line in &lines {
        assert_eq!(line["kind"], "registration", "{mpm:?}: {line:#}");
        assert_ne!(line["origin"], "application", "{mpm:?}: {line:#}");
        if line["worker"]["role"] == "daemon" {
            assert_eq!(line["worker"]["process_group"], PROCESS_GROUP, "{line:#}");
        }
    }
    assert_eq!(agent.findings(master).unwrap().len(), 0, "{mpm:?}");
    let metrics = agent.metrics().unwrap();
    assert_eq!(metrics.sum("sigblame_events_lost_total", &[]), 0.0);
    let mut pids: Vec<u64> = lines
        .iter()
        .filter_map(|line| line["worker"]["pid"].as_u64())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids.len()
}

/// How many calls of `signal.signal` were blocked in all servers that run.
fn attempts(agent: &Agent) -> f64 {
    let metrics = agent.metrics().unwrap();
    metrics.sum("sigblame_blocked_attempts_total", &[])
}

fn clicks(server: &Httpd, times: usize) {
    for mount in ["", DAEMON_MOUNT] {
        ask_often(server, &format!("{mount}/clean/?json"), times / 2);
    }
}
