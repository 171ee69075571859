//! Children that share a worker's memory, thread pointer and Python: never walked, never blamed.

use std::{thread, time::Duration};

use sigblame_tests::{
    agent::Agent,
    httpd::{Installation, Mpm, Place},
    wait_for,
};

use super::{A, ALONE, builder};
use crate::support::{PATIENCE, ask};

pythons! { pyenv: are_left_alone }
pythons! { are_left_alone:
    debian_sid_3_14: root("sid", 14);
    debian_sid_3_15: root("sid", 15);
}

/// `subprocess` resets SIGPIPE and SIGXFSZ in each of two children, and `clone` takes one; where there
/// is `posix_spawn`, it resets dozens.
const LEAST: f64 = 5.0;

/// Registrations of the children are counted as exempt and nothing else: neither their stacks nor
/// findings; those of the worker itself are told.
fn are_left_alone(installation: &Installation) {
    let agent = Agent::start().unwrap();
    let server = builder(installation, Mpm::Event)
        .daemon("alone", "processes=1 threads=3")
        .script(ALONE, "matrix.py", &Place::daemon("alone", "%{GLOBAL}"))
        .script(A, "matrix.py", &Place::embedded("a"))
        .start()
        .unwrap();
    let count = |name, labels: &[_]| agent.metrics().unwrap().sum(name, labels);
    let exempt = || count("sigblame_events_total", &[("kind", "exempt")]);
    let walked = || count("sigblame_python_stacks_total", &[]);
    for mount in [A, ALONE] {
        let first = ask(&server, &format!("{mount}/plain"));
        let worker = &first["pid"];
        let is_told = || agent.findings(server.pid()).unwrap();
        let own = wait_for(PATIENCE, || {
            is_told()
                .iter()
                .find(|f| f["worker"]["pid"] == *worker)
                .cloned()
        });
        assert!(own.is_some(), "{mount}: the worker's own");

        let (exempt_before, walked_before) = (exempt(), settled(&walked));
        let answer = ask(&server, &format!("{mount}/in_shared_memory"));
        assert!(answer["notes"][0].as_i64() > Some(0), "{answer:#}");
        let rises = wait_for(PATIENCE, || {
            (exempt() >= exempt_before + LEAST && walked() > walked_before).then_some(())
        });
        assert!(
            rises.is_some(),
            "{mount}: {} exempt",
            exempt() - exempt_before
        );
        assert_eq!(
            settled(&walked) - walked_before,
            1.0,
            "{mount}: the worker's last call"
        );
        if mount == ALONE {
            let before = exempt();
            ask(&server, &format!("{mount}/forked"));
            let rises = wait_for(PATIENCE, || (exempt() > before).then_some(()));
            assert!(rises.is_some(), "{mount}: the forked child's is exempt");
        }
        for finding in is_told() {
            assert_eq!(finding["signal"]["name"], "SIGUSR2", "{finding:#}");
            let worker = finding["worker"]["pid"].as_u64().unwrap();
            let workers = server.children().unwrap();
            assert!(
                workers.iter().any(|pid| u64::from(*pid) == worker),
                "{finding:#}"
            );
        }
    }
}

/// A count that has stopped to rise: what happened before is in it.
fn settled(count: &impl Fn() -> f64) -> f64 {
    let mut last = count();
    loop {
        thread::sleep(Duration::from_millis(200));
        let now = count();
        if now == last {
            return now;
        }
        last = now;
    }
}
