//! What a registration of a library should look like, and whether it does.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::Seen;

/// A disposition; a handler by how the name of its owner begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Default,
    Ignore,
    Handler(&'static str),
}

/// A Python frame of the library or the standard library, inside of the application's: how its
/// file ends, its function, and what its line says.
pub(super) type Inner = (&'static str, &'static str, &'static str);

/// A native frame: how the module's name begins, and a part of the function's.
pub(super) type Native = (&'static str, &'static str);

/// How the native stack ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// At the first function of the thread or process.
    Complete,
    /// There, or where it says that it must end: the copy of the stack, or code without unwind
    /// information.
    Any,
}

/// A registration.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) signal: &'static str,
    pub(super) old: Side,
    pub(super) new: Side,
    /// How the blamed module's name begins; `None` where no native code of a library is to blame.
    pub(super) module: Option<&'static str>,
    /// From the innermost on, up to the application's own.
    pub(super) python: &'static [Inner],
    /// From the innermost on, what lies between left out.
    pub(super) native: &'static [Native],
    pub(super) end: End,
    /// The finding, where it is one.
    pub(super) rule: Option<&'static str>,
    /// Whether it is given back later.
    pub(super) resolved: bool,
    /// Whether `signal.signal` made it.
    pub(super) is_signal_signal: bool,
}

impl Expected {
    /// A registration that is no finding.
    pub(super) const fn new(signal: &'static str, old: Side, new: Side) -> Self {
        Self {
            signal,
            old,
            new,
            module: None,
            python: &[],
            native: &[],
            end: End::Complete,
            rule: None,
            resolved: false,
            is_signal_signal: false,
        }
    }

    pub(super) const fn by(mut self, module: &'static str, native: &'static [Native]) -> Self {
        self.module = Some(module);
        self.native = native;
        self
    }

    pub(super) const fn through(mut self, python: &'static [Inner]) -> Self {
        self.python = python;
        self
    }

