//! The status for people: what stands out first, and everything else in few words.

use std::{
    fmt::{self, Write as _},
    os::fd::AsFd,
};

use jiff::Timestamp;

use super::{
    standing::{Siblings, is_telling},
    words::{self, count, stands, why},
};
use crate::{
    engine::status::{Report, Server, SignalStatus, Worker},
    escape,
    sink::text::{BOLD, DIM, Paint, YELLOW, blame, grade},
};

/// How it shall look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// In colours.
    pub colour: bool,
    /// Every signal of every worker.
    pub all: bool,
    /// Columns of the terminal; `None` where lines may be as long as they are.
    pub width: Option<usize>,
}

impl Look {
    /// As it fits to where it goes.
    pub fn of(out: &impl AsFd, colour: bool, all: bool) -> Self {
        let size = rustix::termios::tcgetwinsize(out).ok();
        Self {
            colour,
            all,
            width: size
                .map(|size| size.ws_col.into())
                .filter(|width| *width > 0),
        }
    }
}

/// The report, with a line break at the end.
#[must_use]
pub fn text(report: &Report, look: Look) -> String {
    let mut page = Page {
        out: String::new(),
        paint: Paint(look.colour),
        look,
        now: report.status.time.parse().ok(),
    };
    page.head(report);
    for server in &report.status.servers {
        page.server(server, &report.workers);
    }
    page.out
}

struct Page {
    out: String,
    paint: Paint,
    look: Look,
    now: Option<Timestamp>,
}

impl Page {
    fn head(&mut self, report: &Report) {
        let (status, workers) = (&report.status, &report.workers);
        let taken = |worker: &&Worker| worker.signals.iter().any(|s| s.taken_by.is_some());
        let with_taken = workers.iter().filter(taken).count();
        let mut line = format!(
            "sigblame {}, up {}: {}, {}",
            escape::text(&status.agent.version),
            self.age(&status.agent.started),
            count(status.servers.len(), "server"),
            count(workers.len(), "worker"),
        );
        if with_taken > 0 {
            let _ = write!(line, ", {with_taken} with signals taken");
        }
        let _ = writeln!(self.out, "{line}");
        let hooks = &status.hooks;
        for hook in hooks.iter().filter(|hook| !hook.attached) {
            // A better or another rung does the same work.
            if hooks.iter().any(|h| h.attached && h.hook == hook.hook) {
                continue;
            }
            let reason = hook.reason.as_deref().unwrap_or("not attached");
            let what = format!(
                "hook {} is missing ({}): {}",
                escape::text(&hook.hook),
                escape::text(&hook.mechanism),
                escape::text(reason)
            );
            let _ = writeln!(self.out, "{}", self.paint.with(YELLOW, what));
        }
        if status.servers.is_empty() {
            self.out
                .push_str("no httpd with mod_wsgi runs here; one that starts is found by itself\n");
        }
    }

    fn server(&mut self, server: &Server, workers: &[Worker]) {
        let mut line = format!(
            "\n{} pid {}, up {}",
            self.paint.with(BOLD, escape::text(&server.name)),
            server.pid,
            self.age(&server.started)
        );
        if let Some(mpm) = &server.mpm {
            let _ = write!(line, ", {} MPM", escape::text(mpm));
        }
        if let Some(version) = &server.mod_wsgi {
            let _ = write!(line, ", mod_wsgi {}", escape::text(version));
        }
        if let Some(container) = &server.container {
            let short: String = container.id.chars().take(12).collect();
            let _ = write!(line, ", container {}", escape::text(&short));
        }
        let _ = writeln!(self.out, "{line}");
        if let Some(config) = &server.config {
            self.fact("config", &escape::text(config));
        }
        let restriction = words::restriction(&server.restrict_signal, &server.restrict_signal_from);
        self.fact("restriction", &restriction);
        for problem in &server.problems {
            let problem = self.paint.with(YELLOW, escape::text(problem));
            self.fact("problem", &problem);
        }
        self.master(server);
        let groups = Siblings::of(&server.name, workers);
        if groups.is_empty() {
            self.fact("workers", &"none yet");
        }
        for group in &groups {
            self.group(group, &server.restrict_signal);
        }
    }

    fn fact(&mut self, name: &str, what: &dyn fmt::Display) {
        let name = self.paint.with(DIM, format_args!("{name:<11}"));
        let _ = writeln!(self.out, "  {name}  {what}");
    }

    /// The master, where somebody should look at it.
    fn master(&mut self, server: &Server) {
        let telling = server.signals.iter().filter(|signal| is_telling(signal));
        let telling: Vec<_> = telling.map(|signal| (signal, None)).collect();
        if telling.is_empty() && !self.look.all {
            return;
        }
        let _ = writeln!(self.out, "  master pid {}", server.pid);
        if self.look.all {
            self.every(&server.signals, &telling);
        } else {
            self.standing_out(&telling);
        }
    }

