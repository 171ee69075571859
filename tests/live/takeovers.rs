//! Takeovers from their beginning to their end, in groups of many workers: how far they reach, whether
//! they are given back, who took a signal from whom, and how little is told of it.

use std::{collections::BTreeSet, thread};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sigblame_tests::{
    agent::Agent,
    demo,
    httpd::{Builder, Httpd, Mpm, Place},
    libraries, package_dir, skip, wait_for,
};

use crate::{
    libraries as packages,
    support::{PATIENCE, ask, findings, is_about},
};

const GROUP: &str = "shop";

/// The application in a group of so many daemons, in their main interpreters.
fn site(builder: Builder, processes: usize) -> Builder {
    let apps = package_dir().join("apps/takeovers");
    let builder = builder.files(&apps).unwrap();
    for library in ["libfirst.so", "libsecond.so"] {
        demo::compile(&apps.join("chain.c"), &builder.app_dir().join(library)).unwrap();
    }
    let place = Place::daemon(GROUP, "%{GLOBAL}");
    builder
        .daemon(GROUP, &format!("processes={processes} threads=1"))
        .script("/", "application.py", &place)
}

fn start(processes: usize) -> Httpd {
    let builder = Builder::new(Mpm::Event).unwrap();
    site(builder, processes).start().unwrap()
}

/// One request per worker, all at once: who answered, and who acted.
fn round(server: &Httpd, workers: usize, cause: &str, pids: &BTreeSet<u64>) -> Vec<(u64, bool)> {
    let pids: Vec<String> = pids.iter().map(u64::to_string).collect();
    let path = format!("/{cause}/{}", pids.join(","));
    thread::scope(|scope| {
        let asked: Vec<_> = (0..workers)
            .map(|_| scope.spawn(|| ask(server, &path)))
            .collect();
        let answers = asked.into_iter().map(|asked| asked.join().unwrap());
        answers
            .map(|answer| (answer["pid"].as_u64().unwrap(), answer["acted"] == true))
            .collect()
    })
}

/// The workers of the group.
fn workers(server: &Httpd, count: usize) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    let all = wait_for(PATIENCE, || {
        seen.extend(
            round(server, count, "nothing", &BTreeSet::new())
                .iter()
                .map(|(pid, _)| *pid),
        );
        (seen.len() == count).then_some(())
    });
    assert!(all.is_some(), "{seen:?} of {count}");
    seen.into_iter().collect()
}

/// Each of these workers acts once.
fn act(server: &Httpd, cause: &str, pids: &[u64]) {
    let mut left: BTreeSet<u64> = pids.iter().copied().collect();
    let done = wait_for(PATIENCE, || {
        // One after the other, so that none acts twice: a round is one request each.
        let next: BTreeSet<u64> = left.iter().take(1).copied().collect();
        for (pid, acted) in round(server, 1, cause, &next) {
            if acted {
                left.remove(&pid);
            }
        }
        left.is_empty().then_some(())
    });
    assert!(done.is_some(), "{cause}: {left:?} never acted");
}

/// What the agent told of a signal, line by line.
fn told(agent: &Agent, signal: &str) -> Vec<Value> {
    let output = agent.output();
    let lines = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|finding: &Value| is_about(finding, signal))
        .collect()
}

fn json_agent() -> Agent {
    Agent::with(&["--log.format", "json"]).unwrap()
}

fn extent(finding: &Value) -> [u64; 6] {
    let names = [
        "workers",
        "of",
        "workers_ever",
        "restored",
        "exited",
        "executed",
    ];
    names.map(|name| finding["extent"][name].as_u64().unwrap())
}