    pub(super) const fn ends(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    pub(super) const fn finding(mut self, rule: &'static str) -> Self {
        self.rule = Some(rule);
        self
    }

    pub(super) const fn resolved(mut self) -> Self {
        self.resolved = true;
        self
    }

    pub(super) const fn by_signal_signal(mut self) -> Self {
        self.is_signal_signal = true;
        self
    }
}

/// What is said of a Python handler where none runs.
pub(super) const NEVER_DISPATCHED: &str = "never-dispatched";

/// Compares what was seen with what should be, in order. The findings are those registrations that
/// are expected to be some, with the same evidence.
pub(super) fn compare(seen: &Seen, restrict: bool, expected: &[Expected]) {
    let log = seen.server.error_log();
    let signals = |values: &[Value]| -> Vec<String> {
        let name = |value: &Value| value["signal"]["name"].as_str().unwrap().to_owned();
        values.iter().map(name).collect()
    };
    let wanted: Vec<&str> = expected.iter().map(|one| one.signal).collect();
    assert_eq!(
        signals(&seen.lines),
        wanted,
        "registrations: {:#?}\n{log}",
        seen.lines
    );
    for (line, expected) in seen.lines.iter().zip(expected) {
        registration(seen, line, expected);
    }

    let ours = |value: &&Value| value["worker"]["pid"] == seen.answer["pid"];
    let findings: Vec<&Value> = seen.findings.iter().filter(ours).collect();
    assert_eq!(
        findings.len(),
        seen.findings.len(),
        "findings about another worker: {:#?}",
        seen.findings
    );
    let lines = seen.lines.iter().zip(expected);
    let lines: Vec<_> = lines.filter(|(_, one)| one.rule.is_some()).collect();
    assert_eq!(findings.len(), lines.len(), "{findings:#?}");
    for (finding, (line, expected)) in findings.into_iter().zip(lines) {
        for part in [
            "signal", "change", "python", "native", "blame", "thread", "worker", "route", "outcome",
        ] {
            assert_eq!(finding[part], line[part], "{part} of {finding:#}");
        }
        let told = json!({
            "rule": finding["rule"], "also": finding["also"], "state": finding["state"],
            "count": finding["count"], "restriction": finding["server"]["restrict_signal"],
        });
        let state = if expected.resolved {
            "resolved"
        } else {
            "open"
        };
        let rule = expected.rule.unwrap();
        let is_main = line["thread"]["main"] == true;
        // A Python handler that a daemon's import script gives is never called.
        let is_deaf = expected.is_signal_signal && line["change"]["new"]["kind"] == "handler";
        let mut also = also(rule, restrict, is_main);
        also.extend((is_deaf && rule != NEVER_DISPATCHED).then_some(NEVER_DISPATCHED));
        let wanted = json!({
            "rule": rule, "also": also, "state": state,
            "count": 1, "restriction": if restrict { "on" } else { "off" },
        });
        assert_eq!(told, wanted, "{finding:#}");
        let lasting = expected.resolved.then_some("temporary");
        assert_eq!(finding["lasting"], json!(lasting), "{finding:#}");
    }
}

/// The other rules that hold.
fn also(rule: &str, restrict: bool, is_main: bool) -> Vec<&'static str> {
    let restricted = restrict && rule != "restricted-registration";
    [
        restricted.then_some("restricted-registration"),
        (!is_main).then_some("secondary-thread"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn registration(seen: &Seen, line: &Value, expected: &Expected) {
    let route = if expected.is_signal_signal {
        "signal.signal"
    } else {
        "native"
    };
    let told = json!({
        "origin": line["origin"], "route": line["route"], "outcome": line["outcome"],
        "contested": line["change"]["contested"],
    });
    let wanted = json!({
        "origin": "application", "route": route, "outcome": "applied", "contested": false,
    });
    assert_eq!(told, wanted, "{line:#}");
    side(line, "old", expected.old);
    side(line, "new", expected.new);
    python(seen, line, expected);
    native(line, expected);

    let module = &line["blame"]["module"];
    match expected.module {
        Some(name) => assert!(begins(module, name), "{name} is to blame: {line:#}"),
        None => assert_eq!(*module, Value::Null, "nobody's native code: {line:#}"),
    }
}

fn side(line: &Value, which: &str, expected: Side) {
    let told = &line["change"][which];
    let (kind, owner) = match expected {
        Side::Default => ("default", None),
        Side::Ignore => ("ignore", None),
        Side::Handler(owner) => ("handler", Some(owner)),
    };
    assert_eq!(told["kind"], kind, "{which} of {line:#}");
    match owner {
        Some(name) => assert!(begins(&told["owner"], name), "{which} of {line:#}"),
        None => assert_eq!(told["owner"], Value::Null, "{which} of {line:#}"),
    }
}

/// The innermost frames are the library's, and their lines say so; the others are what Python noted.
fn python(seen: &Seen, line: &Value, expected: &Expected) {
    assert_eq!(line["python"]["result"], "complete", "{line:#}");
    assert_eq!(line["python"]["left_out"], 0, "{line:#}");
    let frames = line["python"]["frames"].as_array().unwrap();
    assert!(frames.len() > expected.python.len(), "{line:#}");
    let (inner, own) = frames.split_at(expected.python.len());
    for (frame, (file, function, text)) in inner.iter().zip(expected.python) {
        let path = frame["file"].as_str().unwrap();
        assert!(path.ends_with(file), "{file}: {line:#}");
        assert_eq!(frame["function"], *function, "{line:#}");
        let source = fs::read_to_string(source(seen, path)).unwrap();
        let number = frame["line"].as_u64().unwrap();
        let there = source.lines().nth(usize::try_from(number).unwrap() - 1);
        assert!(
            there.is_some_and(|there| there.contains(text)),
            "{path}:{number} is {there:?}, not {text:?}"
        );
    }
    // Frames, and on which thread: the application noted both in the very call.
    let calls = seen.answer["calls"].as_array().unwrap();
    let signal = &line["signal"]["number"];
    let call = calls.iter().find(|call| {
        call["frames"].as_array().unwrap() == own
            && call["signals"].as_array().unwrap().contains(signal)
    });
    let call = call.unwrap_or_else(|| panic!("no call like this: {line:#}\n{calls:#?}"));
    assert_eq!(line["thread"]["tid"], call["tid"], "{line:#}");
    assert_eq!(line["python"]["version"], seen.answer["python"]);

    let blamed = frames.iter().find(|frame| !is_standard_library(frame));
    for part in ["file", "line", "function"] {
        assert_eq!(line["blame"][part], blamed.unwrap()[part], "{line:#}");
    }
}

fn is_standard_library(frame: &Value) -> bool {
    let file = frame["file"].as_str().unwrap();
    file.starts_with('<') || file.starts_with("/usr/lib/python3")
}

/// Where we find a file that the worker's Python names.
fn source(seen: &Seen, path: &str) -> PathBuf {
    let home = seen.server.dir().join("python");
    if let Ok(package) = Path::new(path).strip_prefix(&home) {
        // It is mounted there for the server alone.
        return seen.environment.home().join(package);
    }
    match path.strip_prefix("<frozen ") {
        Some(module) => {
            let module = module.trim_end_matches('>').replace('.', "/");
            let version = seen.answer["python"].as_str().unwrap();
            PathBuf::from(format!("/usr/lib/python{version}/{module}.py"))
        }
        None => PathBuf::from(path),
    }
}

/// The expected frames are there, in this order, and nothing of the server's between them.
fn native(line: &Value, expected: &Expected) {
    let frames = line["native"]["frames"].as_array().unwrap();
    // The C library's own functions have names only where its debug files are installed.
    let is = |frame: &Value, (module, symbol): &Native| {
        let may_lack = ["libc.so", "ld-linux"].contains(module);
        let name = frame["symbol"].as_str();
        begins(&frame["module"], module)
            && name.map_or(may_lack || symbol.is_empty(), |name| name.contains(symbol))
    };
    assert!(is(&frames[0], &("libc.so", "sigaction")), "{line:#}");
    let mut left = frames.iter();
    for one in expected.native {
        assert!(left.any(|frame| is(frame, one)), "{one:?} in {line:#}");
    }
    let result = line["native"]["result"].as_str().unwrap();
    let last = frames.last().unwrap();
    let is_whole = || {
        // Where glibc's threads and programs begin.
        let first = [("libc.so", "clone"), ("apache2", "_start")];
        result == "complete" && first.iter().any(|first| is(last, first))
    };
    match expected.end {
        End::Complete => assert!(is_whole(), "{line:#}"),
        End::Any => assert!(is_whole() || result.starts_with("truncated("), "{line:#}"),
    }
}

fn begins(name: &Value, with: &str) -> bool {
    name.as_str().is_some_and(|name| name.starts_with(with))
}
