//! What a worker's children do to their own signals is theirs.

use sigblame_tests::{
    agent::{Agent, Trace},
    demo::{self, DAEMON_MOUNT},
    httpd::Mpm,
    wait_for,
};

use crate::support::{PATIENCE, ask};

/// A link, how many registrations the worker itself makes, and how many findings those are.
const LINKS: [(&str, usize, usize); 4] = [
    // The children reset dozens of signals before their exec, SIGTERM among them.
    ("/subprocess/", 0, 0),
    // A forked child sets SIGTERM to its default.
    ("/fork/", 0, 0),
    // The worker ignores SIGINT and SIGQUIT, and puts both back.
    ("/system/", 4, 2),
    // Ignoring what is ignored.
    ("/sigpipe-ignore/", 1, 0),
];

/// `subprocess.run`, `os.posix_spawn`, a fork in C and `os.system`: registrations of the children are
/// counted as exempt, and neither a finding nor a line of the trace is about one.
#[test]
fn children_of_workers_are_exempt_and_counted() {
    let agent = Agent::start().unwrap();
    let server = demo::start(Mpm::Event).unwrap();
    let exempt = || {
        let metrics = agent.metrics().unwrap();
        metrics.sum("sigblame_events_total", &[("kind", "exempt")])
    };
    for mount in ["", DAEMON_MOUNT] {
        for (link, registrations, takeovers) in LINKS {
            let trace = Trace::start(&[]).unwrap();
            let (before, known) = (exempt(), agent.findings(server.pid()).unwrap().len());
            let answer = ask(&server, &format!("{mount}{link}?json"));
            let lines = trace.finish(server.pid()).unwrap();
            assert_eq!(lines.len(), registrations, "{mount}{link}: {lines:#?}");
            for line in &lines {
                assert_eq!(line["worker"]["pid"], answer["pid"], "{mount}{link}");
            }
            if link != "/sigpipe-ignore/" {
                let rises = wait_for(PATIENCE, || (exempt() > before).then_some(()));
                assert!(rises.is_some(), "{mount}{link}: the child's are counted");
            }
            let found = wait_for(PATIENCE, || {
                let all = agent.findings(server.pid()).unwrap();
                (all.len() == known + takeovers).then_some(())
            });
            assert!(found.is_some(), "{mount}{link}: {takeovers} findings");
        }
    }
}
