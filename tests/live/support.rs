//! What the live tests share.

use std::{thread, time::Duration};

use serde_json::Value;
use sigblame_tests::{
    agent::Agent,
    demo::{self, LIBRARY, ROUTES},
    httpd::{Builder, Httpd, Mpm, Place},
    package_dir, wait_for,
};

/// How long something may take that should be there at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Where `hard.py` runs in a daemon process, in an interpreter of its own.
pub(crate) const HARD_DAEMON: &str = "/daemon";
/// Where it runs in the main interpreter of an embedded worker.
pub(crate) const HARD_MAIN: &str = "/main";

/// The answer of a page that answers in JSON.
pub(crate) fn ask(server: &Httpd, path: &str) -> Value {
    let response = server.get(path).unwrap();
    assert_eq!(
        response.status,
        200,
        "{path}: {}\n{}",
        response.body,
        server.error_log()
    );
    serde_json::from_str(&response.body).unwrap()
}

/// A server with the files of `apps/live`, their libraries, and no application yet.
pub(crate) fn builder(mpm: Mpm) -> Builder {
    let apps = package_dir().join("apps");
    let builder = Builder::new(mpm)
        .unwrap()
        .files(&apps.join("demo"))
        .unwrap()
        .files(&apps.join("live"))
        .unwrap();
    let libraries = [("demo/takeover.c", LIBRARY), ("live/hard.c", "libhard.so")];
    for (source, library) in libraries {
        demo::compile(&apps.join(source), &builder.app_dir().join(library)).unwrap();
    }
    builder
}

/// A server with `hard.py` in a sub-interpreter at `/` and at [`HARD_DAEMON`], and in the main
/// interpreter at [`HARD_MAIN`].
pub(crate) fn hard(mpm: Mpm) -> Builder {
    builder(mpm)
        .daemon("hard", "processes=1 threads=4")
        .script(HARD_DAEMON, "hard.py", &Place::daemon("hard", "hard"))
        .script(HARD_MAIN, "hard.py", &Place::embedded("%{GLOBAL}"))
        .script("/", "hard.py", &Place::embedded("hard"))
}

/// Waits until the findings about a server are what `fit` wants, and gives them.
pub(crate) fn findings(
    agent: &Agent,
    server: &Httpd,
    what: &str,
    fit: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let mut last = Vec::new();
    let found = wait_for(PATIENCE, || {
        last = agent.findings(server.pid()).unwrap();
        fit(&last).then_some(())
    });
    assert!(
        found.is_some(),
        "{what}: {}\n{}",
        serde_json::to_string_pretty(&last).unwrap(),
        agent.log()
    );
    last
}

/// Waits until the demo site has told what `billing.py` attempts when a server starts, in an
/// embedded worker and in a daemon, and gives that.
pub(crate) fn blocked_at_start(agent: &Agent, server: &Httpd) -> Vec<Value> {
    let at_start = ROUTES.iter().map(|route| route.at_start.len());
    let expected = 2 * at_start.sum::<usize>();
    let found = findings(agent, server, "blocked at the start", |all| {
        all.len() >= expected
    });
    assert_eq!(found.len(), expected, "{found:#?}");
    found
}

/// Findings about blocked attempts, and about takeovers.
pub(crate) fn by_kind(all: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
    all.into_iter()
        .partition(|finding| finding["rule"] == "blocked-attempt")
}

/// Whether a finding or a line is about this signal.
pub(crate) fn is_about(finding: &Value, signal: &str) -> bool {
    finding["signal"]["name"] == signal
}

/// Asserts that a stack is what Python itself noted for a call, line by line.
pub(crate) fn assert_frames(finding: &Value, call: &Value) {
    assert_eq!(finding["python"]["result"], "complete", "{finding:#}");
    assert_eq!(finding["python"]["left_out"], 0, "{finding:#}");
    assert_eq!(
        finding["python"]["frames"], call["frames"],
        "what sigblame saw, and what Python says"
    );
    assert_eq!(finding["thread"]["tid"], call["tid"], "{finding:#}");
}

/// The call that a page noted for a signal's number.
pub(crate) fn call_for<'a>(answer: &'a Value, number: &Value) -> &'a Value {
    answer["calls"]
        .as_array()
        .unwrap()
        .iter()
        .find(|call| call["signals"].as_array().unwrap().contains(number))
        .unwrap_or_else(|| panic!("no call for signal {number}: {answer:#}"))
}

/// Asks for a page `times` times, from four threads: a server is seldom asked by one client.
pub(crate) fn ask_often(server: &Httpd, path: &str, times: usize) -> Vec<Value> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let share = times / 4 + usize::from(client < times % 4);
                scope.spawn(move || (0..share).map(|_| ask(server, path)).collect::<Vec<_>>())
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    })
}
