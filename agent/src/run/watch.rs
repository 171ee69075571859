//! Finds httpds and tells the probe about them.
//!
//! An httpd that starts shows first as an exec of a program that exports httpd's functions;
//! mod_wsgi and the interpreter are mapped milliseconds later. Until then the process is a
//! candidate, and is looked at again at growing intervals.

mod uprobes;

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    time::{Duration, Instant as Moment},
};

use probe_abi::{
    miss::{Miss, Tally},
    python::UNSUPPORTED,
};
use tracing::{debug, warn};

use crate::{
    escape,
    event::{Dispositions, Event, FileKey, Instant, What},
    native::Space,
    probe::maps::{Controls, Interpreter},
    process::{
        Modules, ProcessKey,
        proc::FileId,
        python_file::PythonFile,
        scan::{Look, Scanner},
    },
    python::{Version, reading::Reading},
};

fn named(version: Option<Version>) -> String {
    version.map_or_else(|| "of an unknown version".to_owned(), |v| v.to_string())
}

/// First interval between two looks at a candidate.
const FIRST: Duration = Duration::from_millis(2);
/// Longest interval between two looks at a candidate that is as new as this: loading its modules, it
/// may run Python some fifty milliseconds after libpython is first mapped.
const CLOSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(20));
/// Longest interval later on.
const LONGEST: Duration = Duration::from_millis(250);
/// After this long without mod_wsgi, a candidate is an httpd that serves something else. The
/// scan each minute will notice if that changes.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Candidate {
    since: Moment,
    next: Moment,
    interval: Duration,
}

/// The watcher: the scanner, the probe's controls and the candidates.
pub(super) struct Watch {
    scanner: Scanner,
    controls: Controls,
    proc_root: PathBuf,
    candidates: BTreeMap<u32, Candidate>,
    /// Files whose interpreter was spoken of.
    told: HashSet<FileId>,
    disagreements: Disagreements,
    /// Processes whose mod_wsgi's intercept cannot be probed, and why.
    deaf: BTreeMap<ProcessKey, Vec<String>>,
    deaf_changed: bool,
    intercepts_before: usize,
    /// Installed files of mod_wsgi, mapped or not.
    installed: Vec<FileId>,
}

/// Interpreters that describe their layout otherwise than the table has it.
#[derive(Debug, Default)]
struct Disagreements {
    /// What they say is used.
    own: u64,
    /// What they say cannot be.
    none: u64,
}

impl Watch {
    pub(super) fn new(proc_root: &Path, controls: Controls) -> Self {
        let mut watch = Self {
            scanner: Scanner::new(proc_root),
            controls,
            proc_root: proc_root.to_owned(),
            candidates: BTreeMap::new(),
            told: HashSet::new(),
            disagreements: Disagreements::default(),
            deaf: BTreeMap::new(),
            deaf_changed: false,
            intercepts_before: 0,
            installed: Vec::new(),
        };
        watch.probe_installed();
        watch
    }

    /// Probes the interpreters that are installed where the dynamic loader looks, and tells the
    /// probe which installed programs are httpds, so that the first server that starts is seen
    /// from its first line. A uprobe that is never hit costs nothing.
    fn probe_installed(&mut self) {
        for target in self.scanner.installed_pythons() {
            self.probe(&target);
        }
        self.probe_installed_httpds();
    }

    /// Every process of an httpd, parents first.
    pub(super) fn scan(&mut self) -> Vec<Look> {
        // What was installed meanwhile is known before it runs, too.
        let installed = self.probe_installed_httpds();
        let looks = self.scanner.all();
        self.hear_installed();
        self.let_go(&looks, &installed);
        looks
    }

    /// Whether a process is still there.
    pub(super) fn exists(&self, key: ProcessKey) -> bool {
        let stat = std::fs::read_to_string(self.proc_root.join(key.pid.to_string()).join("stat"));
        stat.ok()
            .and_then(|text| crate::process::proc::stat(&text))
            .is_some_and(|stat| stat.start == key.start)
    }

    /// Whether a process is gone, or runs another program than an httpd. One that cannot be
    /// looked at now is taken to be there.
    pub(super) fn has_left(&mut self, key: ProcessKey) -> bool {
        !self.exists(key) || self.scanner.program(key.pid) == Some(false)
    }

