//! The servers' configurations: read beside the loop, and waited for.
//!
//! Reading takes milliseconds, seconds where somebody includes thousands of files. The loop goes on
//! meanwhile, but the calls of that server's processes wait: a call must not be judged by a
//! configuration that its server has left behind. It waits a second at most, and is then judged by
//! what is known. Births never wait, deaths only behind the calls of the process: what looks at
//! `/proc` find meanwhile has to fit to what the table knows.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    path::{Path, PathBuf},
    time::{Duration, Instant as Moment, UNIX_EPOCH},
};

use anyhow::Result;
use tokio::{sync::mpsc, time::timeout_at};
use tracing::{info, warn};

use super::{Agent, clock};
use crate::{
    escape,
    event::{Event, What, decode},
    httpd::files::{self, Read, ReadError},
    probe::ring::Ring,
    process::{ProcessKey, Role, server::ServerId},
};

/// How long calls wait for the configuration by which they are to be judged.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of records that wait; beyond that they wait in the ring.
const WAITING_MAX: usize = 8 << 20;
/// Problems of one configuration that are logged; the status shows all of them.
const TOLD: usize = 5;

/// Nanoseconds of a tick, in which processes' starts are counted.
const TICK: i128 = 10_000_000;
/// What is said where it may not be what the server goes by.
const LATE: &str = "its configuration was changed after workers had started that may go by what stood \
                    there before; reload the server, and it is what they go by";

/// What a reading brought.
pub(super) struct Answer {
    server: ServerId,
    process: ProcessKey,
    generation: u32,
    read: Result<Read, ReadError>,
    took: Duration,
}

/// A reading that goes on.
struct Pending {
    since: Moment,
    /// The server has begun to read its configuration once more meanwhile.
    again: Option<(ProcessKey, u32)>,
}

/// The readings, and the records that wait for them.
pub(super) struct Configurations {
    proc_root: PathBuf,
    answers: mpsc::UnboundedReceiver<Answer>,
    sender: mpsc::UnboundedSender<Answer>,
    pending: BTreeMap<ServerId, Pending>,
    waiting: VecDeque<Box<[u8]>>,
    waiting_bytes: usize,
    /// How many records of each process wait.
    processes: HashMap<ProcessKey, usize>,
    /// When to see whose waiting is over.
    until: Option<Moment>,
    /// The agent ends: nothing is read any more.
    ends: bool,
}

impl Configurations {
    pub(super) fn new(proc_root: &Path) -> Self {
        let (sender, answers) = mpsc::unbounded_channel();
        Self {
            proc_root: proc_root.to_owned(),
            answers,
            sender,
            pending: BTreeMap::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            processes: HashMap::new(),
            until: None,
            ends: false,
        }
    }

    /// The next answer.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        self.answers.recv().await
    }

    /// When to see whose waiting is over; `None` where nobody waits.
    pub(super) fn until(&self) -> Option<Moment> {
        self.until.filter(|_| !self.waiting.is_empty())
    }

    /// Whether as much waits as may.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_bytes >= WAITING_MAX
    }

    /// Lets nothing wait any longer, and reads nothing any more: what waits may have more to be read.
    pub(super) fn give_up(&mut self) {
        self.pending.clear();
        self.until = Some(Moment::now());
        self.ends = true;
    }

    /// Whether a server's configuration is being read, and may be waited for.
    fn is_awaited(&self, server: ServerId, now: Moment) -> bool {
        let pending = self.pending.get(&server);
        pending.is_some_and(|pending| now < pending.since + PATIENCE)
    }

    /// Whether that holds for any server.
    fn is_any_awaited(&self, now: Moment) -> bool {
        self.pending
            .keys()
            .any(|server| self.is_awaited(*server, now))
    }

    /// Whether calls of a process wait.
    pub(super) fn keeps(&self, process: ProcessKey) -> bool {
        self.processes.contains_key(&process)
    }

    fn request(&mut self, server: ServerId, process: ProcessKey, generation: u32) {
        if self.ends {
            return;
        }
        if let Some(pending) = self.pending.get_mut(&server) {
            pending.again = Some((process, generation));
            return;
        }
        let pending = Pending {
            since: Moment::now(),
            again: None,
        };
        let until = pending.since + PATIENCE;
        self.pending.insert(server, pending);
        self.until = Some(self.until.map_or(until, |earlier| earlier.min(until)));
        let (sender, proc_root) = (self.sender.clone(), self.proc_root.clone());
        tokio::task::spawn_blocking(move || {
            let began = Moment::now();
            let read = files::read(&proc_root, process.pid);
            // Where nobody listens, the agent is at its end.
            let _ = sender.send(Answer {
                server,
                process,
                generation,
                read,
                took: began.elapsed(),
            });
        });
    }

    fn wait(&mut self, process: ProcessKey, record: &[u8]) {
        *self.processes.entry(process).or_default() += 1;
        self.waiting_bytes += record.len();
        self.waiting.push_back(record.into());
    }

    /// Everything that waits, in order.
    fn all(&mut self) -> VecDeque<Box<[u8]>> {
        self.processes.clear();
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting)
    }
}

impl Agent {
    /// Whether a record has to wait for a configuration; if so, it does from now on.
    pub(super) fn waits(&mut self, record: &[u8]) -> bool {
        let configurations = &self.configurations;
        if configurations.pending.is_empty() && configurations.waiting.is_empty() {
            return false;
        }
        let Ok((_, event)) = decode::decode(record) else {
            return false;
        };
        let key = event.process;
        let follows = configurations.processes.contains_key(&key);
        let waits = match event.what {
            What::Registration(_) | What::Attempted(_) => {
                let now = Moment::now();
                let process = self.engine.table.get(key);
                follows
                    || match process {
                        Some(process) => configurations.is_awaited(process.server, now),
                        // It may belong to any of them.
                        None => configurations.is_any_awaited(now),
                    }
            }
            What::Exited { .. } | What::Executed { .. } => follows,
            _ => false,
        };
        if waits {
            self.configurations.wait(key, record);
        }
        waits
    }

