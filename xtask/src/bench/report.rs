//! The figures: medians, what they lay between, ratios, and the machine that they are from.

use std::{fmt, fs, thread};

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    EVENTS, FRAMES, Turn,
    depth::{self, Depths},
    kernel,
    resources::{Profile, Resources},
    server::Worker,
    spread::Spread,
    tool::Tool,
    version_of,
};

/// Everything that was measured.
pub(super) struct Report {
    machine: Vec<(&'static str, String)>,
    calls: u32,
    turns: Vec<(Tool, Turn)>,
    pub(super) resources: Option<Resources>,
    pub(super) programs: Vec<Profile>,
}

/// A row of the first table: what costs, and where it stands in a turn.
type Row = (&'static str, &'static str, fn(&Turn) -> f64);

const ROWS: [Row; 4] = [
    ("unwatched", "rt_sigaction, process not watched", |turn| {
        turn.unwatched
    }),
    ("other", "getppid, for any other system call", |turn| {
        turn.other
    }),
    ("watched", "rt_sigaction, watched, Python stack", |turn| {
        turn.watched
    }),
    ("blocked", "signal.signal, blocked by mod_wsgi", |turn| {
        turn.blocked
    }),
];

impl Report {
    /// An empty one, with what is known beforehand.
    pub(super) fn new(worker: &Worker, calls: u32) -> Result<Self> {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let machine = vec![
            ("kernel", kernel()),
            ("processor", format!("{}, {cpus} in use", processor())),
            ("CPython", worker.python.clone()),
            ("mod_wsgi", worker.mod_wsgi.clone()),
            ("bpftrace", version_of("bpftrace")?),
        ];
        Ok(Self {
            machine,
            calls,
            turns: Vec::new(),
            resources: None,
            programs: Vec::new(),
        })
    }

    /// Adds a turn; they come round by round.
    pub(super) fn add(&mut self, tool: Tool, turn: Turn) {
        self.turns.push((tool, turn));
    }

    fn of(&self, tool: Tool, value: fn(&Turn) -> f64) -> Vec<f64> {
        let ours = self.turns.iter().filter(|(whose, _)| *whose == tool);
        ours.map(|(_, turn)| value(turn)).collect()
    }

    fn depths(&self, tool: Tool) -> Vec<Depths> {
        let ours = self.turns.iter().filter(|(whose, _)| *whose == tool);
        ours.map(|(_, turn)| turn.depths.clone()).collect()
    }

    /// One tool's figures over another's, round by round.
    fn ratio(&self, over: Tool, under: Tool, value: fn(&Turn) -> f64) -> Spread {
        let (over, under) = (self.of(over, value), self.of(under, value));
        Spread::of(
            &over
                .iter()
                .zip(&under)
                .map(|(a, b)| a / b)
                .collect::<Vec<_>>(),
        )
    }

