//! Findings and registrations for people: a few lines each, the most telling first.

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
    match (finding.state, finding.exposure_seconds) {
        (State::Resolved, Some(seconds)) => {
            let _ = write!(end, ", over after {seconds:.3} s");
        }
        (State::Resolved, None) => end.push_str(", over"),
        (State::Open, _) => {}
    }
    let mut out = body(&finding.time, &grade, &finding.evidence, &end, paint);
    if finding.state == State::Resolved {
        // Its stack and its sentences stood there when it was new.
        out.truncate(out.find('\n').map_or(out.len(), |end| end + 1));
        return out;
    }
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
mod tests {
    use super::*;
    use crate::{
        escape::tests::{HOSTILE, is_quiet},
        policy::sample,
    };

    #[test]
    fn a_finding_reads_from_top_to_bottom() {
        let mut shown = sample::finding();
        shown.count = 3;
        assert_eq!(
            finding(&shown, false),
            "2026-01-31T12:00:00.000000Z critical SIGTERM mod_wsgi.so → libpython3.11.so.1.0 \
             apache2 daemon demo pid 42 tid 43 reserved-signal (also restricted-registration) ×3\n  \
             blame Billing.reload_on_hangup (/srv/app/billing.py:42)\n  \
             under WSGIRestrictSignal on (default), application demo|/billing, \
             script /srv/app/billing.wsgi\n  \
             at signal (/usr/lib/python3.11/signal.py:56)\n  \
             at Billing.reload_on_hangup (/srv/app/billing.py:42)\n  \
             what SIGTERM, by which the server stops this worker, was taken.\n  \
             mend Use mod_wsgi.subscribe_shutdown instead.\n"
        );
    }

    #[test]
    fn a_trace_line_says_what_is_missing() {
        let mut line = sample::trace_line();
        let evidence = &mut line.evidence;
        evidence.change.old.owner = None;
        evidence.change.old.kind = "default".to_owned();
        evidence.change.contested = true;
        evidence.outcome = Outcome::Failed;
        evidence.worker.ns_pid = Some(7);
        evidence.worker.process_group = None;
        evidence.blame = Blame {
            module: Some("/opt/libjvm.so".to_owned()),
            ..Blame::default()
        };
        evidence.python.frames = vec![Frame {
            file: "x.py".to_owned(),
            line: None,
            function: "f".to_owned(),
        }];
        evidence.python.left_out = 2;
        evidence.python.result = "truncated".to_owned();
        assert_eq!(
            trace_line(&line, false),
            "2026-01-31T12:00:00.000000Z application SIGTERM default → libpython3.11.so.1.0 \
             (contested) (failed) apache2 daemon pid 42 (7 inside) tid 43\n  \
             blame /opt/libjvm.so\n  under WSGIRestrictSignal on (default), \
             application demo|/billing, script /srv/app/billing.wsgi\n  at f (x.py)\n  … 2 outer frames are not shown\n  \
             stack truncated\n"
        );
    }

    fn native(module: &str, symbol: Option<&str>, code: &str, python_inside: usize) -> NativeFrame {
        NativeFrame {
            module: module.into(),
            symbol: symbol.map(Into::into),
            offset: 0x1f,
            code: code.to_owned().into(),
            python_inside,
        }
    }

    /// Libraries stand between the Python frames that called them and those that they called.
    #[test]
    fn both_stacks_read_as_one() {
        let mut line = sample::trace_line();
        line.evidence.native.result = "truncated(copy_ended)".to_owned();
        line.evidence.native.frames = vec![
            native("libc.so.6", Some("sigaction"), "c-library", 0),
            native("libcurl.so.4", Some("multi_perform"), "application", 0),
            native("libpython3.11.so.1.0", None, "interpreter", 0),
            native("libevent.so", None, "application", 1),
            native("mod_wsgi.so", None, "server", 2),
            native("libpreload.so", None, "application", 2),
        ];
        let shown = trace_line(&line, false);
        let (_, stack) = shown.split_once("billing.wsgi\n").expect("the blame");
        assert_eq!(
            stack,
            "  at libcurl.so.4!multi_perform+0x1f\n  \
             at signal (/usr/lib/python3.11/signal.py:56)\n  \
             at libevent.so+0x1f\n  \
             at Billing.reload_on_hangup (/srv/app/billing.py:42)\n  \
             at libpreload.so+0x1f\n  \
             native truncated(copy_ended)\n"
        );
    }

    #[test]
    fn colours_add_nothing_but_colour() {
        let coloured = finding(&sample::finding(), true);
        let mut plain = coloured.replace("\u{1b}[0m", "");
        for style in [DIM, BOLD, RED, YELLOW, CYAN] {
            plain = plain.replace(&format!("\u{1b}[{style}m"), "");
        }
        assert_ne!(coloured, plain);
        assert_eq!(plain, finding(&sample::finding(), false));
    }

    #[test]
    fn no_name_breaks_or_spoofs_a_line() {
        let mut shown = sample::finding();
        let hostile = || HOSTILE.to_owned();
        shown.rule = hostile();
        shown.also = vec![hostile()];
        shown.message = hostile();
        shown.remedy = hostile();
        shown.time = hostile();
        let evidence = &mut shown.evidence;
        evidence.signal.name = hostile();
        evidence.server.name = hostile();
        evidence.worker.role = hostile();
        evidence.worker.process_group = Some(hostile());
        evidence.change.old.owner = Some(hostile());
        evidence.change.new.owner = Some(format!("/x/{HOSTILE}"));
        evidence.change.new.symbol = Some(hostile());
        evidence.blame.file = Some(hostile());
        evidence.blame.function = Some(hostile());
        evidence.blame.module = Some(hostile());
        evidence.python.result = hostile();
        evidence.native.result = hostile();
        evidence.native.frames = vec![native(HOSTILE, Some(HOSTILE), "application", 1)];
        for frame in &mut evidence.python.frames {
            frame.file = hostile();
            frame.function = hostile();
        }
        let text = finding(&shown, false);
        assert!(text.lines().all(is_quiet), "{text:?}");
        // Head, blame, restriction, three frames, states of the stacks, message, remedy.
        assert_eq!(text.lines().count(), 10);
    }
}
