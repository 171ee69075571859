//! Compares what sigblame says with what the application in the worker noted, call by call.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sigblame_tests::{
    agent::Agent,
    httpd::{Builder, Httpd, Mpm},
    wait_for,
};

use super::GLOBAL;
use crate::support::PATIENCE;

/// How many disagreements are shown.
const SHOWN: usize = 8;

/// What the configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Restriction {
    /// Nothing, which is On.
    Default,
    On,
    Off,
}

impl Restriction {
    pub(crate) const ALL: [Self; 3] = [Self::Default, Self::On, Self::Off];

    /// The server that says so.
    pub(crate) fn write(self, builder: Builder) -> Builder {
        match self {
            Self::Default => builder,
            Self::On => builder.restrict(true),
            Self::Off => builder.restrict(false),
        }
    }

    /// Where a server says so, as a finding names the place.
    pub(crate) fn from(self, server: &Httpd) -> String {
        if self == Self::Default {
            return "default".to_owned();
        }
        place(server, "WSGIRestrictSignal")
    }
}

/// `FILE:LINE` of the first directive of a server's configuration that begins like this.
pub(crate) fn place(server: &Httpd, words: &str) -> String {
    let line = server.line_of(words).unwrap();
    format!("{}:{line}", server.config().display())
}

/// Where an application answers, and what that worker is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mount {
    pub(crate) path: &'static str,
    pub(crate) role: &'static str,
    pub(crate) mpm: Mpm,
}

/// A way that an application went, and what it noted.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) mount: Mount,
    pub(crate) way: &'a str,
    /// What says whether the worker is restricted, as a finding names it.
    pub(crate) from: String,
    pub(crate) answer: Value,
}

impl Visit<'_> {
    pub(crate) fn calls(&self) -> &[Value] {
        self.answer["calls"].as_array().unwrap()
    }

    /// How many lines of the trace are about it.
    pub(crate) fn told(&self) -> usize {
        self.calls().iter().filter(|call| is_told(call)).count()
    }

    /// Whether Python itself says that mod_wsgi's object stands in its place.
    pub(crate) fn is_restricted(&self) -> bool {
        self.answer["intercepted"].as_bool().unwrap()
    }
}

/// What became of a call is one of `swallowed`, `set`, `slipped`, or an exception's name.
fn is_told(call: &Value) -> bool {
    let outcome = call["outcome"].as_str().unwrap();
    assert_ne!(outcome, "neither", "{call:#}");
    ["swallowed", "set", "slipped"].contains(&outcome)
}

/// Process and thread.
type Thread = (u64, u64);

/// Asserts that each call of `visits` that came to something has its line, each with the stack that
/// Python noted and with who it was, and that there is no other line.
pub(crate) fn compare(server: &Httpd, visits: &[Visit], lines: &[&Value]) {
    let mut lines_of: BTreeMap<Thread, Vec<&Value>> = BTreeMap::new();
    for line in lines {
        let thread = (&line["worker"]["pid"], &line["thread"]["tid"]);
        let thread = (thread.0.as_u64().unwrap(), thread.1.as_u64().unwrap());
        lines_of.entry(thread).or_default().push(line);
    }
    let mut calls_of: BTreeMap<Thread, Vec<(&Visit, &Value)>> = BTreeMap::new();
    for visit in visits {
        for call in visit.calls().iter().filter(|call| is_told(call)) {
            let thread = (&visit.answer["pid"], &call["tid"]);
            let thread = (thread.0.as_u64().unwrap(), thread.1.as_u64().unwrap());
            calls_of.entry(thread).or_default().push((visit, call));
        }
    }
    let mut different = Vec::new();
    for (thread, mut calls) in calls_of {
        calls.sort_by(|(_, a), (_, b)| at(a).total_cmp(&at(b)));
        let lines = lines_of.remove(&thread).unwrap_or_default();
        if lines.len() != calls.len() {
            let calls = calls.iter().map(|(visit, call)| {
                let line = &call["frames"][0]["line"];
                format!("{}/{}:{line}", visit.mount.path, visit.way)
            });
            let calls: Vec<String> = calls.collect();
            let lines: Vec<&Value> = lines.iter().map(|line| &line["blame"]["line"]).collect();
            different.push(format!("calls {calls:?}, but lines about {lines:?}"));
            continue;
        }
        for ((visit, call), line) in calls.into_iter().zip(lines) {
            different.extend(same(server, visit, call, line).err());
        }
    }
    let shown = different[..different.len().min(SHOWN)].join("\n");
    assert!(different.is_empty(), "{} differ: {shown}", different.len());
    assert!(lines_of.is_empty(), "lines without a call: {lines_of:#?}");
}