    /// The same figures for programs.
    pub(super) fn json(&self) -> Value {
        let machine: serde_json::Map<_, _> = self
            .machine
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        let costs: Vec<Value> = ROWS
            .iter()
            .map(|(id, _, value)| {
                let samples = Tool::ALL.map(|tool| (tool.name().to_owned(), json!(self.of(tool, *value))));
                json!({
                    "id": id,
                    "unit": "nanoseconds per call",
                    "samples": Value::Object(samples.into_iter().collect()),
                    "sigblame_over_bpftrace": self.ratio(Tool::Sigblame, Tool::Bpftrace, *value).json(),
                    "sigblame_over_nothing": self.ratio(Tool::Sigblame, Tool::Nothing, *value).json(),
                    "bpftrace_over_nothing": self.ratio(Tool::Bpftrace, Tool::Nothing, *value).json(),
                })
            })
            .collect();
        let resources = self.resources.as_ref().map(|r| {
            json!({
                "rung": r.rung,
                "ready_seconds": self.of(Tool::Sigblame, |turn| turn.ready),
                "idle_rss_kib": r.idle.0, "idle_anonymous_kib": r.idle.1,
                "rss_kib_after_1000_events": r.used.0, "anonymous_kib_after_1000_events": r.used.1,
                "idle_cpu_seconds_per_second": r.idle_cpu,
                "cpu_seconds_per_10k_events": r.silent_cpu,
                "cpu_seconds_per_10k_events_with_findings": r.finding_cpu,
            })
        });
        let programs: Vec<Value> = self
            .programs
            .iter()
            .map(|p| {
                json!({
                    "tool": p.tool.name(), "program": p.program.name,
                    "verified_instructions": p.program.verified,
                    "unwatched_nanoseconds": p.unwatched, "watched_nanoseconds": p.watched,
                })
            })
            .collect();
        json!({
            "machine": machine, "frames": FRAMES, "events_per_sample": EVENTS,
            "calls_per_sample": self.calls, "costs": costs, "agent": resources,
            "depths": depth::json(|tool| self.depths(tool)),
            "programs": programs,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.machine {
            writeln!(f, "{name:<10} {value}")?;
        }
        if let Some(resources) = &self.resources {
            writeln!(f, "{:<10} {}", "rung", resources.rung)?;
        }
        let rounds = self.of(Tool::Nothing, |turn| turn.ready).len();
        writeln!(
            f,
            "\nNanoseconds of processor time per call; median (least–most) of {rounds} rounds.\n\
             {:<37}{:<22}{:<22}{:<22}",
            "", "nothing attached", "sigblame", "bpftrace"
        )?;
        for (_, title, value) in ROWS {
            write!(f, "{title:<37}")?;
            for tool in Tool::ALL {
                write!(f, "{:<22}", Spread::of(&self.of(tool, value)).whole())?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "\nRatios, round by round.\n{:<37}{:<22}{:<22}{:<22}",
            "", "sigblame / bpftrace", "sigblame / nothing", "bpftrace / nothing"
        )?;
        for (_, title, value) in ROWS {
            writeln!(
                f,
                "{title:<37}{:<22}{:<22}{:<22}",
                self.ratio(Tool::Sigblame, Tool::Bpftrace, value).fine(),
                self.ratio(Tool::Sigblame, Tool::Nothing, value).fine(),
                self.ratio(Tool::Bpftrace, Tool::Nothing, value).fine(),
            )?;
        }
        writeln!(
            f,
            "\nUnwatched: blocks of calls in a process of its own, {} per sample and kind. Watched: \
             {EVENTS} calls from C in an\nhttpd worker with {FRAMES} Python frames, each in a file \
             of its own. sigblame records every frame with file, name\nand line, and each of its \
             records was counted and complete. bpftrace has the same filter and a stash between\n\
             entry and exit, but cannot read Python frames: it gives up to 20 native addresses only.\n\
             Blocked: calls from Python, which mod_wsgi itself logs with the caller's stack; each tool \
             has one uprobe.",
            self.calls
        )?;
        f.write_str(&depth::table(|tool| self.depths(tool))?)?;
        self.write_resources(f)?;
        self.write_programs(f)
    }
}

impl Report {
    fn write_resources(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(r) = &self.resources else {
            return Ok(());
        };
        let mib = |(all, anonymous): (u64, u64)| {
            format!(
                "{:.1} MiB, {:.1} of it no file's",
                all as f64 / 1024.0,
                anonymous as f64 / 1024.0
            )
        };
        let ready: Vec<f64> = self.of(Tool::Sigblame, |turn| turn.ready * 1e3);
        let rows = [
            (
                "start to ready",
                format!("{} ms", Spread::of(&ready).whole()),
            ),
            ("memory, idle", mib(r.idle)),
            ("memory, after 1,000 events", mib(r.used)),
            (
                "processor time, idle",
                format!("{:.1} ms per second", r.idle_cpu * 1e3),
            ),
            ("… per 10,000 events", format!("{:.2} s", r.silent_cpu)),
            (
                "… half of them findings again",
                format!("{:.2} s", r.finding_cpu),
            ),
        ];
        writeln!(
            f,
            "\nThe agent; processor time is of {} events each, ±10 ms.",
            r.events
        )?;
        for (title, value) in rows {
            writeln!(f, "{title:<37}{value}")?;
        }
        Ok(())
    }

    fn write_programs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nThe programs; nanoseconds per run as the kernel counts them, which costs some itself.\n\
             {:<37}{:>20}{:>14}{:>12}",
            "", "instructions verified", "unwatched", "watched"
        )?;
        for profile in &self.programs {
            let time = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{v:.0}"));
            writeln!(
                f,
                "{:<37}{:>20}{:>14}{:>12}",
                format!("{} {}", profile.tool.name(), profile.program.name),
                profile.program.verified,
                time(profile.unwatched),
                time(profile.watched)
            )?;
        }
        Ok(())
    }
}

/// What the kernel calls the processor.
fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split_once(": "));
    name.map_or("unknown", |(_, name)| name).trim().to_owned()
}
