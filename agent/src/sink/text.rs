//! Findings and registrations for people: a few lines each, the most telling first.

mod history;

use std::fmt::{self, Write as _};

use crate::{
    escape,
    event::Frame,
    policy::{
        Finding, Origin, Outcome, Severity, State,
        finding::{Blame, ChangeRef, DispositionRef, Evidence, NativeFrame, TraceLine, WorkerRef},
    },
};

pub(crate) const DIM: &str = "2";
pub(crate) const BOLD: &str = "1";
pub(crate) const RED: &str = "1;31";
pub(crate) const YELLOW: &str = "1;33";
pub(crate) const CYAN: &str = "1;36";

/// A finding, with a line break at the end.
#[must_use]
pub fn finding(finding: &Finding, colour: bool) -> String {
    let paint = Paint(colour);
    let grade = grade(finding.severity, paint);
    let mut end = format!(" {}", paint.with(BOLD, escape::text(&finding.rule)));
    if !finding.also.is_empty() {
        let _ = write!(end, " (also {})", escape::text(&finding.also.join(", ")));
    }
    if finding.count > 1 {
        let _ = write!(end, " ×{}", finding.count);
    }
    end.push_str(&history::reach(finding));
    let mut out = body(&finding.time, &grade, &finding.evidence, &end, paint);
    if finding.state == State::Resolved {
        // Its stack and its sentences stood there when it was new.
        out.truncate(out.find('\n').map_or(out.len(), |end| end + 1));
        return out;
    }
    history::lines(&mut out, paint, finding);
    for (name, sentence) in [("what", &finding.message), ("mend", &finding.remedy)] {
        if !sentence.is_empty() {
            line(&mut out, paint, name, &escape::text(sentence));
        }
    }
    out
}

/// A severity in its colour.
pub(crate) fn grade(severity: Severity, paint: Paint) -> String {
    let style = match severity {
        Severity::Critical => RED,
        Severity::Warning => YELLOW,
        Severity::Notice => CYAN,
    };
    paint.with(style, severity.name())
}

/// A line of `trace`, and the stack under it, with a line break at the end.
#[must_use]
pub fn trace_line(trace: &TraceLine, colour: bool) -> String {
    let paint = Paint(colour);
    let origin = match trace.origin {
        Origin::Application => paint.with(YELLOW, "application"),
        other => paint.with(DIM, other.name()),
    };
    body(&trace.time, &origin, &trace.evidence, "", paint)
}

fn body(time: &str, grade: &str, evidence: &Evidence, end: &str, paint: Paint) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} {grade} {} {}{} {} {}{}{end}",
        paint.with(DIM, escape::text(time)),
        paint.with(BOLD, escape::text(&evidence.signal.name)),
        change(&evidence.change),
        outcome(evidence.outcome),
        escape::text(&evidence.server.name),
        worker(&evidence.worker),
        evidence
            .thread
            .map(|thread| format!(" tid {}", thread.tid))
            .unwrap_or_default(),
    );
    if let Some(blamed) = blame(&evidence.blame) {
        line(&mut out, paint, "blame", &blamed);
    }
    line(&mut out, paint, "under", &under(evidence));
    stack(&mut out, paint, evidence);
    out
}

fn change(change: &ChangeRef) -> String {
    let contested = if change.contested { " (contested)" } else { "" };
    let [old, new] = [&change.old, &change.new].map(disposition);
    format!("{old} → {new}{contested}")
}

fn disposition(side: &DispositionRef) -> String {
    let Some(owner) = &side.owner else {
        return match &side.symbol {
            // What a blocked call wanted: another object than a function, by its type.
            Some(symbol) => format!("{} {}", escape::text(&side.kind), escape::text(symbol)),
            None => escape::text(&side.kind).to_string(),
        };
    };
    // The path is in the JSON; here the line would become longer than it is clear.
    let name = owner.rsplit('/').next().unwrap_or(owner);
    match &side.symbol {
        Some(symbol) => format!("{}!{}", escape::text(name), escape::text(symbol)),
        None => escape::text(name).to_string(),
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "",
        Outcome::Blocked => " (blocked)",
        Outcome::Failed => " (failed)",
    }
}

