//! What the servers' error logs tell: blocked attempts, where the probe cannot see a mod_wsgi's
//! intercept, and children that do not go.
//!
//! Of attempts a log tells less: no interpreter, no handler, plain function names, and from mod_wsgi 6
//! on nothing at httpd's usual level. It is read for servers whose mod_wsgi cannot be probed, and while
//! a worker of a server is asked to go.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use tracing::{info, warn};

use super::{Agent, clock, watch::Watch};
use crate::{
    engine::Engine,
    escape,
    event::{
        Attempt, Event, Instant, NativeStack, PythonStack, Signal, Source, StackResult, Wanted,
        What,
    },
    httpd::{
        ErrorLog,
        error_log::{LoggedAttempt, Reader},
        follow::Follower,
        reclaim::{self, Notice},
    },
    process::{ModuleKind, Modules, ProcessKey, Role, server::ServerId},
    python::Version,
    sink::metrics::Stage,
};

/// How long after its last line an attempt's stack is taken to be complete, in nanoseconds.
const COMPLETE: u64 = 1_000_000_000;
/// Logs of one server that are followed; each virtual host may have its own.
const LOGS_MAX: usize = 64;
/// Workers that are looked at to find the one whose id a line has.
const LOOKS_MAX: usize = 64;

/// The logs that are followed.
pub(super) struct ErrorLogs {
    proc_root: PathBuf,
    servers: BTreeMap<ServerId, Logs>,
    /// What was told of them last.
    told: Option<(bool, Vec<String>)>,
}

/// Those of one server.
struct Logs {
    master: ProcessKey,
    /// Its mod_wsgi cannot be probed.
    deaf: bool,
    /// As the configuration has them.
    said: Vec<ErrorLog>,
    files: Vec<(Follower, Reader)>,
    unreadable: Vec<String>,
    /// Attempts of which the log does not say whose they are, so far.
    nameless: u64,
    skipped: u64,
}

impl Logs {
    fn new(proc_root: &Path, master: ProcessKey, deaf: bool, said: &[ErrorLog]) -> Self {
        let (mut files, mut unreadable) = (Vec::new(), Vec::new());
        for log in said.iter().take(LOGS_MAX) {
            match log {
                ErrorLog::File(path) => {
                    let follower = Follower::new(proc_root, master.pid, path);
                    files.push((follower, Reader::default()));
                }
                ErrorLog::Unreadable(target) => unreadable.push(target.clone()),
            }
        }
        Self {
            master,
            deaf,
            said: said.to_vec(),
            files,
            unreadable,
            nameless: 0,
            skipped: 0,
        }
    }

    /// Attempts, and children by their ids in the server's pid namespace.
    fn poll(&mut self, now: Instant) -> (Vec<LoggedAttempt>, Vec<(u32, Notice)>) {
        let (mut attempts, mut notices) = (Vec::new(), Vec::new());
        for (follower, reader) in &mut self.files {
            for line in follower.poll() {
                notices.extend(reclaim::notice(&line));
                if self.deaf {
                    attempts.extend(reader.read(&line, now));
                }
            }
            let before = Instant(now.0.saturating_sub(COMPLETE));
            attempts.extend(reader.overdue(before));
        }
        (attempts, notices)
    }

    /// Attempts whose process the log did not tell, and bytes that came faster than they were read,
    /// since the last time.
    fn lost(&mut self) -> (u64, u64) {
        let sum = |count: fn(&(Follower, Reader)) -> u64| self.files.iter().map(count).sum::<u64>();
        let nameless = sum(|(_, reader)| reader.nameless());
        let skipped = sum(|(follower, _)| follower.skipped());
        let lost = (nameless - self.nameless, skipped - self.skipped);
        (self.nameless, self.skipped) = (nameless, skipped);
        lost
    }
}

impl ErrorLogs {
    pub(super) fn new(proc_root: &Path) -> Self {
        Self {
            proc_root: proc_root.to_owned(),
            servers: BTreeMap::new(),
            told: None,
        }
    }

    /// Begins and ends following, by which servers' mod_wsgi cannot be probed now, and which ask
    /// workers to go.
    fn settle(&mut self, engine: &Engine, watch: &Watch) {
        let asked = engine.table.shutdowns().workers();
        let asked = asked.filter_map(|key| engine.table.get(key).map(|process| process.server));
        let asked: BTreeSet<ServerId> = asked.collect();
        let mut wanted: BTreeMap<ServerId, (ProcessKey, bool, &[ErrorLog])> = BTreeMap::new();
        for server in engine.table.servers() {
            let deaf = watch.deaf(server.master).is_some();
            if (deaf || asked.contains(&server.id))
                && let Some(configuration) = server.newest()
            {
                let logs = &configuration.error_logs;
                wanted.insert(server.id, (server.master, deaf, logs));
            }
        }
        self.servers.retain(|id, logs| {
            let Some((master, deaf, said)) = wanted.get(id) else {
                return false;
            };
            logs.deaf = *deaf;
            *master == logs.master && *said == logs.said
        });
        for (id, (master, deaf, said)) in wanted {
            self.servers
                .entry(id)
                .or_insert_with(|| Logs::new(&self.proc_root, master, deaf, said));
        }
    }

    /// Those that are read for blocked attempts.
    fn deaf(&self) -> impl Iterator<Item = (&ServerId, &Logs)> {
        self.servers.iter().filter(|(_, logs)| logs.deaf)
    }

