//! The workers of one group: what stands out in each, and what all of them have.

use std::{collections::BTreeMap, fmt::Write as _};

use super::Page;
use crate::{
    engine::status::{SignalStatus, Worker},
    escape,
    sink::text::{BOLD, DIM, YELLOW, blame, grade},
    status::{
        standing::Siblings,
        words::{self, count, pid, stands, why},
    },
};

/// Workers that are listed where nothing stands out in them; there may be hundreds.
const LISTED: usize = 20;

impl Page {
    pub(super) fn group(&mut self, group: &Siblings<'_>, restriction: &str) {
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
        self.blocked(group);
        if !self.look.all {
            self.usual(group);
        }
        let mut alike = Vec::new();
        for worker in &group.workers {
            let standing_out = group.standing_out(worker);
            if standing_out.is_empty() && !self.look.all {
                alike.push(*worker);
                continue;
            }
            let (pid, up) = (pid(worker), self.age(&worker.started));
            let _ = writeln!(self.out, "    pid {pid}, up {up}");
            if self.look.all {
                self.every(&worker.signals, &standing_out);
            } else {
                self.standing_out(&standing_out);
            }
        }
        self.alike(&alike);
    }

    /// What mod_wsgi blocked in workers of the group, a line for each cause.
    fn blocked(&mut self, group: &Siblings<'_>) {
        let mut causes: BTreeMap<(String, &str), usize> = BTreeMap::new();
        for worker in &group.workers {
            for attempt in &worker.blocked_attempts {
                let by = blame(&attempt.by.blame).unwrap_or_else(|| "an unknown caller".to_owned());
                *causes.entry((by, &attempt.signal)).or_default() += 1;
            }
        }
        let mut lines: BTreeMap<(String, usize), Vec<&str>> = BTreeMap::new();
        for ((by, signal), workers) in causes {
            lines.entry((by, workers)).or_default().push(signal);
        }
        for ((by, workers), signals) in lines {
            let names = escape::text(&signals.join(" ")).to_string();
            let line = format!("    blocked {names} by {by}");
            let all = workers == group.workers.len();
            let place = match workers {
                _ if all => String::new(),
                some => format!(", in {}", count(some, "worker")),
            };
            let _ = writeln!(self.out, "{}", self.paint.with(YELLOW, line + &place));
        }
    }

    /// Workers in which nothing stands out.
    fn alike(&mut self, workers: &[&Worker]) {
        let starts = || workers.iter().map(|worker| worker.started.as_str());
        // RFC 3339 in UTC: the order of the texts is that of the times.
        let (Some(first), Some(last)) = (starts().min(), starts().max()) else {
            return;
        };
        let mut words: Vec<String> = workers.iter().take(LISTED).map(|w| pid(w)).collect();
        if let Some(more) = workers.len().checked_sub(LISTED).filter(|more| *more > 0) {
            words.push(format!("and {more} more"));
        }
        if let Some(last) = words.last_mut() {
            last.push(',');
        }
        let (oldest, newest) = (self.age(first), self.age(last));
        let up = if oldest == newest {
            format!("up {oldest}: untouched")
        } else {
            format!("up {newest} to {oldest}: untouched")
        };
        words.extend(up.split(' ').map(str::to_owned));
        self.wrapped("    pid ", "      ", &words);
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
    pub(super) fn standing_out(&mut self, signals: &[(&SignalStatus, Option<&SignalStatus>)]) {
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
        if let Some(exception) = &taken.exception {
            let reason = escape::text(&exception.reason);
            let _ = write!(out, "  (excepted: {reason})");
        }
        if let Some(blamed) = blame(&taken.blame) {
            let _ = write!(out, "\n        {} {blamed}", self.paint.with(DIM, "by"));
        }
        out
    }

    /// Every signal, a line each.
    pub(super) fn every(
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
}
