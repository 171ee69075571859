//! The servers' configurations: read beside the loop, and waited for.
//!
//! Reading takes milliseconds, seconds where somebody includes thousands of files. The loop goes on
//! meanwhile, but what processes do waits in order: a call must not be judged by a configuration
//! that its server has left behind. It waits a second at most, and is then judged by what is known.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    time::{Duration, Instant as Moment},
};

use anyhow::Result;
use tokio::sync::mpsc;
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
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// The agent ends: nothing is read any more.
    ends: bool,
}

/// A record that waits.
struct Waiting {
    record: Box<[u8]>,
    /// The program that it tells of was looked at already.
    looked_at: bool,
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
            ends: false,
        }
    }

    /// The next answer.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        self.answers.recv().await
    }

    /// Until when records wait; `None` where nothing is waited for.
    pub(super) fn until(&self) -> Option<Moment> {
        let now = Moment::now();
        let ends = self
            .pending
            .values()
            .map(|pending| pending.since + PATIENCE);
        ends.filter(|end| *end > now).max()
    }

    /// Whether as much waits as may.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_bytes >= WAITING_MAX
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets nothing wait any longer, and reads nothing any more: what waits may have more to be read.
    pub(super) fn give_up(&mut self) {
        self.pending.clear();
        self.ends = true;
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
        self.pending.insert(server, pending);
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

    fn wait(&mut self, record: &[u8], looked_at: bool) {
        self.waiting_bytes += record.len();
        let record = record.into();
        self.waiting.push_back(Waiting { record, looked_at });
    }

    fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.waiting_bytes -= waiting.record.len();
        Some(waiting)
    }
}

impl Agent {
    /// Whether a record has to wait for a configuration; if so, it does from now on.
    ///
    /// A program that nobody knows yet is looked at all the same: an httpd is to be watched at once.
    /// Only then its record waits, too: the same process's birth may be before it, and who is born
    /// after having run another program would be a worker for ever.
    pub(super) fn waits(&mut self, record: &[u8]) -> bool {
        if self.configurations.until().is_none() && self.configurations.is_empty() {
            return false;
        }
        let mut looked_at = false;
        if let Ok((_, event)) = decode::decode(record)
            && let What::Executed { file } = event.what
            && self.engine.table.get(event.process).is_none()
        {
            self.watch.executed(event.process, file);
            looked_at = true;
        }
        self.configurations.wait(record, looked_at);
        true
    }

    /// Takes in what has waited, unless it has to go on waiting.
    pub(super) fn resume(&mut self) -> Result<()> {
        while self.configurations.until().is_none()
            && let Some(waiting) = self.configurations.pop()
        {
            self.take(&waiting.record, waiting.looked_at)?;
        }
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
        let mut servers = self.engine.table.servers();
        let is_new = servers.any(|known| known.id == server && known.newest().is_none());
        drop(servers);
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
        let again = self
            .configurations
            .pending
            .remove(&server)
            .and_then(|pending| pending.again);
        // A server that goes into the background has another first process by now.
        let mut servers = self.engine.table.servers();
        let known = servers.find(|known| known.id == server);
        let known = known.map(|known| (known.master, known.name.clone()));
        drop(servers);
        if let Some((master, name)) = known {
            match read {
                Ok(read) => {
                    self.tell_configuration(&name, &read, took);
                    self.whole(Event {
                        when: clock::now(),
                        process: master,
                        tid: master.pid,
                        what: What::Configured {
                            generation,
                            configuration: read.configuration.into(),
                        },
                    });
                }
                Err(_) if master != process && again.is_none() => {
                    self.configurations.request(server, master, generation);
                }
                Err(reason) => {
                    let reason = reason.to_string();
                    warn!(
                        server = name,
                        reason = %escape::text(&reason),
                        "what was read of its configuration before goes on to count"
                    );
                    self.engine.table.unread(master, reason);
                }
            }
        }
        if let Some((process, generation)) = again {
            self.configurations.request(server, process, generation);
        }
        self.drain(ring)
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