    fn group(&mut self, group: &Siblings<'_>, restriction: &str) {
        let mut title = escape::text(group.role).to_string();
        if let Some(name) = group.process_group {
            let _ = write!(title, " {}", escape::text(name));
        }
        let number = count(group.workers.len(), "worker");
        let _ = writeln!(self.out, "  {}: {number}", self.paint.with(BOLD, title));
        let worker = group.workers.first();
        if let Some(worker) = worker.filter(|worker| worker.restrict_signal != restriction) {
            let own = words::restriction(&worker.restrict_signal, &worker.restrict_signal_from);
            let _ = writeln!(self.out, "    restriction {own}");
        }
        for application in worker.into_iter().flat_map(|worker| &worker.applications) {
            let name = application.group.as_deref().unwrap_or("an application");
            let script = application.script.as_deref().unwrap_or("a script");
            let what = format!("{} ({})", escape::text(name), escape::text(script));
            self.wrapped("    runs ", "         ", &[what]);
        }
        if !self.look.all {
            self.usual(group);
        }
        let mut alike = Vec::new();
        for worker in &group.workers {
            let standing_out = group.standing_out(worker);
            if standing_out.is_empty() && !self.look.all {
                alike.push(self.process(worker));
                continue;
            }
            let _ = writeln!(self.out, "    {}", self.process(worker));
            if self.look.all {
                self.every(&worker.signals, &standing_out);
            } else {
                self.standing_out(&standing_out);
            }
        }
        if !alike.is_empty() {
            let last = alike.len() - 1;
            for (at, process) in alike.iter_mut().enumerate() {
                process.push_str(if at < last { ";" } else { ": untouched" });
            }
            self.wrapped("    ", "    ", &alike);
        }
    }

    fn process(&self, worker: &Worker) -> String {
        let mut out = format!("pid {}", worker.pid);
        if let Some(inner) = worker.ns_pid.filter(|inner| *inner != worker.pid) {
            let _ = write!(out, " ({inner} inside)");
        }
        let _ = write!(out, ", up {}", self.age(&worker.started));
        out
    }

    /// One line for all signals that stand as the server, the interpreter and the C library set
    /// them: by owner.
    fn usual(&mut self, group: &Siblings<'_>) {
        let mut sets: Vec<(String, Vec<&str>)> = Vec::new();
        let (mut default, mut unknown) = (0, 0);
        for signal in group.usual() {
            match signal.kind.as_str() {
                "default" => default += 1,
                "unknown" => unknown += 1,
                _ => {
                    let by = stands(signal);
                    match sets.iter_mut().find(|(other, _)| *other == by) {
                        Some((_, names)) => names.push(&signal.name),
                        None => sets.push((by, vec![&signal.name])),
                    }
                }
            }
        }
        let mut parts: Vec<String> = sets
            .into_iter()
            .map(|(by, names)| format!("{by} {}", escape::text(&names.join(" "))))
            .collect();
        if default > 0 {
            parts.push(format!("the other {default} default"));
        }
        if unknown > 0 {
            parts.push(format!(
                "the other {unknown} unknown: nobody has looked yet"
            ));
        }
        let last = parts.len().saturating_sub(1);
        for part in parts.iter_mut().take(last) {
            part.push(';');
        }
        let words: Vec<String> = parts
            .iter()
            .flat_map(|part| part.split(' ').map(str::to_owned))
            .collect();
        self.wrapped("    untouched: ", "      ", &words);
    }

    /// The signals that somebody should look at: those of one cause together, two lines each.
    fn standing_out(&mut self, signals: &[(&SignalStatus, Option<&SignalStatus>)]) {
        let mut causes: Vec<(String, Vec<&str>)> = Vec::new();
        for (signal, other) in signals {
            let cause = self.cause(signal, *other);
            match causes.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, names)) => names.push(&signal.name),
                None => causes.push((cause, vec![&signal.name])),
            }
        }
        for (cause, names) in causes {
            let names = escape::text(&names.join(" ")).to_string();
            let names = self.paint.with(BOLD, names);
            let _ = writeln!(self.out, "      {names}: {cause}");
        }
    }

    /// What stands on a signal, why that is worth a look, and who did it.
    fn cause(&self, signal: &SignalStatus, other: Option<&SignalStatus>) -> String {
        let Some(taken) = &signal.taken_by else {
            let why = self.paint.with(YELLOW, why(signal, other));
            return format!("{}  {why}", stands(signal));
        };
        let mut out = format!(
            "{}  {} {} for {}",
            stands(signal),
            grade(taken.severity, self.paint),
            escape::text(&taken.rule),
            self.age(&taken.since)
        );
        if let Some(blamed) = blame(&taken.blame) {
            let _ = write!(out, "\n        {} {blamed}", self.paint.with(DIM, "by"));
        }
        out
    }

    /// Every signal, a line each.
    fn every(
        &mut self,
        signals: &[SignalStatus],
        standing_out: &[(&SignalStatus, Option<&SignalStatus>)],
    ) {
        for signal in signals {
            let found = standing_out.iter().find(|(s, _)| s.number == signal.number);
            if let Some((_, other)) = found {
                let name = escape::text(&signal.name).to_string();
                let name = self.paint.with(BOLD, format_args!("{name:<11}"));
                let _ = writeln!(self.out, "      {name} {}", self.cause(signal, *other));
                continue;
            }
            let flags = escape::text(&signal.flags.join(" ")).to_string();
            let line = format!(
                "      {:<11} {}  {}",
                escape::text(&signal.name).to_string(),
                stands(signal),
                self.paint.with(DIM, flags)
            );
            let _ = writeln!(self.out, "{}", line.trim_end());
        }
    }

    /// Words with a blank between them, on as many lines as they need.
    fn wrapped(&mut self, first: &str, next: &str, words: &[String]) {
        let width = self.look.width.unwrap_or(usize::MAX);
        let mut line = first.to_owned();
        let mut is_empty = true;
        for word in words {
            let length = line.chars().count() + 1 + word.chars().count();
            if !is_empty && length > width {
                let _ = writeln!(self.out, "{line}");
                line = next.to_owned();
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        let _ = writeln!(self.out, "{line}");
    }

    fn age(&self, time: &str) -> String {
        words::age(self.now, time)
    }
}
