//! Well-known libraries as those who change signal handlers, each used as an application uses it, in
//! a real worker: every registration, with who is to blame, the Python stack that the application
//! noted, and the native one.
//!
//! What each library does was seen first with `strace -k -e rt_sigaction`, without sigblame. The
//! Python side is in `apps/libraries`, the packages in `sigblame_tests::libraries`.

use std::fs;

use serde_json::Value;
use sigblame_tests::{
    agent::{Agent, Trace},
    demo,
    httpd::{Builder, Httpd, Installation, Mpm, Place},
    libraries::{Environment, PACKAGES, java},
    package_dir,
    scratch::Scratch,
    skip,
};

use self::expect::{Expected, compare};
use crate::support::{ask, findings};

mod expect;
mod extensions;
mod greenlets;
mod loops;
mod runtimes;

/// Where a daemon process answers, in its main interpreter: most extensions know no other.
const DAEMON: &str = "/daemon";

/// When and where a library is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// In a request to a daemon process, on one of its request threads.
    Request,
    /// In a request to an embedded worker of the event MPM, on one of its request threads.
    Embedded,
    /// While a daemon process starts (`WSGIImportScript`), on its main thread.
    Import,
}

/// What was seen of a use.
struct Seen {
    environment: Environment,
    server: Httpd,
    answer: Value,
    lines: Vec<Value>,
    findings: Vec<Value>,
}

/// The packages of these names, or the test is skipped: the answer is `None`.
fn environment(test: &str, packages: &[&str]) -> Option<Environment> {
    let environment = Environment::find().unwrap();
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|package| packages.contains(&package.name) && !environment.has(package))
        .map(|package| package.name)
        .collect();
    let is_there = environment.home().join("pyvenv.cfg").is_file();
    if is_there && missing.is_empty() {
        return Some(environment);
    }
    let what = if is_there {
        missing.join(", ")
    } else {
        format!("the virtual environment {}", environment.home().display())
    };
    let why = format!("{what} not installed: `cargo xtask setup test`");
    skip(&format!("libraries::{test}"), &why);
    None
}

/// A server whose Python has the packages, and no application yet.
fn builder(environment: &Environment) -> Builder {
    let mut installation = Installation::find().unwrap();
    installation.python_home = Some(environment.home().to_path_buf());
    let apps = package_dir().join("apps");
    let mut builder = Builder::on(installation, Mpm::Event)
        .unwrap()
        .files(&apps.join("demo"))
        .unwrap()
        .files(&apps.join("libraries"))
        .unwrap();
    let library = builder.app_dir().join(demo::LIBRARY);
    demo::compile(&apps.join("demo/takeover.c"), &library).unwrap();
    if let Some(home) = java() {
        builder = builder.env("JAVA_HOME", home.to_str().unwrap());
    }
    builder
}

/// Uses the library on a server of its own, restricted as `restrict` says, and waits until the
/// expected findings are open or resolved.
fn see(
    environment: &Environment,
    name: &str,
    (when, restrict): (When, bool),
    expected: &[Expected],
) -> Seen {
    let config = Scratch::new("policy").unwrap();
    let file = config.path().join("sigblame.yaml");
    let policy = if restrict { "on" } else { "off" };
    fs::write(&file, format!("policy:\n  restrict_signal: {policy}\n")).unwrap();
    let arguments = ["--config", file.to_str().unwrap()];
    let agent = Agent::with(&arguments).unwrap();
    let trace = Trace::start(&arguments).unwrap();

    // `at_import.py` uses what its process group is named after.
    let daemon = Place::daemon(name, "%{GLOBAL}");
    let mut builder = builder(environment)
        .restrict(restrict)
        .daemon(name, "processes=1 threads=3")
        .script(DAEMON, "application.py", &daemon)
        .script("/", "application.py", &Place::embedded("%{GLOBAL}"));
    if when == When::Import {
        builder = builder.import_script("at_import.py", &daemon);
    }
    let server = builder.start().unwrap();
    let path = match when {
        When::Request => format!("{DAEMON}/{name}"),
        When::Embedded => format!("/{name}"),
        When::Import => format!("{DAEMON}/imported/{name}"),
    };
    let answer = ask(&server, &path);
    assert_eq!(answer["failure"], Value::Null, "{name}: {answer:#}");
    assert_eq!(answer["main_thread"], when == When::Import, "{name}");
    let lines: Vec<Value> = trace
        .finish(server.pid())
        .unwrap()
        .into_iter()
        .filter(|line| line["worker"]["pid"] == answer["pid"])
        .collect();
    let count = expected.iter().filter(|one| one.rule.is_some()).count();
    let given_back = expected.iter().filter(|one| one.resolved).count();
    let seen = findings(&agent, &server, name, |all| {
        let resolved = all.iter().filter(|finding| finding["state"] == "resolved");
        all.len() >= count && resolved.count() >= given_back
    });
    let metrics = agent.metrics().unwrap();
    let lost = metrics.sum("sigblame_events_lost_total", &[]);
    assert_eq!(lost, 0.0, "{name}: lost");
    Seen {
        environment: environment.clone(),
        server,
        answer,
        lines,
        findings: seen,
    }
}

/// Uses a library and compares everything, one registration after the other.
fn check(
    test: &str,
    packages: &[&str],
    name: &str,
    (when, restrict): (When, bool),
    expected: &[Expected],
) {
    let Some(environment) = environment(test, packages) else {
        return;
    };
    let seen = see(&environment, name, (when, restrict), expected);
    compare(&seen, restrict, expected);
}