fn worker(worker: &WorkerRef) -> String {
    let mut out = escape::text(&worker.role).to_string();
    if let Some(group) = &worker.process_group {
        let _ = write!(out, " {}", escape::text(group));
    }
    let _ = write!(out, " pid {}", worker.pid);
    if let Some(inner) = worker.ns_pid.filter(|inner| *inner != worker.pid) {
        let _ = write!(out, " ({inner} inside)");
    }
    out
}

/// Which application, and under which restriction.
fn under(evidence: &Evidence) -> String {
    let server = &evidence.server;
    let mut out = format!(
        "WSGIRestrictSignal {} ({})",
        escape::text(&server.restrict_signal),
        escape::text(&server.restrict_signal_from)
    );
    if let Some(group) = &evidence.application.group {
        let _ = write!(out, ", application {}", escape::text(group));
    }
    if let Some(script) = &evidence.application.script {
        let _ = write!(out, ", script {}", escape::text(script));
    }
    if evidence.source != "probe" {
        let _ = write!(out, ", told by the {}", escape::text(&evidence.source));
    }
    out
}

/// Who did it: the Python code, and the library through which.
pub(crate) fn blame(blame: &Blame) -> Option<String> {
    let mut out = String::new();
    if let Some(file) = &blame.file {
        let frame = Frame {
            file: file.clone(),
            line: blame.line,
            function: blame.function.clone().unwrap_or_else(|| "?".to_owned()),
        };
        out = place(&frame);
    }
    if let Some(module) = &blame.module {
        let through = if out.is_empty() { "" } else { " through " };
        let _ = write!(out, "{through}{}", escape::text(module));
    }
    (!out.is_empty()).then_some(out)
}

fn place(frame: &Frame) -> String {
    let (function, file) = (escape::text(&frame.function), escape::text(&frame.file));
    match frame.line {
        Some(line) => format!("{function} ({file}:{line})"),
        None => format!("{function} ({file})"),
    }
}

/// Both stacks as one. Of the native frames, those of libraries: how httpd, the interpreter and
/// the C library call one another is the same each time.
fn stack(out: &mut String, paint: Paint, evidence: &Evidence) {
    let (python, native) = (&evidence.python, &evidence.native);
    let is_telling = |frame: &&NativeFrame| frame.code == "application";
    let mut libraries = native.frames.iter().filter(is_telling).peekable();
    for (inside, frame) in python.frames.iter().enumerate() {
        while let Some(library) = libraries.next_if(|library| library.python_inside <= inside) {
            let _ = writeln!(out, "  at {}", code(library));
        }
        let _ = writeln!(out, "  at {}", place(frame));
    }
    if python.left_out > 0 {
        let _ = writeln!(out, "  … {} outer frames are not shown", python.left_out);
    }
    for library in libraries {
        let _ = writeln!(out, "  at {}", code(library));
    }
    match python.result.as_str() {
        "complete" => {}
        "none" if evidence.thread.is_none() => {}
        "none" => line(out, paint, "stack", &"no Python on this thread"),
        other => line(out, paint, "stack", &escape::text(other)),
    }
    match native.result.as_str() {
        "complete" | "none" => {}
        other => line(out, paint, "native", &escape::text(other)),
    }
}

/// `module!symbol+0x1f`, as debuggers write it.
fn code(frame: &NativeFrame) -> String {
    let module = escape::text(&frame.module);
    match &frame.symbol {
        Some(symbol) => format!("{module}!{}+{:#x}", escape::text(symbol), frame.offset),
        None => format!("{module}+{:#x}", frame.offset),
    }
}

fn line(out: &mut String, paint: Paint, name: &str, what: &dyn fmt::Display) {
    let _ = writeln!(out, "  {} {what}", paint.with(DIM, name));
}

/// Colours, where the reader is a terminal.
#[derive(Clone, Copy)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    pub(crate) fn with(self, style: &str, what: impl fmt::Display) -> String {
        if self.0 {
            format!("\u{1b}[{style}m{what}\u{1b}[0m")
        } else {
            what.to_string()
        }
    }
}

#[cfg(test)]
mod tests;