    /// Takes in what need not wait any longer.
    pub(super) fn resume(&mut self) -> Result<()> {
        let now = Moment::now();
        if self.configurations.until.is_none_or(|until| now < until) {
            return Ok(());
        }
        for record in self.configurations.all() {
            if !self.waits(&record) {
                self.take(&record)?;
            }
        }
        let pending = self.configurations.pending.values();
        let ends = pending.map(|pending| pending.since + PATIENCE);
        self.configurations.until = ends.filter(|end| *end > now).min();
        Ok(())
    }

    /// At the end: gives the calls that wait their time, and no more than that.
    pub(super) async fn await_configurations(&mut self, ring: &mut Ring) -> Result<()> {
        self.drain(ring)?;
        let late = Moment::now() + PATIENCE;
        while self.configurations.until().is_some()
            && let Ok(Some(answer)) = timeout_at(late.into(), self.configurations.next()).await
        {
            self.configured(answer, ring)?;
        }
        self.configurations.give_up();
        Ok(())
    }

    /// Reads a server's configuration, where an event says that it is new.
    pub(super) fn read_configuration(&mut self, key: ProcessKey, reloads: bool) {
        let Some(process) = self.engine.table.get(key) else {
            return;
        };
        if process.role != Role::Master {
            return;
        }
        let (server, generation) = (process.server, process.generation);
        let known = self.engine.table.server(server);
        let is_new = known.is_some_and(|known| known.newest().is_none());
        if reloads || is_new && !self.configurations.pending.contains_key(&server) {
            self.configurations.request(server, key, generation);
        }
    }

    /// Takes in what a reading brought, and then what has waited for it.
    pub(super) fn configured(&mut self, answer: Answer, ring: &mut Ring) -> Result<()> {
        let Answer {
            server,
            process,
            generation,
            read,
            took,
        } = answer;
        let pending = self.configurations.pending.remove(&server);
        let again = pending.and_then(|pending| pending.again);
        if let Some((process, generation)) = again {
            self.configurations.request(server, process, generation);
        }
        // What has waited is looked at anew.
        self.configurations.until = Some(Moment::now());
        let known = self.engine.table.server(server);
        let known = known.map(|known| (known.master, known.name.clone()));
        let Some((master, name)) = known else {
            return self.drain(ring);
        };
        match read {
            Ok(read) => {
                self.tell_configuration(&name, &read, took);
                let late = self.is_late(server, generation, &read);
                self.whole(Event {
                    when: clock::now(),
                    process: master,
                    tid: master.pid,
                    what: What::Configured {
                        generation,
                        configuration: read.configuration.into(),
                    },
                });
                if late {
                    warn!(server = name, "{LATE}");
                    self.engine.table.unread(master, LATE.to_owned());
                }
            }
            Err(_) if again.is_some() => {}
            Err(reason) => match self.successor(server, process) {
                Some(next) => self.configurations.request(server, next, generation),
                None => {
                    let reason = reason.to_string();
                    warn!(
                        server = name,
                        reason = %escape::text(&reason),
                        "what was read of its configuration before goes on to count"
                    );
                    self.engine.table.unread(master, reason);
                }
            },
        }
        self.drain(ring)
    }

    /// Who has a server's configuration in the place of a process that has ended: a server that goes
    /// into the background forks, and its first process ends.
    fn successor(&self, server: ServerId, ended: ProcessKey) -> Option<ProcessKey> {
        if self.watch.exists(ended) {
            return None;
        }
        let processes = self.engine.table.processes();
        let mut others = processes.filter(|p| {
            p.server == server && p.key != ended && matches!(p.role, Role::Master | Role::Embedded)
        });
        others.find(|p| self.watch.exists(p.key)).map(|p| p.key)
    }

    /// Whether the files were changed after workers had started that go by this reading: the agent
    /// came later, and nobody can say what stood there when the server read them.
    fn is_late(&self, server: ServerId, generation: u32, read: &Read) -> bool {
        let Some(Ok(newest)) = read.newest.map(|newest| newest.duration_since(UNIX_EPOCH)) else {
            return false;
        };
        let offset = clock::wall().offset;
        let changed =
            i128::from(newest.as_nanos().min(u64::MAX.into()) as u64) - i128::from(offset);
        let started = |key: ProcessKey| i128::from(key.start) * TICK;
        let mut processes = self.engine.table.processes();
        processes.any(|p| {
            p.server == server
                && p.generation == generation
                && matches!(p.role, Role::Embedded | Role::Daemon | Role::ServiceScript)
                && started(p.key) + TICK < changed
        })
    }

    fn tell_configuration(&self, server: &str, read: &Read, took: Duration) {
        let configuration = &read.configuration;
        let in_force = configuration.restriction(None, None);
        let from = in_force.place.map(|place| place.to_string());
        info!(
            server,
            restrict_signal = if in_force.on { "on" } else { "off" },
            from = %escape::text(from.as_deref().unwrap_or("default")),
            files = read.files,
            milliseconds = took.as_millis(),
            "read its configuration"
        );
        for problem in configuration.problems.iter().take(TOLD) {
            let place = problem.place.to_string();
            warn!(
                server,
                place = %escape::text(&place),
                problem = %escape::text(&problem.what),
                "a part of its configuration was not understood"
            );
        }
    }
}
