//! Calls that the kernel refuses, and a struct that changes while the kernel reads it.

use serde_json::Value;
use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Httpd, Mpm},
    skip, wait_for,
};

use crate::support::{PATIENCE, ask, assert_frames, call_for, hard, is_about};

/// SIGKILL, an address that is none, and signal 70: each is told as failed, none is a finding, and
/// what is no signal is counted as such.
#[test]
fn refused_calls_are_told_and_are_no_findings() {
    let agent = Agent::start().unwrap();
    let trace = Trace::start(&[]).unwrap();
    let server = hard(Mpm::Event).start().unwrap();
    let answer = ask(&server, "/failing/10");
    let counted = |signal| {
        let labels = [
            ("signal", signal),
            ("outcome", "failed"),
            ("origin", "application"),
        ];
        agent
            .metrics()
            .unwrap()
            .sum("sigblame_registrations_total", &labels)
    };
    for signal in ["SIGKILL", "SIGUSR1", "invalid"] {
        wait_for(PATIENCE, || (counted(signal) == 1.0).then_some(()))
            .unwrap_or_else(|| panic!("{signal} is counted"));
    }
    let lines = trace.finish(server.pid()).unwrap();
    assert_eq!(
        lines.len(),
        2,
        "a number that is no signal has no line: {lines:#?}"
    );
    for (line, signal) in lines.iter().zip(["SIGKILL", "SIGUSR1"]) {
        assert!(is_about(line, signal), "{line:#}");
        assert_eq!(line["outcome"], "failed");
        assert_eq!(line["change"]["contested"], false);
        assert_frames(line, call_for(&answer, &line["signal"]["number"]));
        let (old, new) = (&line["change"]["old"], &line["change"]["new"]);
        assert_eq!(old, new, "a refused call changes nothing");
    }
    assert_eq!(agent.findings(server.pid()).unwrap().len(), 0);
    // And the agent still works.
    ask(&server, "/cdll/10");
    let found = || agent.findings(server.pid()).unwrap().len() == 1;
    wait_for(PATIENCE, || found().then_some(())).unwrap();
}

/// A thread rewrites the struct while another one passes it to the kernel, a thousand times: what is
/// told to stand there is what the kernel itself says afterwards, and where that is not what the
/// caller's struct said, the line says `contested`.
#[test]
fn contested_struct_is_told_as_the_kernel_has_it() {
    let agent = Agent::start().unwrap();
    let server = hard(Mpm::Event).start().unwrap();
    let labels = [("hook", "registration"), ("mechanism", "fexit")];
    if agent
        .metrics()
        .unwrap()
        .sum("sigblame_hook_attached", &labels)
        == 1.0
    {
        assert_eq!(contest(&server).0, 0, "the kernel's own copy is read");
        skip(
            "contested_struct_is_told_as_the_kernel_has_it",
            "the struct is out of the caller's reach on the fexit rung",
        );
        return;
    }
    // The two threads need a processor each at the same time, which a busy host may not have.
    let rounds = (0..ROUNDS).map(|_| contest(&server));
    let mixed = rounds.inspect(|(contested, told)| assert!(contested < told));
    assert!(
        mixed.into_iter().any(|(contested, _)| contested > 0),
        "none of {ROUNDS} thousand calls was contested"
    );
}

/// How often a thousand calls are tried.
const ROUNDS: usize = 10;

/// A thousand calls against a thread that rewrites their struct: how many were told as contested, of
/// how many. What is told to stand there must be what the kernel itself says afterwards.
fn contest(server: &Httpd) -> (usize, usize) {
    let trace = Trace::start(&[]).unwrap();
    let answer = ask(server, "/contest/12");
    let lines = trace.finish(server.pid()).unwrap();
    let call = call_for(&answer, &12.into());
    let mut told: Vec<&Value> = lines
        .iter()
        .filter(|line| line["thread"]["tid"] == call["tid"])
        .collect();
    let reset = told.pop().unwrap();
    assert_eq!(reset["change"]["new"]["kind"], "default");
    let stands = answer["notes"].as_array().unwrap();
    let kinds: Vec<&Value> = told.iter().map(|l| &l["change"]["new"]["kind"]).collect();
    assert_eq!(kinds, stands.iter().collect::<Vec<_>>());
    let contested = told.iter().filter(|l| l["change"]["contested"] == true);
    (contested.count(), told.len())
}
