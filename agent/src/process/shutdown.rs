//! Workers that are asked to go: by which signals, on which occasion, and what came of each. Pure.
//!
//! Who asks (seen on httpd 2.4.71 with mod_wsgi 4.9.4): the first process sends SIGTERM to all its
//! children on a stop and on a restart, to daemons on a graceful restart, too; under prefork SIGHUP and
//! SIGUSR1 as well. A daemon that recycles sends itself SIGINT, and the kernel sends it SIGXCPU.
//! Children of event and worker are told by a pipe first: what a signal is for there, see [`blocks`].

use std::collections::BTreeMap;

use crate::{
    event::{Action, Delivered, Fate, Instant, Sent, Signal},
    httpd::Notice,
    process::{ProcessKey, Role, origin::Owner, server::ServerId},
};

/// What the server was doing when it asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// It ends.
    Stop,
    /// It restarts and waits for nobody.
    Restart,
    /// It restarts, or ends, and lets requests end first.
    Graceful,
    /// The worker has done its share: `maximum-requests` and its like.
    Recycle,
}

impl Occasion {
    /// The name that JSON uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Graceful => "graceful",
            Self::Recycle => "recycle",
        }
    }

    /// What a signal means to a server's first process (`ap_mpm_unix` handlers, httpd 2.4).
    fn of_master(signal: Signal) -> Option<Self> {
        match signal {
            Signal::TERM | Signal::INT => Some(Self::Stop),
            Signal::HUP => Some(Self::Restart),
            Signal::USR1 | Signal::WINCH => Some(Self::Graceful),
            _ => None,
        }
    }
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The server's first process.
    Master,
    /// The worker itself, or the kernel for it.
    Itself,
}

impl By {
    /// The name that JSON uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Itself => "itself",
        }
    }
}

/// One signal by which a worker was asked to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Which.
    pub signal: Signal,
    /// When it was sent first.
    pub since: Instant,
    /// When it was sent last.
    pub last: Instant,
    /// By whom first.
    pub by: By,
    /// It was ignored at least once.
    pub ignored: bool,
    /// A thread took it, and this handler ran; `None` for the default.
    pub handled: Option<Option<Owner>>,
    /// That was the server's own handler: nobody was in the way.
    heeded: bool,
    /// What became of it in time is known.
    judged: bool,
}

impl Asked {
    /// What the kernel did with it, as JSON has it.
    #[must_use]
    pub fn result(&self) -> &'static str {
        if self.handled.is_some() {
            "delivered"
        } else if self.ignored {
            "ignored"
        } else {
            "pending"
        }
    }
}

/// A worker that was asked to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Shutdown {
    /// Why.
    pub occasion: Occasion,
    /// By which signals, in the order in which they were sent first.
    pub asked: Vec<Asked>,
    /// What httpd has written of it.
    pub notices: Vec<Notice>,
}

/// A worker in which a signal can be in the way.
#[derive(Clone, Copy, Debug)]
pub struct Worker<'a> {
    /// Its part.
    pub role: Role,
    /// Its server's MPM.
    pub mpm: Option<&'a str>,
}

impl Worker<'_> {
    /// Whether it is a child of an MPM with threads, which is told to go by a pipe.
    fn has_pipe(self) -> bool {
        self.role == Role::Embedded && matches!(self.mpm, Some("event" | "worker"))
    }

    /// Whether a signal that it sends to itself is one by which it goes: others are the application's.
    fn goes_by_own(self, signal: Signal) -> bool {
        match signal {
            // `wsgi_manage_process` and the monitor of mod_wsgi 4.x to 6.x; the kernel.
            Signal::INT | Signal::TERM | Signal::XCPU if self.role.is_daemon() => true,
            // The listener wakes the main thread, which wakes the listener.
            Signal::TERM | Signal::HUP => self.has_pipe(),
            _ => false,
        }
    }
}

/// Whether a worker cannot go without this signal, so that who took it is in the way.
///
/// The main thread of a child of event and worker waits for the pipe. SIGTERM wakes it where the
/// child itself wants to go (`MaxConnectionsPerChild`); from the server the pipe brings the same, so
/// that a SIGTERM that is ignored costs nothing then. SIGHUP wakes the listener: under worker the
/// child waits for that up to ten times half a second (`join_workers`), under event the listener is
/// woken by its poll set as well (httpd 2.4.71).
#[must_use]
pub fn blocks(worker: Worker<'_>, shutdown: &Shutdown, asked: &Asked) -> bool {
    // The server's own handler ran: whoever had taken the signal has given it back.
    if asked.heeded {
        return false;
    }
    if !worker.has_pipe() {
        return true;
    }
    let is_lost = asked.ignored && asked.handled.is_none();
    match asked.signal {
        Signal::HUP => worker.mpm == Some("worker"),
        Signal::TERM if shutdown.occasion == Occasion::Recycle => true,
        Signal::TERM => !is_lost,
        _ => true,
    }
}

