//! The status for people: what stands out first, and everything else in few words.

mod workers;

use std::{
    fmt::{self, Write as _},
    os::fd::AsFd,
};

use jiff::Timestamp;

use super::{
    standing::{Siblings, is_telling},
    words::{self, count},
};
use crate::{
    engine::status::{ExceptionStatus, Report, Server, Worker},
    escape,
    sink::text::{BOLD, DIM, Paint, YELLOW},
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
        self.exceptions(&status.exceptions);
        if status.servers.is_empty() {
            self.out
                .push_str("no httpd with mod_wsgi runs here; one that starts is found by itself\n");
        }
    }

    /// How many exceptions there are, and each that has ended or covers nothing.
    fn exceptions(&mut self, exceptions: &[ExceptionStatus]) {
        if exceptions.is_empty() {
            return;
        }
        let ended = exceptions.iter().filter(|e| e.state == "expired").count();
        let all = count(exceptions.len(), "exception");
        let _ = writeln!(self.out, "{all}, {ended} expired");
        for status in exceptions {
            let exception = &status.exception;
            let state = match exception.until {
                Some(until) if status.state == "expired" => format!("expired on {until}"),
                _ if status.matched == 0 => "covers nothing yet".to_owned(),
                _ => continue,
            };
            let what = format!(
                "  {state}: {} ({})",
                escape::text(&exception.covers()),
                escape::text(&exception.reason)
            );
            let _ = writeln!(self.out, "{}", self.paint.with(YELLOW, what));
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
