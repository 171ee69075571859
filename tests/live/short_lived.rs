//! Workers that live for one request.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Mpm, Place},
    wait_for,
};

use crate::support::{PATIENCE, ask_often, assert_frames, builder, call_for};

const WORKERS: usize = 300;

/// 300 workers that register at import and are gone milliseconds later: each one is seen, with the
/// complete stack that Python itself noted, and no event is lost.
#[test]
fn short_lived_workers_are_all_seen_with_their_stacks() {
    let agent = Agent::start().unwrap();
    let trace = Trace::start(&[]).unwrap();
    // Many at first: httpd makes new ones in bursts, once a second.
    let server = builder(Mpm::Prefork)
        .children(64)
        .max_connections_per_child(1)
        .script("/", "shortlived.py", &Place::embedded("shortlived"))
        .start()
        .unwrap();
    let master = server.pid();
    let answers = ask_often(&server, "/", WORKERS);
    let by_pid: HashMap<u64, &Value> = answers
        .iter()
        .filter_map(|answer| Some((answer["pid"].as_u64()?, answer)))
        .collect();
    assert_eq!(
        by_pid.len(),
        WORKERS,
        "each request had a worker of its own"
    );

    let lines = trace.finish(master).unwrap();
    let mut seen = HashSet::new();
    for line in &lines {
        assert_eq!(line["python"]["result"], "complete", "{line:#}");
        let innermost = &line["python"]["frames"][0];
        assert_eq!(innermost["function"], "Cache.__init__", "{line:#}");
        assert_eq!(line["worker"]["role"], "embedded", "{line:#}");
        assert_eq!(line["outcome"], "applied", "{line:#}");
        let pid = line["worker"]["pid"].as_u64().unwrap();
        // mod_wsgi loads the script when a worker starts; some are still waiting for a request.
        if let Some(answer) = by_pid.get(&pid) {
            assert_frames(line, call_for(answer, &line["signal"]["number"]));
        }
        assert!(seen.insert(pid), "one registration each: {line:#}");
    }
    let missing: Vec<_> = by_pid.keys().filter(|pid| !seen.contains(pid)).collect();
    assert!(missing.is_empty(), "not seen: {missing:?}");
    server.stop().unwrap();

    let takeovers = |all: &[Value]| all.iter().filter_map(|f| f["count"].as_u64()).sum::<u64>();
    wait_for(PATIENCE, || {
        (takeovers(&agent.findings(master).unwrap()) >= seen.len() as u64).then_some(())
    })
    .unwrap();
    let metrics = agent.metrics().unwrap();
    assert_eq!(metrics.sum("sigblame_events_lost_total", &[]), 0.0);
    let labels = [("result", "complete")];
    assert!(metrics.sum("sigblame_python_stacks_total", &labels) >= seen.len() as f64);
}
