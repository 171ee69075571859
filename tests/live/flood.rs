//! A process that registers in a loop.

use std::thread;

use sigblame_tests::{agent::Agent, httpd::Mpm, wait_for};

use crate::support::{
    HARD_DAEMON, PATIENCE, ask, assert_frames, call_for, findings, hard, is_about,
};

const CALLS: f64 = 50_000.0;

/// 50,000 calls of one process in about three seconds: each one is a record or counted as folded, another
/// worker's registration is seen meanwhile, and nothing is lost.
#[test]
fn loop_in_one_process_is_folded_and_hides_nobody_else() {
    let agent = Agent::start().unwrap();
    let server = hard(Mpm::Event).start().unwrap();
    ask(&server, &format!("{HARD_DAEMON}/reset/12"));
    ask(&server, "/reset/14");
    let folded = |agent: &Agent| {
        let labels = [("reason", "rate_limited")];
        agent
            .metrics()
            .unwrap()
            .sum("sigblame_probe_misses_total", &labels)
    };
    let before = folded(&agent);

    let looped = thread::scope(|scope| {
        let looping = scope.spawn(|| ask(&server, &format!("{HARD_DAEMON}/loop/12")));
        findings(&agent, &server, "the loop's first", |all| {
            all.iter().any(|f| is_about(f, "SIGUSR2"))
        });
        let answer = ask(&server, "/cdll/14");
        let found = findings(&agent, &server, "another worker's", |all| {
            all.iter().any(|f| is_about(f, "SIGALRM"))
        });
        let finding = found.iter().find(|f| is_about(f, "SIGALRM")).unwrap();
        assert_frames(finding, call_for(&answer, &14.into()));
        assert!(!looping.is_finished(), "it was seen while the loop went on");
        looping.join().unwrap()
    });
    assert_eq!(looped["notes"][0], "failed: 0");

    let found = agent.findings(server.pid()).unwrap();
    let finding = found.iter().find(|f| is_about(f, "SIGUSR2")).unwrap();
    let label = finding["server"]["name"].as_str().unwrap();
    let recorded = |agent: &Agent| {
        let labels = [("server", label), ("signal", "SIGUSR2")];
        let metrics = agent.metrics().unwrap();
        assert_eq!(metrics.sum("sigblame_events_lost_total", &[]), 0.0);
        // Putting back the default before the loop is one of them.
        metrics.sum("sigblame_registrations_total", &labels) - 1.0
    };
    let mut sums = (0.0, 0.0);
    let exact = wait_for(PATIENCE, || {
        sums = (recorded(&agent), folded(&agent) - before);
        (sums.0 + sums.1 == CALLS).then_some(())
    });
    assert!(exact.is_some(), "recorded and folded: {sums:?}");
    assert!(sums.0 >= 2_000.0 && sums.1 > sums.0, "{sums:?}");
}
