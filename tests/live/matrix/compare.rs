//! Compares what the trace says with what Python said, call by call.

use std::collections::BTreeMap;

use probe_abi::python::FRAMES;
use serde_json::Value;

/// How many disagreements are shown.
const SHOWN: usize = 12;
/// Innermost frames that a truncated stack has at least.
const INNERMOST: usize = 64;
/// The function whose line is behind what the probe reads of its table.
const BEYOND: &str = "beyond_the_table";
/// Shorter names are never cut.
const NAME: usize = 100;

/// A request and its answer.
pub(super) struct Visit {
    pub(super) path: String,
    pub(super) answer: Value,
}

/// Process and thread.
type Thread = (u64, u64);

/// The two sides, and where they differ.
pub(super) struct Report<'a> {
    all: &'a [Value],
    lines: BTreeMap<Thread, Vec<&'a Value>>,
    visits: Vec<Visit>,
    compared: usize,
    different: Vec<String>,
}

impl<'a> Report<'a> {
    /// Takes the lines about SIGUSR2 by who made the call; they are in the order of time.
    pub(super) fn new(lines: &'a [Value], visits: Vec<Visit>) -> Self {
        let mut by_thread: BTreeMap<Thread, Vec<&Value>> = BTreeMap::new();
        for line in lines {
            // httpd sets it, too, before a worker runs any application.
            if line["signal"]["number"] == 12 && line["origin"] == "application" {
                let thread = (
                    number(&line["worker"]["pid"]),
                    number(&line["thread"]["tid"]),
                );
                by_thread.entry(thread).or_default().push(line);
            }
        }
        Self {
            all: lines,
            lines: by_thread,
            visits,
            compared: 0,
            different: Vec::new(),
        }
    }

    /// Compares each call with its line.
    fn compare(&mut self) {
        let mut calls: BTreeMap<Thread, Vec<(&Visit, &Value)>> = BTreeMap::new();
        for visit in &self.visits {
            for call in visit.answer["calls"].as_array().unwrap() {
                let thread = (number(&visit.answer["pid"]), number(&call["tid"]));
                calls.entry(thread).or_default().push((visit, call));
            }
        }
        for (thread, mut calls) in calls {
            calls.sort_by(|(_, a), (_, b)| {
                a["at"]
                    .as_f64()
                    .unwrap()
                    .total_cmp(&b["at"].as_f64().unwrap())
            });
            let lines = self.lines.remove(&thread).unwrap_or_default();
            if lines.len() != calls.len() {
                let mut paths: Vec<&str> = calls.iter().map(|(visit, _)| &*visit.path).collect();
                paths.dedup();
                self.different.push(format!(
                    "{} calls and {} lines of process and thread {thread:?}: {paths:?}; what is \
                     told of it as not the application's: {:#?}",
                    calls.len(),
                    lines.len(),
                    self.others(thread)
                ));
                continue;
            }
            for ((visit, call), line) in calls.into_iter().zip(lines) {
                self.compared += 1;
                if let Err(why) = same(visit, call, line) {
                    self.different.push(format!("{}: {why}", visit.path));
                }
            }
        }
        for (thread, lines) in &self.lines {
            self.different.push(format!(
                "{} lines about a process and thread {thread:?} without a call: {:#}",
                lines.len(),
                lines[0]
            ));
        }
    }

    /// What was told of a thread's calls, but as somebody else's.
    fn others(&self, (process, thread): Thread) -> Vec<&Value> {
        let is_others = |line: &&Value| {
            line["origin"] != "application"
                && line["signal"]["number"] == 12
                && line["worker"]["pid"] == process
                && line["thread"]["tid"] == thread
        };
        self.all.iter().filter(is_others).collect()
    }

    /// Fails when anything is different, or when there are fewer calls than `least`.
    pub(super) fn finish(mut self, least: usize) {
        self.compare();
        let (compared, different) = (self.compared, self.different);
        assert!(
            different.is_empty(),
            "{} of {compared} calls differ:\n\n{}",
            different.len(),
            different[..different.len().min(SHOWN)].join("\n\n")
        );
        assert!(compared >= least, "only {compared} calls");
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn same(visit: &Visit, call: &Value, line: &Value) -> Result<(), String> {
    let python = &line["python"];
    let truth = call["frames"].as_array().unwrap();
    let told = python["frames"].as_array().unwrap();
    let result = match truth.len() {
        0 => "none",
        depth if depth > FRAMES as usize => "truncated",
        _ => "complete",
    };
    if python["result"] != result {
        let innermost = truth.first();
        return Err(format!(
            "{} and not {result}: {innermost:?}",
            python["result"]
        ));
    }
    if !truth.is_empty() && python["version"] != visit.answer["python"] {
        return Err(format!("version {}", python["version"]));
    }
    // 3.6 does not tell.
    let interpreter = &call["interpreter"];
    if !interpreter.is_null()
        && !truth.is_empty()
        && line["application"]["interpreter"] != *interpreter
    {
        let told = &line["application"]["interpreter"];
        return Err(format!("interpreter {told} and not {interpreter}"));
    }
    let left_out = truth.len().saturating_sub(told.len());
    if python["left_out"] != left_out {
        return Err(format!(
            "{} frames of {} told, {} left out",
            told.len(),
            truth.len(),
            python["left_out"]
        ));
    }
    let kept = if left_out > 0 {
        // The innermost ones, and the one that everything began with.
        if told.len() < INNERMOST {
            return Err(format!("only {} frames told", told.len()));
        }
        same_frame(truth.last().unwrap(), told.last().unwrap())?;
        told.len().min(INNERMOST)
    } else {
        told.len()
    };
    for (truth, told) in truth.iter().zip(told).take(kept) {
        same_frame(truth, told)?;
    }
    Ok(())
}

fn same_frame(truth: &Value, told: &Value) -> Result<(), String> {
    let text = |key| same_text(truth[key].as_str().unwrap(), told[key].as_str().unwrap());
    let unknown = truth["function"] == BEYOND && told["line"].is_null();
    if text("file") && text("function") && (unknown || truth["line"] == told["line"]) {
        return Ok(());
    }
    Err(format!("\n  Python says {truth}\nsigblame says {told}"))
}

/// The same, or its beginning with a mark that it is cut.
fn same_text(truth: &str, told: &str) -> bool {
    let cut = told.strip_suffix('…').filter(|_| told.len() > NAME);
    truth == told || cut.is_some_and(|beginning| truth.starts_with(beginning))
}
