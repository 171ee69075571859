//! A server with process ids of its own, as in a container: what Python calls its process and its
//! threads are other numbers than ours.

use std::{collections::BTreeMap, fs};

use serde_json::{Value, json};
use sigblame_tests::{
    agent::Trace,
    httpd::{Httpd, Installation, Mpm, Place},
};

use super::{A, DAEMON, builder, compare::Report, visit};

pythons! { every: stacks_are_found }

/// The system's Python.
#[test]
fn cpython_of_the_system() {
    stacks_are_found(&Installation::find().unwrap());
}

/// Cases whose threads are httpd's and last as long as it does.
const CASES: [&str; 5] = [
    "imported",
    "plain",
    "callbacks",
    "specialised",
    "lock_given_up",
];

/// Each stack is Python's own, under the numbers that the host has for process and thread.
fn stacks_are_found(installation: &Installation) {
    let trace = Trace::start(&["--all"]).unwrap();
    let server = builder(installation, Mpm::Event)
        .own_processes()
        .daemon("matrix", "processes=1 threads=3")
        .script(DAEMON, "matrix.py", &Place::daemon("matrix", "a"))
        .script(A, "matrix.py", &Place::embedded("a"))
        .start()
        .unwrap();
    let mut visits = Vec::new();
    for mount in [A, DAEMON] {
        visits.extend(CASES.map(|case| visit(&server, mount, case)));
    }
    let inside = numbers(&server);
    let lines = trace.finish(server.pid()).unwrap();
    for visit in &mut visits {
        let pid = inside[&visit.answer["pid"].as_u64().unwrap()];
        assert_ne!(visit.answer["pid"], pid);
        for line in lines.iter().filter(|line| line["worker"]["pid"] == pid) {
            assert_eq!(line["worker"]["ns_pid"], visit.answer["pid"]);
        }
        visit.answer["pid"] = json!(pid);
        for call in visit.answer["calls"].as_array_mut().unwrap() {
            let thread: &mut Value = &mut call["tid"];
            *thread = json!(inside[&thread.as_u64().unwrap()]);
        }
    }
    Report::new(&lines, visits).finish(30);
}

/// What the host calls the threads of a server, by their number in the namespace (`NSpid` in
/// proc_pid_status(5)).
fn numbers(server: &Httpd) -> BTreeMap<u64, u64> {
    let mut numbers = BTreeMap::new();
    for child in server.children().unwrap() {
        for thread in fs::read_dir(format!("/proc/{child}/task")).unwrap() {
            // One that Python started may just be gone.
            let Ok(status) = fs::read_to_string(thread.unwrap().path().join("status")) else {
                continue;
            };
            let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            let ids: Vec<u64> = line
                .unwrap()
                .split_whitespace()
                .map(|id| id.parse().unwrap())
                .collect();
            numbers.insert(ids[1], ids[0]);
        }
    }
    numbers
}
