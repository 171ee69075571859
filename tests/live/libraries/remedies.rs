//! What a finding tells to do about a library, and that it helps: with the library's own switch the
//! same use changes nothing, or no longer what the switch is about.

use serde_json::Value;
use sigblame_tests::{libraries::java, skip};

use super::{
    Seen,
    When::{Import, Request},
    check, environment,
    expect::{Expected, Side},
    see,
};

/// A part of what is told about a use, by the signal where the switch is not for all.
const SWITCHES: &[(&str, Option<&str>, &str)] = &[
    ("polars", None, "polars has no switch for it"),
    ("pyarrow", None, "mod_wsgi.subscribe_shutdown"),
    ("gevent", Some("SIGCHLD"), "GEVENT_LOOP=libuv-cffi"),
    ("gevent", Some("SIGUSR2"), "remove gevent.signal_handler"),
    ("uvloop", None, "asyncio.to_thread(subprocess.run"),
    ("asyncio", None, "Remove loop.add_signal_handler"),
    ("readline", None, "the import of readline"),
    ("curses", None, "curses.setupterm"),
    (
        "tls_client",
        None,
        "run the Go library in a process of its own",
    ),
    ("jpype", Some("SIGTERM"), "-Xrs"),
    ("jpype", Some("SIGQUIT"), "-Xrs"),
    ("jpype", Some("SIGUSR2"), "_JAVA_SR_SIGNUM"),
    ("jpype", Some("SIGSEGV"), "in a process of its own"),
    ("jpype_xrs", Some("SIGUSR2"), "_JAVA_SR_SIGNUM"),
];

/// Each finding about a library ends in that library's own way.
pub(super) fn compare(seen: &Seen, name: &str) {
    for finding in &seen.findings {
        let (signal, remedy) = (&finding["signal"]["name"], &finding["remedy"]);
        let remedy = remedy.as_str().unwrap();
        let about = SWITCHES
            .iter()
            .filter(|(of, on, _)| *of == name && on.is_none_or(|on| signal == on));
        for (_, _, switch) in about {
            let switch = switch.to_lowercase();
            assert!(remedy.to_lowercase().contains(&switch), "{finding:#}");
        }
        assert!(remedy.ends_with('.') && !remedy.contains(". "), "{remedy}");
    }
}

/// Nothing at all is registered, and so nothing found.
fn is_silent(test: &str, packages: &[&str], name: &str, when: super::When) {
    let test = format!("remedies::{test}");
    let Some(environment) = environment(&test, packages) else {
        return;
    };
    let seen = see(&environment, name, (when, true), &[]);
    assert!(seen.lines.is_empty(), "{:#?}", seen.lines);
    assert!(seen.attempts.is_empty(), "{:#?}", seen.attempts);
    assert!(seen.findings.is_empty(), "{:#?}", seen.findings);
}

#[test]
fn libcurl_with_nosignal_sets_nothing() {
    let test = "libcurl_with_nosignal_sets_nothing";
    is_silent(test, &["pycurl"], "pycurl_nosignal", Request);
}

#[test]
fn a_child_of_a_thread_takes_no_sigchld() {
    let test = "a_child_of_a_thread_takes_no_sigchld";
    is_silent(test, &["uvloop"], "uvloop_to_thread", Request);
}

#[test]
fn curses_without_a_screen_takes_nothing() {
    let test = "curses_without_a_screen_takes_nothing";
    is_silent(test, &[], "curses_without_a_screen", Request);
}

#[test]
fn faulthandler_tells_a_stack_without_a_signal() {
    let test = "faulthandler_tells_a_stack_without_a_signal";
    is_silent(test, &[], "faulthandler_later", Request);
}

/// Python's handler comes from the application; pyarrow leaves it alone then.
#[test]
fn pyarrow_that_is_switched_off_leaves_sigint_alone() {
    let handler = Side::Handler("libpython3.");
    let expected = [
        Expected::new("SIGINT", Side::Handler("mod_wsgi.so"), handler)
            .through(&[("/signal.py", "signal", "_signal.signal(")])
            .finding("reserved-signal")
            .by_signal_signal(),
    ];
    check(
        "remedies::pyarrow_that_is_switched_off_leaves_sigint_alone",
        &["pyarrow"],
        "pyarrow_switched_off",
        (Import, false),
        &expected,
    );
}

/// The other switch of Java's: SIGUSR2 is free, and a real-time signal is taken in its place.
#[test]
fn java_takes_another_signal_than_sigusr2() {
    let test = "remedies::java_takes_another_signal_than_sigusr2";
    if java().is_none() {
        let why = "no Java virtual machine: `cargo xtask setup java`";
        return skip(&format!("libraries::{test}"), why);
    }
    let Some(environment) = environment(test, &["JPype1"]) else {
        return;
    };
    let taken = |signal| Expected::new(signal, Side::Default, Side::Default).finding("any");
    let seen = see(
        &environment,
        "jpype_other_signal",
        (Import, true),
        &[taken("SIGRTMIN+6")],
    );
    let names: Vec<&Value> = seen
        .lines
        .iter()
        .map(|line| &line["signal"]["name"])
        .collect();
    for (signal, is_taken) in [("SIGUSR2", false), ("SIGTERM", false), ("SIGRTMIN+6", true)] {
        let taken = names.iter().any(|name| *name == signal);
        assert_eq!(taken, is_taken, "{signal} in {names:?}");
    }
}