fn at(call: &Value) -> f64 {
    call["at"].as_f64().unwrap()
}

/// Whether a line or a finding is about a call, with everything that is known about it; else where
/// the two differ.
fn same(server: &Httpd, visit: &Visit, call: &Value, line: &Value) -> Result<(), String> {
    let is_blocked = call["outcome"] == "swallowed";
    let is_handler = call["wanted"]["kind"] == "handler";
    let innermost = &call["frames"][0];
    let frames = callers(line["python"]["frames"].as_array().unwrap());
    let mut expected = json!({
        "result": "complete",
        "frames": call["frames"],
        "version": visit.answer["python"],
        "tid": call["tid"],
        "main": call["tid"] == visit.answer["pid"],
        "signal": call["signals"][0],
        "outcome": if is_blocked { "blocked" } else { "applied" },
        "interpreter": call["interpreter"],
        "file": innermost["file"],
        "line": innermost["line"],
        "function": innermost["function"],
    });
    let mut told = json!({
        "result": line["python"]["result"],
        "frames": frames,
        "version": line["python"]["version"],
        "tid": line["thread"]["tid"],
        "main": line["thread"]["main"],
        "signal": line["signal"]["number"],
        "outcome": line["outcome"],
        "interpreter": line["application"]["interpreter"],
        "file": line["blame"]["file"],
        "line": line["blame"]["line"],
        "function": line["blame"]["function"],
    });
    let mut also = |key: &str, wanted: Value, is: &Value| {
        expected[key] = wanted;
        told[key] = is.clone();
    };
    if is_blocked {
        also("route", json!("intercept"), &line["route"]);
        also("new", call["wanted"].clone(), &line["change"]["new"]);
    } else if is_handler {
        also("route", json!("signal.signal"), &line["route"]);
    }
    // A finding has none.
    if let Some(is) = line.get("kind") {
        let kind = if is_blocked {
            "blocked-attempt"
        } else {
            "registration"
        };
        also("kind", json!(kind), is);
        also("origin", json!("application"), &line["origin"]);
    }
    // CPython 3.6 does not tell.
    if call["interpreter"].is_null() {
        expected["interpreter"] = told["interpreter"].clone();
    }
    let Mount { path, mpm, .. } = visit.mount;
    for (who, all) in [
        (who(line), &mut told),
        (expected_who(server, visit), &mut expected),
    ] {
        let mut who = who.as_object().unwrap().clone();
        all.as_object_mut().unwrap().append(&mut who);
    }
    let different: String = expected
        .as_object()
        .unwrap()
        .iter()
        .filter(|(key, wanted)| told[*key] != **wanted)
        .map(|(key, wanted)| format!("\n  {key}: {} and not {wanted}", told[key]))
        .collect();
    if different.is_empty() {
        return Ok(());
    }
    let (way, signal) = (visit.way, &call["signals"][0]);
    Err(format!("{mpm:?} {path}/{way}, signal {signal}:{different}"))
}

/// A stack without the function of Python's own `signal` module through which a registration went:
/// it was not there yet when the application noted the stack.
pub(crate) fn callers(frames: &[Value]) -> &[Value] {
    let is_own = |frame: &Value| {
        let file = frame["file"].as_str().unwrap_or_default();
        frame["function"] == "signal" && file.ends_with("/signal.py")
    };
    match frames {
        [own, callers @ ..] if is_own(own) => callers,
        all => all,
    }
}

/// What a line or a finding says about who it was.
pub(crate) fn who(line: &Value) -> Value {
    let (server, worker, application) = (&line["server"], &line["worker"], &line["application"]);
    json!({
        "config": server["config"],
        "mod_wsgi": server["mod_wsgi"],
        "restrict_signal": server["restrict_signal"],
        "restrict_signal_from": server["restrict_signal_from"],
        "pid": worker["pid"],
        "role": worker["role"],
        "mpm": worker["mpm"],
        "process_group": worker["process_group"],
        "application_group": application["group"],
        "script": application["script"],
    })
}

