//! What a machine said, held against what it should have said.

use std::mem::offset_of;

use probe_abi::record::{Kind, RawHeader, RawSignal};
use serde_json::Value;

use crate::record;

/// Each rung of the registration hook, upper first.
pub(super) const RUNGS: [&str; 2] = ["fexit", "tracepoint"];

/// A call that the application makes: what it is called here, the module that makes the call, and
/// others through which it goes.
type Way = (&'static str, &'static str, &'static [&'static str]);

const REGISTRATION: Way = ("registration", "libc", &["libffi", "libpython", "mod_wsgi"]);
/// The interpreter calls mod_wsgi's intercept.
const ATTEMPT: Way = ("blocked attempt", "libpython", &["mod_wsgi"]);
/// How often a server reads its configuration: twice at its start, and once when it restarts.
const READINGS: usize = 3;

/// What came of one kernel.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// As `uname -r` says.
    pub(super) release: String,
    /// The programs in the probe's order.
    pub(super) programs: Vec<Program>,
    /// The stack of each rung.
    pub(super) stacks: Vec<String>,
    /// Everything that is not as it should be.
    pub(super) faults: Vec<String>,
}

/// A signal that was sent or taken.
struct Heard {
    kind: u64,
    signal: u64,
    sender: u64,
    target: u64,
    result: u64,
    handler: u64,
}

impl Heard {
    /// From a record's digits; `None` where it is none of a signal.
    fn of(digits: &str) -> Option<Self> {
        let number = |at, size| record::number(digits, at, size);
        Some(Self {
            kind: number(offset_of!(RawHeader, kind), 2)?,
            signal: number(offset_of!(RawSignal, signal), 4)?,
            sender: number(offset_of!(RawHeader, tgid), 4)?,
            target: number(offset_of!(RawSignal, target), 4)?,
            result: number(offset_of!(RawSignal, result), 4)?,
            handler: number(offset_of!(RawSignal, handler), 8)?,
        })
    }

    fn is(&self, kind: Kind, signal: u64) -> bool {
        (self.kind, self.signal) == (kind.0.into(), signal)
    }
}

/// One program on one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) attached: bool,
    /// Instructions that the verifier looked at.
    pub(super) cost: Option<u64>,
    pub(super) budget: u64,
}

impl Verdict {
    /// Reads all that a machine said.
    pub(super) fn of(lines: &[Value]) -> Self {
        let mut verdict = Self::default();
        let named = |what: &str| lines.iter().find(|line| line["what"] == what);
        if let Some(begin) = named("begin") {
            verdict.release = text(&begin["release"]).to_owned();
        }
        for rung in RUNGS {
            let of_rung = |what: &str| {
                lines
                    .iter()
                    .find(|line| line["what"] == what && line["rung"] == rung)
            };
            match of_rung("doctor") {
                Some(line) => verdict.doctor(rung, line),
                None => verdict.fault(rung, "the doctor was not heard"),
            }
            match of_rung("trace") {
                Some(line) => verdict.trace(rung, line),
                None => verdict.fault(rung, "the trace was not heard"),
            }
        }
        match named("reload") {
            Some(line) => verdict.reload(line),
            None => verdict.fault("reload", "it was not heard"),
        }
        if named("end").is_none() {
            verdict.faults.push("it did not reach its end".to_owned());
        }
        for program in &verdict.programs {
            if !program.attached {
                let name = &program.name;
                verdict.faults.push(format!("{name} is not attached"));
            } else if program.cost.is_some_and(|cost| cost > program.budget) {
                verdict.faults.push(format!(
                    "{} costs {} instructions, {} are allowed",
                    program.name,
                    program.cost.unwrap_or_default(),
                    program.budget
                ));
            }
        }
        verdict
    }

    fn fault(&mut self, rung: &str, what: &str) {
        self.faults.push(format!("{rung}: {what}"));
    }