/// The workers that were asked to go and have not gone, and what their servers were asked last.
#[derive(Debug, Default)]
pub struct Shutdowns {
    workers: BTreeMap<ProcessKey, Shutdown>,
    servers: BTreeMap<ServerId, (Occasion, Instant)>,
}

/// Nanoseconds of a tick of [`ProcessKey::start`].
const TICK: u64 = 10_000_000;

impl Shutdowns {
    /// A server's first process is sent a signal, by anybody but itself.
    pub fn asked_server(&mut self, server: ServerId, when: Instant, signal: Signal) {
        if let Some(occasion) = Occasion::of_master(signal) {
            self.servers.insert(server, (occasion, when));
        }
    }

    /// A worker is sent a signal by its server or by itself.
    pub fn sent(
        &mut self,
        (key, worker, server): (ProcessKey, Worker<'_>, ServerId),
        when: Instant,
        by: By,
        sent: &Sent,
    ) {
        let signal = sent.signal;
        let counts = match by {
            By::Master => Occasion::of_master(signal).is_some(),
            By::Itself => worker.goes_by_own(signal),
        };
        if !counts {
            return;
        }
        // What a server was asked before the worker was there is no matter of the worker's.
        let of_server = self.servers.get(&server);
        let of_server = of_server.filter(|(_, when)| key.start.saturating_mul(TICK) <= when.0);
        let occasion = match (of_server, by) {
            (Some((occasion, _)), _) => *occasion,
            (None, By::Itself) => Occasion::Recycle,
            (None, By::Master) => Occasion::of_master(signal).unwrap_or(Occasion::Stop),
        };
        let shutdown = self.workers.entry(key).or_insert_with(|| Shutdown {
            occasion,
            asked: Vec::new(),
            notices: Vec::new(),
        });
        let ignored = sent.fate == Fate::Ignored;
        if let Some(asked) = shutdown.asked.iter_mut().find(|a| a.signal == signal) {
            asked.last = when;
            asked.ignored |= ignored;
            return;
        }
        shutdown.asked.push(Asked {
            signal,
            since: when,
            last: when,
            by,
            ignored,
            handled: None,
            heeded: false,
            judged: false,
        });
    }

    /// A worker takes a signal, whose handler is this owner's; `is_taken` says that it is what an
    /// application had set.
    pub fn delivered(
        &mut self,
        key: ProcessKey,
        delivered: &Delivered,
        (owner, is_taken): (Option<Owner>, bool),
    ) {
        let asked = self.workers.get_mut(&key).and_then(|shutdown| {
            let mut all = shutdown.asked.iter_mut();
            all.find(|asked| asked.signal == delivered.signal)
        });
        if let Some(asked) = asked {
            // Where a thread blocks a signal, it waits although it is ignored, and is dropped later
            // (`sig_ignored` and `get_signal` in kernel/signal.c, 5.10 to 7.3).
            if delivered.action == Action::Ignore {
                asked.ignored = true;
                return;
            }
            asked.heeded = !is_taken && owner.as_ref().is_some_and(Owner::is_server);
            asked.handled = Some(match delivered.action {
                Action::Handler(_) => owner,
                _ => None,
            });
        }
    }

    /// httpd has written of a worker; whether that is news.
    pub fn noticed(&mut self, key: ProcessKey, notice: Notice) -> bool {
        let Some(shutdown) = self.workers.get_mut(&key) else {
            return false;
        };
        let is_new = !shutdown.notices.contains(&notice);
        if is_new {
            shutdown.notices.push(notice);
        }
        is_new
    }

    /// When the next worker has had its time.
    #[must_use]
    pub fn deadline(&self, grace: u64) -> Option<Instant> {
        let all = self.workers.values().flat_map(|shutdown| &shutdown.asked);
        let open = all.filter(|asked| !asked.judged);
        let due = open.map(|asked| Instant(asked.since.0.saturating_add(grace)));
        due.min()
    }

    /// The next worker that has had its time, and the signal by which it was asked; each once.
    pub fn overdue(&mut self, now: Instant, grace: u64) -> Option<(ProcessKey, Signal)> {
        let all = self.workers.iter_mut().flat_map(|(key, shutdown)| {
            let asked = shutdown.asked.iter_mut();
            asked.map(|asked| (*key, asked))
        });
        let mut due =
            all.filter(|(_, asked)| !asked.judged && asked.since.0.saturating_add(grace) <= now.0);
        let (key, asked) = due.next()?;
        asked.judged = true;
        Some((key, asked.signal))
    }

    /// What a worker was asked.
    #[must_use]
    pub fn get(&self, key: ProcessKey) -> Option<&Shutdown> {
        self.workers.get(&key)
    }

    /// The workers that were asked to go.
    pub fn workers(&self) -> impl Iterator<Item = ProcessKey> {
        self.workers.keys().copied()
    }

    /// A process is gone.
    pub fn left(&mut self, key: ProcessKey) {
        self.workers.remove(&key);
    }

    /// A server is gone.
    pub fn server_left(&mut self, server: ServerId) {
        self.servers.remove(&server);
    }
}