/// What mod_wsgi and Python in the worker say about the same.
fn expected_who(server: &Httpd, visit: &Visit) -> Value {
    let answer = &visit.answer;
    let named = |key: &str| Some(answer[key].as_str().unwrap()).filter(|name| !name.is_empty());
    let imported = json!(server.app_file("imported.py"));
    json!({
        "config": server.config(),
        "mod_wsgi": answer["mod_wsgi"],
        "restrict_signal": if visit.is_restricted() { "on" } else { "off" },
        "restrict_signal_from": visit.from,
        "pid": answer["pid"],
        "role": visit.mount.role,
        "mpm": visit.mount.mpm.name(),
        "process_group": named("process_group"),
        "application_group": named("application_group").unwrap_or(GLOBAL),
        "script": if visit.way == "imported" { &imported } else { &answer["script"] },
    })
}

/// The rule by which a call should be a finding, by what became of it.
fn rule(visit: &Visit, call: &Value) -> Option<&'static str> {
    let is_main = call["tid"] == visit.answer["pid"];
    let is_handler = call["wanted"]["kind"] == "handler";
    // Python's handlers run on the main thread, which only there runs Python after the start.
    let runs_handlers = visit.mount.mpm == Mpm::Prefork && visit.mount.role == "embedded";
    let is_slip = visit.way == "slip";
    match call["outcome"].as_str().unwrap() {
        "swallowed" => Some("blocked-attempt"),
        "slipped" if is_slip && visit.is_restricted() => Some("restricted-registration"),
        "slipped" if is_slip && !is_main => Some("secondary-thread"),
        // What stands already is no finding.
        "set" if call["wanted"]["kind"] == "default" => None,
        "set" if visit.way != "imported" => Some("outside-import-script"),
        "set" if is_handler && !runs_handlers => Some("never-dispatched"),
        _ => None,
    }
}

/// What makes a cause: rule, signal, process group or role, application group, file and line.
type Cause = Value;

/// Asserts that each call has the finding that its rule wants, counted, and that there is no other.
/// Workers of one process group that do the same are one cause.
pub(crate) fn compare_findings(agent: &Agent, server: &Httpd, visits: &[Visit]) {
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    let mut examples = BTreeMap::new();
    for visit in visits {
        let who = expected_who(server, visit);
        for call in visit.calls() {
            if let Some(rule) = rule(visit, call) {
                let cause = cause(rule, &call["signals"][0], &who, &call["frames"][0]);
                *expected.entry(cause.to_string()).or_default() += 1;
                examples.insert(cause.to_string(), (visit, call));
            }
        }
    }
    let cause_of = |finding: &Value| {
        let rule = finding["rule"].as_str().unwrap();
        let signal = &finding["signal"]["number"];
        cause(rule, signal, &who(finding), &finding["blame"]).to_string()
    };
    let count = |all: &[Value]| -> BTreeMap<String, u64> {
        let mut counted = BTreeMap::new();
        for finding in all {
            *counted.entry(cause_of(finding)).or_default() += finding["count"].as_u64().unwrap();
        }
        counted
    };
    let total = |counted: &BTreeMap<String, u64>| counted.values().sum::<u64>();
    let mut found = Vec::new();
    let arrived = wait_for(PATIENCE, || {
        found = agent.findings(server.pid()).unwrap();
        (total(&count(&found)) >= total(&expected)).then_some(())
    });
    let counted = count(&found);
    let causes: BTreeSet<&String> = expected.keys().chain(counted.keys()).collect();
    let different: Vec<String> = causes
        .into_iter()
        .filter(|cause| expected.get(*cause) != counted.get(*cause))
        .map(|cause| {
            let (is, wanted) = (counted.get(cause), expected.get(cause));
            format!("{is:?} and not {wanted:?}: {cause}")
        })
        .collect();
    let shown = different.join("\n");
    assert!(
        different.is_empty() && arrived.is_some(),
        "findings:\n{shown}"
    );
    for finding in found.iter().filter(|f| f["rule"] == "blocked-attempt") {
        assert_eq!(finding["severity"], "warning");
        let cause = cause_of(finding);
        // Where there are several calls it is not known which one is shown.
        if expected[&cause] == 1 {
            let (visit, call) = examples[&cause];
            same(server, visit, call, finding).unwrap();
        }
    }
}

fn cause(rule: &str, signal: &Value, who: &Value, frame: &Value) -> Cause {
    json!({
        "rule": rule,
        "signal": signal,
        "workers": if who["process_group"].is_null() { &who["role"] } else { &who["process_group"] },
        "application": who["application_group"],
        "file": frame["file"],
        "line": frame["line"],
    })
}