    fn doctor(&mut self, rung: &str, line: &Value) {
        let Ok(report) = serde_json::from_str::<Value>(text(&line["output"])) else {
            self.fault(rung, &format!("the doctor said {line}"));
            return;
        };
        if line["code"] != 0 || report["ok"] != true {
            self.fault(rung, &format!("the doctor found: {report}"));
        }
        let checks = report["checks"].as_array().into_iter().flatten();
        let mut hooks = 0;
        for check in checks {
            let Some(hook) = text(&check["name"]).strip_prefix("hook ") else {
                continue;
            };
            hooks += 1;
            let seen = text(&check["seen"]);
            if check["state"] == "missing" {
                self.fault(rung, &format!("hook {hook}: {seen}"));
            } else if hook == "registration" && !seen.starts_with(&format!("by {rung}")) {
                self.fault(rung, &format!("hook registration is {seen}"));
            }
        }
        if hooks == 0 {
            self.fault(rung, "the doctor named no hook");
        }
        for row in report["programs"].as_array().into_iter().flatten() {
            self.program(row);
        }
    }

    /// A program is tried with one rung or with both.
    fn program(&mut self, row: &Value) {
        let name = text(&row["name"]);
        let cost = row["verified_instructions"].as_u64();
        let attached = row["loaded"] == true;
        match self.programs.iter_mut().find(|known| known.name == name) {
            Some(known) => {
                known.attached |= attached;
                known.cost = known.cost.max(cost);
            }
            None => self.programs.push(Program {
                name: name.to_owned(),
                attached,
                cost,
                budget: row["budget"].as_u64().unwrap_or(0),
            }),
        }
    }

    fn trace(&mut self, rung: &str, line: &Value) {
        if let Some(problem) = line["problem"].as_str() {
            let (errors, server) = (text(&line["errors"]), text(&line["server"]));
            self.fault(rung, &format!("{problem}\n{errors}\n{server}"));
            return;
        }
        let errors = text(&line["errors"]);
        if line["code"] != 0 {
            self.fault(rung, &format!("the trace ended badly: {errors}"));
        }
        for warning in errors
            .lines()
            .filter(|l| l.contains("WARN") || l.contains("ERROR"))
        {
            self.fault(rung, warning);
        }
        self.calls(rung, REGISTRATION, [&line["lines"], &line["expected"]]);
        self.calls(rung, ATTEMPT, [&line["attempts"], &line["blocked"]]);
    }