    /// Whether any log is read, and which cannot be; `None` where that is no news.
    fn news(&mut self, engine: &Engine) -> Option<(bool, Vec<String>)> {
        let mut reasons = Vec::new();
        for server in engine.table.servers() {
            let logs = self.servers.get(&server.id);
            let Some(logs) = logs.filter(|logs| logs.deaf) else {
                continue;
            };
            let name = &server.name;
            for target in &logs.unreadable {
                reasons.push(format!(
                    "{name} logs to {target}, which nobody else can read: let it log to a file"
                ));
            }
            let major = server.facts.mod_wsgi.as_deref();
            if major.is_some_and(|version| !version.starts_with(['4', '5'])) {
                reasons.push(format!(
                    "{name} tells blocked attempts at LogLevel wsgi:info only"
                ));
            }
        }
        let logs = self.deaf().flat_map(|(_, logs)| &logs.files);
        let is_read = logs.into_iter().any(|(follower, _)| follower.is_open());
        let now = (is_read, reasons);
        if self.deaf().next().is_none() && self.told.is_none() || self.told.as_ref() == Some(&now) {
            return None;
        }
        self.told = Some(now.clone());
        Some(now)
    }
}

impl Agent {
    /// Hears what the logs have told since the last time.
    pub(super) fn read_error_logs(&mut self) {
        self.error_logs.settle(&self.engine, &self.watch);
        let now = clock::now();
        let (mut told, mut reclaimed) = (Vec::new(), Vec::new());
        for (server, logs) in &mut self.error_logs.servers {
            let (attempts, notices) = logs.poll(now);
            told.extend(attempts.into_iter().map(|attempt| (*server, attempt)));
            let whose = (*server, logs.master);
            reclaimed.extend(notices.into_iter().map(|notice| (whose, notice)));
            let (nameless, skipped) = logs.lost();
            self.tell.lost(Stage::ErrorLog, nameless);
            if skipped > 0 {
                warn!(bytes = skipped, "an error log grew faster than it was read");
            }
        }
        for (server, attempt) in told {
            self.logged(server, attempt, now);
        }
        for ((server, process), (ns_pid, notice)) in reclaimed {
            // Whose id that is, is known from then on.
            let _ = self.worker(server, ns_pid, now);
            self.whole(Event {
                when: now,
                process,
                tid: process.pid,
                what: What::Reclaimed { ns_pid, notice },
            });
        }
        if let Some((is_read, reasons)) = self.error_logs.news(&self.engine) {
            for reason in &reasons {
                warn!(reason = %escape::text(reason), "blocked attempts may be missed");
            }
            if is_read {
                info!("an error log is read for blocked attempts that the probe cannot see");
            }
            self.tell.error_logs(is_read, &reasons);
        }
    }

    fn logged(&mut self, server: ServerId, attempt: LoggedAttempt, now: Instant) {
        let Some(key) = self.worker(server, attempt.pid, now) else {
            // It ended before its line was read.
            self.tell.lost(Stage::ErrorLog, 1);
            return;
        };
        let Some(process) = self.engine.table.get(key) else {
            return;
        };
        let version = python_version(&process.modules);
        // The thread's id is the server's pid namespace's; only the main thread's is known here.
        let tid = match attempt.tid.and_then(|tid| u32::try_from(tid).ok()) {
            Some(tid) if tid == attempt.pid => key.pid,
            Some(tid) if key.pid == attempt.pid => tid,
            _ => 0,
        };
        let result = match (attempt.frames.is_empty(), attempt.truncated) {
            (true, _) => StackResult::None,
            (_, true) => StackResult::Truncated,
            (_, false) => StackResult::Complete,
        };
        let attempt = Attempt {
            signal: u32::try_from(attempt.signal).ok().and_then(Signal::new),
            number: attempt.signal,
            handler: Wanted::Unknown,
            folded: 0,
            python: PythonStack {
                result,
                version,
                frames: attempt.frames,
                ..PythonStack::default()
            },
            native: NativeStack::default(),
            source: Source::ErrorLog,
        };
        self.whole(Event {
            when: now,
            process: key,
            tid,
            what: What::Attempted(Box::new(attempt)),
        });
    }

    /// The worker of a server that has this id in its own pid namespace.
    fn worker(&mut self, server: ServerId, pid: u32, now: Instant) -> Option<ProcessKey> {
        let known = |agent: &Self| {
            let mut processes = agent.engine.table.processes();
            processes
                .find(|p| p.server == server && p.role != Role::Child && p.ns_pid == Some(pid))
                .map(|p| p.key)
        };
        if let Some(key) = known(self) {
            return Some(key);
        }
        // A forked one's is known once it is looked at.
        let processes = self.engine.table.processes();
        let unknown = processes.filter(|p| p.server == server && p.ns_pid.is_none());
        let unknown: Vec<ProcessKey> = unknown.map(|p| p.key).take(LOOKS_MAX).collect();
        for key in unknown {
            if let Some(found) = self.watch.look(key.pid, now) {
                self.whole(found);
            }
        }
        known(self)
    }
}

/// The version of the interpreter that a process has mapped, by its file's name: the log does not
/// tell, and the standard library's files are known by it.
fn python_version(modules: &Modules) -> Option<Version> {
    let python = modules.0.iter().find(|m| m.kind == ModuleKind::Python)?;
    let (_, rest) = python.name().split_once("python")?;
    let (major, rest) = rest.split_once('.')?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    let minor = &rest[..end.unwrap_or(rest.len())];
    Some(Version::new(major.parse().ok()?, minor.parse().ok()?))
}