    /// Ends the probe's rows of processes that are none of ours: what ended between a look and
    /// the row that it gave has nobody left to end that row, and whoever gets the id next would
    /// be watched, with all its children.
    pub(super) fn sweep(&mut self, seen: &[ProcessKey]) {
        for pid in self.controls.pids() {
            if seen.iter().all(|key| key.pid != pid) && self.scanner.program(pid) != Some(true) {
                self.controls.unwatch(pid);
            }
        }
    }

    /// Watches a process of an httpd; `None` while mod_wsgi is not mapped in it.
    pub(super) fn admit(&mut self, look: Look, when: Instant) -> Option<Event> {
        if !look.has_mod_wsgi && !self.candidates.contains_key(&look.key.pid) {
            return None;
        }
        for target in &look.uprobes {
            self.probe(target);
        }
        self.hear_reloads(look.reload);
        self.hear_attempts(look.key, &look.intercepts);
        let python = look
            .python
            .as_ref()
            .map(|at| self.interpreter(at.file, &at.path, &at.python));
        let pid = look.key.pid;
        if let Err(reason) = self.controls.watch(pid, python) {
            warn!(pid, %reason, "failed to watch a process");
        }
        if !self.exists(look.key) {
            // It went meanwhile, and the probe has nobody left whose exit would end the row.
            self.controls.unwatch(pid);
            return None;
        }
        if !look.has_mod_wsgi {
            return None;
        }
        self.candidates.remove(&pid);
        debug!(pid, "found a process of an httpd with mod_wsgi");
        Some(Event {
            when,
            process: look.key,
            tid: pid,
            what: What::Found(Box::new(look.found)),
        })
    }

    /// What the probe is told of an interpreter.
    fn interpreter(&mut self, file: FileId, path: &str, python: &PythonFile) -> Interpreter {
        if self.told.insert(file) {
            self.tell(path, python);
        }
        let layout = match &python.reading {
            Reading::Row(index) => *index,
            Reading::Own(raw) => self.controls.layout(raw).unwrap_or(UNSUPPORTED),
            Reading::Unsupported(_) => UNSUPPORTED,
        };
        Interpreter {
            interpreters: python.interpreters,
            current: python.current,
            layout,
        }
    }

    /// Says once what is unusual about an interpreter.
    fn tell(&mut self, path: &str, python: &PythonFile) {
        let version = named(python.version);
        let file = escape::text(path);
        let fields: Vec<String> = python
            .disagreements
            .iter()
            .map(ToString::to_string)
            .collect();
        let fields = fields.join(", ");
        match &python.reading {
            Reading::Row(_) => {}
            Reading::Own(raw) if self.controls.layout(raw).is_some() => {
                self.disagreements.own += 1;
                warn!(
                    %file, fields,
                    "Python {version} has a layout of its own, which is used; please report it"
                );
            }
            Reading::Own(_) => {
                self.disagreements.none += 1;
                warn!(%file, fields, "Python {version} has no stacks: too many layouts");
            }
            Reading::Unsupported(reason) => {
                self.disagreements.none += u64::from(!fields.is_empty());
                warn!(%file, fields, "Python {version} has no stacks: {reason}");
            }
        }
    }