/// Two causes in eight workers, each in some: two findings, which say in how many; one worker is
/// killed and replaced, and in the end the server stops.
#[test]
fn two_causes_in_eight_workers_are_two_findings() {
    let agent = json_agent();
    let server = start(8);
    let pids = workers(&server, 8);
    act(&server, "library", &pids[..3]);
    // One worker has both.
    act(&server, "extension", &pids[2..7]);
    let of = |all: &[Value], signal| {
        let mut of_it = all.iter().filter(|finding| is_about(finding, signal));
        let finding = of_it.next().cloned().unwrap_or_default();
        assert!(of_it.next().is_none(), "{signal} twice: {all:#?}");
        finding
    };
    let seen = findings(&agent, &server, "two causes", |all| {
        all.len() == 2 && of(all, "SIGTERM")["count"] == 3 && of(all, "SIGWINCH")["count"] == 5
    });
    let (term, winch) = (of(&seen, "SIGTERM"), of(&seen, "SIGWINCH"));
    assert_eq!(extent(&term), [3, 8, 3, 0, 0, 0]);
    assert_eq!(extent(&winch), [5, 8, 5, 0, 0, 0]);
    for finding in [&term, &winch] {
        assert_eq!(finding["state"], "open");
        assert_eq!(finding["lasting"], Value::Null);
        assert_eq!(finding["worker"]["process_group"], GROUP);
    }
    let message = term["message"].as_str().unwrap();
    assert!(message.contains("it stands in 3 of 8 workers"), "{message}");

    let killed = Pid::from_raw(i32::try_from(pids[0]).unwrap()).unwrap();
    kill_process(killed, Signal::KILL).unwrap();
    let seen = findings(&agent, &server, "one killed", |all| {
        of(all, "SIGTERM")["extent"]["workers"] == 2
    });
    let term = of(&seen, "SIGTERM");
    assert_eq!(
        (&term["state"], &term["lasting"]),
        (&"open".into(), &"permanent".into())
    );
    // Its successor, like the other five, has taken nothing.
    let new: Vec<u64> = workers(&server, 8)
        .into_iter()
        .filter(|pid| !pids.contains(pid))
        .collect();
    assert_eq!(new.len(), 1);
    act(&server, "library", &new);
    let seen = findings(&agent, &server, "its successor, too", |all| {
        of(all, "SIGTERM")["count"] == 4
    });
    assert_eq!(extent(&of(&seen, "SIGTERM")), [3, 8, 4, 0, 1, 0]);

    let master = server.pid();
    server.stop().unwrap();
    let over = wait_for(PATIENCE, || {
        let all = agent.findings(master).unwrap();
        all.iter()
            .all(|finding| finding["state"] == "resolved")
            .then_some(all)
    });
    let all = over.expect("both over");
    assert_eq!(all.len(), 2, "{all:#?}");
    for (signal, ever) in [("SIGTERM", 4), ("SIGWINCH", 5)] {
        let finding = of(&all, signal);
        let [workers, _, workers_ever, restored, exited, _] = extent(&finding);
        assert_eq!(
            [workers, workers_ever, restored, exited],
            [0, ever, 0, ever]
        );
        assert_eq!(finding["lasting"], "permanent");
        assert!(
            finding["exposure_seconds"].as_f64().unwrap() > 0.5,
            "{finding:#}"
        );
        let states: Vec<_> = told(&agent, signal)
            .iter()
            .map(|finding| finding["state"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(states, ["open", "resolved"], "{signal}");
    }
}

/// `os.system` fifty times in one worker: one finding for each of its two signals, and two lines.
#[test]
fn what_comes_and_goes_is_told_twice() {
    let agent = json_agent();
    let server = start(1);
    ask(&server, "/system/any");
    let seen = findings(&agent, &server, "fifty flips", |all| {
        all.len() == 2
            && all
                .iter()
                .all(|f| f["count"] == 50 && f["state"] == "resolved")
    });
    for finding in &seen {
        assert_eq!(finding["lasting"], "temporary", "{finding:#}");
        assert_eq!(extent(finding), [0, 1, 1, 50, 0, 0]);
        let seconds = finding["exposure_seconds"].as_f64().unwrap();
        assert!(seconds > 0.005 && seconds < 20.0, "{finding:#}");
        let message = finding["message"].as_str().unwrap();
        assert!(
            message.contains("put back each time, 50 times"),
            "{message}"
        );
    }
    for signal in ["SIGINT", "SIGQUIT"] {
        assert_eq!(
            told(&agent, signal).len(),
            2,
            "{signal}: it began, and it ended"
        );
    }
    let metrics = agent.metrics().unwrap();
    let sum = |name, labels: &[(&str, &str)]| metrics.sum(name, labels);
    assert_eq!(sum("sigblame_findings_total", &[("signal", "SIGINT")]), 1.0);
    assert_eq!(
        sum("sigblame_override_seconds_count", &[("signal", "SIGINT")]),
        50.0
    );
    assert_eq!(sum("sigblame_findings_open", &[]), 0.0);
    assert_eq!(sum("sigblame_events_lost_total", &[]), 0.0);
}

/// The finding about SIGTERM whose library is this one.
fn by<'a>(all: &'a [Value], module: &str) -> &'a Value {
    let blamed = |finding: &&Value| {
        let name = finding["blame"]["module"].as_str().unwrap_or_default();
        is_about(finding, "SIGTERM") && name.starts_with(module)
    };
    all.iter().find(blamed).unwrap_or(&Value::Null)
}

