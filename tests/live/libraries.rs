//! Well-known libraries as those who change signal handlers, each used as an application uses it, in
//! a real worker: every registration, with who is to blame, the Python stack that the application
//! noted, and the native one.
//!
//! What each library does was seen first with `strace -f -k -e rt_sigaction`, without sigblame. The
//! Python side is in `apps/libraries`, the packages in `sigblame_tests::libraries`.
//!
//! | library | what makes it call | sets | gives back |
//! |---|---|---|---|
//! | polars 2.1 (Rust) | its import | SIGINT | never |
//! | pycurl 7.49 (libcurl 8.23) | each transfer, each close | SIGPIPE to ignore | what stood there |
//! | pyarrow 26 (C++) | reading, on the main thread, where Python has a handler | SIGINT | after the file |
//! | gevent 26.9 (libev) | the first hub | SIGCHLD | at once |
//! | | `signal_handler` | the signal | at `cancel` |
//! | uvloop 0.23 (libuv) | the first child | SIGCHLD | after the last one |
//! | | `add_signal_handler` | as asyncio | as asyncio |
//! | asyncio of 3.11 | `add_signal_handler` | the signal, then its SA_RESTART | at `remove_signal_handler` |
//! | faulthandler of 3.11 | `enable`, `register` | five crash signals, the signal | at `disable`, `unregister` |
//! | readline of 3.11 | its import | SIGWINCH | never |
//! | ncurses 6.4 | `initscr` | SIGINT, SIGTERM, SIGTSTP and SIGWINCH at their defaults | never |
//! | Go 1 (tls-client 2.0) | loading the library | SIGBUS, SIGFPE, SIGSEGV, SIGPIPE, SIGURG; SA_ONSTACK for other handlers | never |
//! | OpenJDK 17 (JPype 1.7) | `startJVM` | SIGUSR2, SIGSEGV, SIGPIPE, SIGBUS, SIGILL, SIGFPE, SIGXFSZ, SIGRTMIN+28 | never |
//! | | without `-Xrs` | SIGQUIT, SIGHUP, SIGINT, SIGTERM, too | never |
//!
//! Whoever starts the first thread of a process makes glibc set its own signal 33, which is nobody's
//! doing. The first import of `pyarrow` does so where a program has no other thread.

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
use crate::support::{ask, by_kind, findings};

mod expect;
mod extensions;
mod greenlets;
mod loops;
mod remedies;
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
    /// The registrations that were traced.
    lines: Vec<Value>,
    /// The calls that mod_wsgi blocked.
    attempts: Vec<Value>,
    /// Without those about attempts.
    findings: Vec<Value>,
}

/// The packages of these names, or the test is skipped: the answer is `None`.
pub(crate) fn environment(test: &str, packages: &[&str]) -> Option<Environment> {
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
pub(crate) fn builder(environment: &Environment) -> Builder {
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
    let (attempts, lines): (Vec<Value>, Vec<Value>) = trace
        .finish(server.pid())
        .unwrap()
        .into_iter()
        .filter(|line| line["worker"]["pid"] == answer["pid"])
        .partition(|line| line["kind"] == "blocked-attempt");
    let count = expected.iter().filter(|one| one.rule.is_some()).count();
    let given_back = expected.iter().filter(|one| one.resolved).count();
    let seen = findings(&agent, &server, name, |all| {
        let (_, takeovers) = by_kind(all.to_vec());
        let resolved = takeovers.iter().filter(|f| f["state"] == "resolved");
        takeovers.len() >= count && resolved.count() >= given_back
    });
    let (_, takeovers) = by_kind(seen);
    let metrics = agent.metrics().unwrap();
    let lost = metrics.sum("sigblame_events_lost_total", &[]);
    assert_eq!(lost, 0.0, "{name}: lost");
    Seen {
        environment: environment.clone(),
        server,
        answer,
        lines,
        attempts,
        findings: takeovers,
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
    check_attempts(test, packages, name, (when, restrict), expected, &[]);
}

/// The same, with the calls that mod_wsgi blocks: signal, innermost function and its file's end.
fn check_attempts(
    test: &str,
    packages: &[&str],
    name: &str,
    (when, restrict): (When, bool),
    expected: &[Expected],
    attempts: &[(&str, &str, &str)],
) {
    let Some(environment) = environment(test, packages) else {
        return;
    };
    let seen = see(&environment, name, (when, restrict), expected);
    compare(&seen, restrict, expected);
    remedies::compare(&seen, name);
    let log = &seen.attempts;
    assert_eq!(log.len(), attempts.len(), "{log:#?}");
    for (line, (signal, file, function)) in log.iter().zip(attempts) {
        assert_eq!(line["signal"]["name"], *signal, "{line:#}");
        let innermost = &line["python"]["frames"][0];
        assert_eq!(innermost["function"], *function, "{line:#}");
        let is_there = innermost["file"].as_str().unwrap().ends_with(file);
        assert!(is_there, "{line:#}");
    }
}