    /// How many interpreters describe their layout otherwise than the table has it, by the layout
    /// that is used.
    pub(super) fn disagreements(&self) -> [(&'static str, u64); 2] {
        [
            ("own", self.disagreements.own),
            ("none", self.disagreements.none),
        ]
    }

    /// One process of an httpd that the table does not know yet.
    pub(super) fn look(&mut self, pid: u32, when: Instant) -> Option<Event> {
        match self.scanner.look(pid) {
            Ok(Some(look)) => self.admit(look, when),
            Ok(None) => None,
            Err(reason) => {
                debug!(pid, %reason, "a process could not be looked at");
                None
            }
        }
    }

    /// A watched process that the table does not know makes a registration: it belongs to a
    /// server that was not found yet, or to an httpd without mod_wsgi. The latter is left alone
    /// from now on, or one that registers with each request (mod_php does) would have us look at
    /// it each time; the scan each minute will notice when it loads mod_wsgi.
    pub(super) fn stranger(&mut self, key: ProcessKey, when: Instant) -> Option<Event> {
        let Some(look) = self.scanner.look(key.pid).ok().flatten() else {
            // It has ended meanwhile, or it runs something else and has a row by mistake.
            if self.scanner.program(key.pid) == Some(false) {
                self.controls.unwatch(key.pid);
            }
            return None;
        };
        if look.key != key {
            return None;
        }
        if !look.has_mod_wsgi && !self.candidates.contains_key(&key.pid) {
            self.controls.unwatch(key.pid);
            return None;
        }
        self.admit(look, when)
    }

    /// What is mapped in a process now, and where its code is.
    pub(super) fn modules(&mut self, key: ProcessKey) -> Option<(Modules, Space)> {
        self.scanner.modules(key)
    }

    /// A process runs another program: is it an httpd? The probe remembers the answer by file.
    pub(super) fn executed(&mut self, key: ProcessKey, file: FileKey) {
        let Some(httpd) = self.scanner.program(key.pid) else {
            return;
        };
        if let Err(reason) = self.controls.judge_program(file, httpd) {
            debug!(%reason, "the probe's memory of programs is full");
        }
        if !httpd {
            return;
        }
        let reload = self.scanner.reload(key.pid);
        self.hear_reloads(reload);
        if let Err(reason) = self.controls.watch(key.pid, None) {
            warn!(pid = key.pid, %reason, "failed to watch a new httpd");
        }
        if !self.exists(key) {
            self.controls.unwatch(key.pid);
            return;
        }
        self.look_soon(key);
    }

    /// Looks at a process again in a moment: it loads its modules, for the first time or anew.
    pub(super) fn look_soon(&mut self, key: ProcessKey) {
        let now = Moment::now();
        let candidate = Candidate {
            since: now,
            next: now + FIRST,
            interval: FIRST,
        };
        self.candidates.insert(key.pid, candidate);
    }

    /// A process that the table does not know made another: where it is a candidate, its child is, too.
    /// A server that goes into the background leaves its modules to the child, which loads them anew.
    pub(super) fn forked(&mut self, parent: ProcessKey, child: ProcessKey) {
        if self.candidates.contains_key(&parent.pid) {
            self.look_soon(child);
        }
    }

    /// When the next candidate is to be looked at.
    pub(super) fn due(&self) -> Option<Moment> {
        self.candidates
            .values()
            .map(|candidate| candidate.next)
            .min()
    }

    /// Looks at the candidates whose time has come.
    pub(super) fn candidates(&mut self, when: Instant) -> Vec<Event> {
        let now = Moment::now();
        let due: Vec<u32> = self
            .candidates
            .iter()
            .filter(|(_, c)| c.next <= now)
            .map(|(pid, _)| *pid)
            .collect();
        let mut events = Vec::new();
        for pid in due {
            events.extend(self.look(pid, when));
            let Some(candidate) = self.candidates.get_mut(&pid) else {
                continue;
            };
            let (new, close) = CLOSE;
            let longest = if now - candidate.since < new {
                close
            } else {
                LONGEST
            };
            candidate.interval = (candidate.interval * 3 / 2).min(longest);
            candidate.next = now + candidate.interval;
            if now - candidate.since > PATIENCE {
                self.candidates.remove(&pid);
                self.controls.unwatch(pid);
            }
        }
        events
    }

    /// A process is gone. The probe has ended its row itself: by now, the row under this id may
    /// be another process's.
    pub(super) fn gone(&mut self, key: ProcessKey) {
        self.candidates.remove(&key.pid);
        self.deaf_changed |= self.deaf.remove(&key).is_some();
    }

    /// What stands on every signal of every watched process.
    pub(super) fn inventory(&mut self) -> Result<Vec<(ProcessKey, Box<Dispositions>)>, String> {
        self.controls.inventory()
    }

    /// What a process ignores and handles.
    pub(super) fn masks(&self, key: ProcessKey) -> Option<(u64, u64)> {
        self.scanner.masks(key)
    }

    /// Records that the ring had no room for, since the start.
    pub(super) fn ring_full(&self) -> u64 {
        let misses = self.misses();
        let full = misses.iter().find(|m| m.0 == Miss::RingFull.label());
        full.map_or(0, |m| m.1)
    }

    /// Registrations that the probe counted and dropped, since the start.
    pub(super) fn exempt(&self) -> u64 {
        self.controls.tallies()[Tally::Exempt as usize]
    }

    /// Every miss's label and its total since the start.
    pub(super) fn misses(&self) -> Vec<(&'static str, u64)> {
        self.controls.misses()
    }

    /// Run time of each program in seconds, while the kernel counts it.
    pub(super) fn run_times(&self) -> Vec<(String, f64)> {
        self.controls.run_times()
    }
}