/// A takes, B takes from A, B gives back to A, A to the server; then the same, but A gives back to the
/// server while B is on top.
#[test]
fn chain_unwinds_link_by_link_or_at_once() {
    let agent = Agent::start().unwrap();
    let server = start(1);
    let wait = |cause: &str, first: (&str, u64), second: (&str, u64)| {
        ask(&server, &format!("/{cause}/any"));
        findings(&agent, &server, cause, |all| {
            let is = |name: &str, (state, count): (&str, u64)| {
                let finding = by(all, name);
                finding["state"] == state && finding["count"] == count
            };
            is("libfirst", first) && (second.1 == 0 || is("libsecond", second))
        })
    };
    wait("library", ("open", 1), ("", 0));
    let all = wait("take_second", ("open", 1), ("open", 1));
    assert_eq!(all.len(), 2, "{all:#?}");
    let (first, second) = (by(&all, "libfirst"), by(&all, "libsecond"));
    assert_eq!(first["taken_from"], Value::Null);
    for part in ["id", "fingerprint", "blame"] {
        assert_eq!(second["taken_from"][part], first[part], "{second:#}");
    }
    wait("back_second", ("open", 1), ("resolved", 1));
    wait("back_first", ("resolved", 1), ("resolved", 1));
    wait("library", ("open", 2), ("resolved", 1));
    wait("take_second", ("open", 2), ("open", 2));
    // What libsecond handed on is gone from under it.
    let all = wait("back_first", ("resolved", 2), ("resolved", 2));
    assert_eq!(
        all.len(),
        2,
        "the same causes are the same findings: {all:#?}"
    );
    for finding in &all {
        assert_eq!(finding["lasting"], "temporary", "{finding:#}");
    }
    assert!(
        agent.output().contains("\n  chain taken from "),
        "{}",
        agent.output()
    );
}

/// A real runtime at the bottom of the chain.
#[test]
fn library_takes_from_java_what_java_took_from_the_server() {
    let test = "takeovers::library_takes_from_java_what_java_took_from_the_server";
    if libraries::java().is_none() {
        return skip(test, "no Java virtual machine: `cargo xtask setup java`");
    }
    let Some(environment) = packages::environment(test, &["JPype1"]) else {
        return;
    };
    let agent = Agent::start().unwrap();
    let server = site(packages::builder(&environment), 1).start().unwrap();
    let wait = |cause: &str, fit: &dyn Fn(&[Value]) -> bool| {
        ask(&server, &format!("/{cause}/any"));
        findings(&agent, &server, cause, fit)
    };
    wait("java", &|all| by(all, "libjvm")["state"] == "open");
    let all = wait("take_second", &|all| {
        by(all, "libsecond")["state"] == "open"
    });
    let (java, second) = (by(&all, "libjvm"), by(&all, "libsecond"));
    assert_eq!(java["taken_from"], Value::Null);
    assert_eq!(second["taken_from"]["id"], java["id"], "{second:#}");
    let all = wait("back_second", &|all| {
        by(all, "libsecond")["state"] == "resolved"
    });
    assert_eq!(by(&all, "libjvm")["state"], "open");
    assert_eq!(by(&all, "libsecond")["lasting"], "temporary");
    let master = server.pid();
    server.stop().unwrap();
    let over = wait_for(PATIENCE, || {
        let all = agent.findings(master).unwrap();
        (by(&all, "libjvm")["state"] == "resolved").then_some(all)
    });
    let all = over.expect("Java is gone with its worker");
    assert_eq!(by(&all, "libjvm")["lasting"], "permanent");
}