    /// The calls of one kind: what was told of them, and what the interpreter itself has.
    fn calls(&mut self, rung: &str, way: Way, [told, expected]: [&Value; 2]) {
        let (kind, _, _) = way;
        let told: Vec<Value> = told
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|line| serde_json::from_str(text(line)).ok())
            .collect();
        let expected = expected.as_array().cloned().unwrap_or_default();
        if told.len() != expected.len() {
            let (told, expected) = (told.len(), expected.len());
            self.fault(rung, &format!("{expected} {kind}s, {told} were told"));
        }
        for (number, (event, expected)) in (1..).zip(told.iter().zip(&expected)) {
            self.python(rung, event, expected);
            // As the application does it.
            let wanted = match (way == ATTEMPT, number % 2) {
                (true, _) => "handler",
                (false, 1) => "ignore",
                (false, _) => "default",
            };
            let new = &event["change"]["new"];
            if new["kind"] != wanted {
                self.fault(rung, &format!("the new handler is {new}, not {wanted}"));
            }
        }
        // The first ones may have come before the agent had read every file.
        let Some(event) = told.last() else {
            return self.fault(rung, &format!("no {kind} was told"));
        };
        self.native(rung, way, &event["native"]);
        self.stacks.push(stack(rung, kind, told.len(), event));
    }

    /// The server's readings of its configuration, among all records of the ring that are kept as
    /// they are.
    fn reload(&mut self, line: &Value) {
        if let Some(problem) = line["problem"].as_str() {
            let errors = text(&line["errors"]);
            return self.fault("reload", &format!("{problem}\n{errors}"));
        }
        let records = line["records"].as_array().into_iter().flatten();
        let is_reading = |record: &&Value| {
            let number = |at, size| record::number(text(record), at, size);
            number(offset_of!(RawHeader, kind), 2) == Some(Kind::RELOAD.0.into())
                && number(offset_of!(RawHeader, tgid), 4) == line["server"].as_u64()
        };
        let readings = records.filter(is_reading).count();
        if line["code"] != 0 || readings != READINGS {
            let what = format!(
                "{readings} readings of a configuration were heard, not {READINGS}: {}",
                text(&line["errors"])
            );
            self.fault("reload", &what);
        }
        self.signals(line);
    }

    /// The signals around a graceful restart and a stop: what the server is sent and takes, and what
    /// it sends to a worker that ignores it.
    fn signals(&mut self, line: &Value) {
        let server = line["server"].as_u64();
        let records = line["records"].as_array().into_iter().flatten();
        let heard: Vec<Heard> = records.filter_map(|r| Heard::of(text(r))).collect();
        let (usr1, term) = (10, 15);
        let to_server = |kind: Kind, signal: u64| {
            let mut all = heard.iter().filter(move |h| h.is(kind, signal));
            all.find(|h| Some(h.target) == server)
        };
        let mut to_worker = heard.iter().filter(|h| h.is(Kind::SENT, term));
        for (what, is_heard) in [
            (
                "SIGUSR1 sent to the server",
                to_server(Kind::SENT, usr1).is_some(),
            ),
            (
                "SIGUSR1 handled by the server",
                to_server(Kind::DELIVERED, usr1).is_some_and(|h| h.handler > 1),
            ),
            (
                "SIGTERM sent to the server",
                to_server(Kind::SENT, term).is_some(),
            ),
            (
                "SIGTERM ignored by its worker",
                to_worker.any(|h| Some(h.sender) == server && h.result == 1),
            ),
        ] {
            if !is_heard {
                self.fault("signal", &format!("{what} was not heard"));
            }
        }
    }

    /// Frame by frame as the interpreter itself has it.
    fn python(&mut self, rung: &str, event: &Value, expected: &Value) {
        let python = &event["python"];
        let result = &python["result"];
        if result != "complete" {
            self.fault(rung, &format!("the stack is {result}"));
        }
        let whole = expected.as_array().is_some_and(|frames| frames.len() >= 5);
        if !whole || python["frames"] != *expected {
            let frames = &python["frames"];
            let what =
                format!("the stack is\n{frames:#}\nand the interpreter's own is\n{expected:#}");
            self.fault(rung, &what);
        }
    }

    /// From where the call was made through the interpreter to the thread's beginning.
    fn native(&mut self, rung: &str, (kind, first, others): Way, native: &Value) {
        let frames = native["frames"].as_array();
        let modules: Vec<&str> = frames
            .into_iter()
            .flatten()
            .map(|frame| text(&frame["module"]))
            .collect();
        let through = |name: &str| modules.iter().any(|module| module.contains(name));
        let whole = native["result"] == "complete"
            && modules.first().is_some_and(|module| module.contains(first))
            && others.iter().all(|name| through(name));
        if !whole {
            let what = format!("the native stack of a {kind} is {native:#}");
            self.fault(rung, &what);
        }
    }
}

fn stack(rung: &str, kind: &str, number: usize, event: &Value) -> String {
    let python = &event["python"];
    let mut shown = format!(
        "{rung}: {} in CPython {}, {}, {kind} {number}",
        text(&event["signal"]["name"]),
        text(&python["version"]),
        text(&python["result"])
    );
    for frame in python["frames"].as_array().into_iter().flatten() {
        let (function, file) = (text(&frame["function"]), text(&frame["file"]));
        shown.push_str(&format!("\n    at {function} ({file}:{})", frame["line"]));
    }
    let frames = event["native"]["frames"].as_array();
    let mut modules: Vec<&str> = frames
        .into_iter()
        .flatten()
        .filter_map(|frame| text(&frame["module"]).rsplit('/').next())
        .collect();
    let count = modules.len();
    modules.dedup();
    let result = text(&event["native"]["result"]);
    let way = modules.join(" ← ");
    shown.push_str(&format!("\n    native, {result}, {count} frames: {way}"));
    shown
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
