//! Who: every process of every server, what stands on its signals, and what changed. Pure.
//!
//! `apply` is the only door. It is idempotent for what a look at `/proc` brings (a process is
//! known by its id and its start), because looks and records of the ring overlap at start.

mod roles;

use std::collections::BTreeMap;

use crate::{
    event::{Action, Disposition, Event, Instant, Registration, Signal, What},
    process::{
        Found, Modules, ProcessKey, Role,
        origin::{self, Origin, Owner, Route},
        server::{Server, ServerId, Servers},
        stack,
        takeover::{Ended, Ending, TakeoverId, Takeovers, Turn},
        unknown_dispositions,
    },
};

/// One process.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its identity.
    pub key: ProcessKey,
    /// Its server.
    pub server: ServerId,
    /// Its part in it.
    pub role: Role,
    /// Process id in its own pid namespace.
    pub ns_pid: Option<u32>,
    /// What is mapped.
    pub modules: Modules,
    /// What was found out about it, where it was looked at.
    pub found: Option<Found>,
    /// What stands on each signal.
    pub dispositions: Box<crate::event::Dispositions>,
    /// The parent with which it shares one table of handlers.
    shares_with: Option<ProcessKey>,
    parent: Option<ProcessKey>,
    takeovers: Takeovers,
    /// It has registered a server's handler for SIGTERM: it is a real master or worker, not
    /// the first process of an httpd that goes into the background.
    serves: bool,
    /// The modules were read for the event that comes next.
    fresh: bool,
    /// The modules were those of the parent when it forked, and not read from this process.
    inherited: bool,
}

/// A registration, with all that the table knows about it.
#[derive(Clone, Debug)]
pub struct Change {
    /// When.
    pub when: Instant,
    /// Whose.
    pub process: Process,
    /// Its server.
    pub server: Server,
    /// Which thread.
    pub tid: u32,
    /// The call.
    pub registration: Registration,
    /// Who asked.
    pub origin: Origin,
    /// How.
    pub route: Route,
    /// Who owns the old handler.
    pub old_owner: Option<Owner>,
    /// Who owns the new handler.
    pub new_owner: Option<Owner>,
    /// What it means for the signal's takeovers.
    pub turn: Turn,
}

/// What became of one event.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The registration, where it was one of a watched worker.
    pub change: Option<Box<Change>>,
    /// A registration of an exempt child.
    pub exempt: bool,
    /// Takeovers that ended.
    pub ended: Vec<Ended>,
    /// The process belongs to no known server: a look at `/proc` is due.
    pub unknown: bool,
    /// Label of a server whose last process has gone.
    pub server_gone: Option<String>,
}

/// All processes.
#[derive(Debug, Default)]
pub struct Table {
    processes: BTreeMap<u32, Process>,
    servers: Servers,
    next_takeover: TakeoverId,
}

impl Table {
    /// Takes one event in.
    pub fn apply(&mut self, event: Event) -> Applied {
        let key = event.process;
        match event.what {
            What::Found(found) => self.found(key, *found),
            What::Mapped(modules) => {
                if let Some(process) = self.get_mut(key) {
                    process.modules = modules;
                    process.fresh = true;
                    process.inherited = false;
                }
                self.update_role(key);
            }
            What::Inventory(dispositions) => {
                if let Some(process) = self.get_mut(key) {
                    process.dispositions = dispositions;
                }
                self.tell_orphan(key);
                self.update_role(key);
            }
            What::Forked {
                child,
                shares_handlers,
            } => self.forked(key, child, shares_handlers),
            What::Attempted(_) | What::Reloads | What::Configured { .. } => {}
            What::Executed { .. } => return self.left(event.when, key, Ending::Executed),
            What::Exited { .. } => return self.left(event.when, key, Ending::Exited),
            What::Registration(registration) => {
                return self.registered(event.when, key, event.tid, *registration);
            }
        }
        Applied::default()
    }

    /// A process by its identity.
    #[must_use]
    pub fn get(&self, key: ProcessKey) -> Option<&Process> {
        self.processes
            .get(&key.pid)
            .filter(|process| process.key.start == key.start)
    }

    /// Every process, by process id.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }

    /// Every server.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter()
    }

    /// How many processes of each role a server has; exempt ones are left out.
    #[must_use]
    pub fn workers(&self, server: ServerId, role: Role) -> usize {
        self.processes
            .values()
            .filter(|p| p.server == server && p.role == role)
            .count()
    }

    /// Whether the owners of a registration's handlers can be told from what is known: if not, a
    /// look at the process's maps is due before the event is applied.
    ///
    /// A master unloads and loads its modules whenever it (re)starts, so that another module may
    /// lie at an address that is known; what a worker inherited may be as old. A worker itself
    /// unloads nothing.
    #[must_use]
    pub fn knows_handlers(&self, event: &Event) -> bool {
        let What::Registration(registration) = &event.what else {
            return true;
        };
        let Some(process) = self.get(event.process).filter(|p| p.role != Role::Child) else {
            return true;
        };
        let may_be_old = process.inherited || process.role == Role::Master;
        [registration.old.action, registration.new.action]
            .iter()
            .all(|action| match action {
                Action::Handler(address) => !may_be_old && process.modules.at(*address).is_some(),
                _ => true,
            })
    }

    fn get_mut(&mut self, key: ProcessKey) -> Option<&mut Process> {
        self.processes
            .get_mut(&key.pid)
            .filter(|process| process.key.start == key.start)
    }

    fn found(&mut self, key: ProcessKey, found: Found) {
        if let Some(known) = self.get_mut(key) {
            known.modules = found.modules.clone();
            known.inherited = false;
            known.ns_pid = Some(found.ns_pid);
            let server = known.server;
            let is_master = known.role == Role::Master;
            known.found = Some(found.clone());
            if is_master {
                self.servers.learn(server, &found.server);
            }
            self.update_role(key);
            return;
        }
        let parent = found
            .parent
            .and_then(|parent| self.get(parent))
            .map(|p| (p.server, p.role));
        let (server, role) = match parent {
            Some((server, Role::Master)) => (server, Role::Embedded),
            Some((server, _)) => (server, Role::Child),
            None => (self.servers.add(key, &found.server), Role::Master),
        };
        let process = Process {
            key,
            server,
            role,
            ns_pid: Some(found.ns_pid),
            modules: found.modules.clone(),
            parent: found.parent,
            found: Some(found),
            dispositions: unknown_dispositions(),
            shares_with: None,
            takeovers: Takeovers::default(),
            serves: false,
            fresh: false,
            inherited: false,
        };
        self.processes.insert(key.pid, process);
    }

    fn forked(&mut self, parent: ProcessKey, child: ProcessKey, shares_handlers: bool) {
        if self.get(child).is_some() {
            return;
        }
        let Some(from) = self.get(parent) else { return };
        let role = match from.role {
            // The child of a master is a worker, until what it registers says more.
            Role::Master => Role::Embedded,
            // What a child sets in its parent's own table is the parent's: never exempt.
            role if shares_handlers => role,
            _ => Role::Child,
        };
        let process = Process {
            key: child,
            role,
            ns_pid: None,
            found: None,
            shares_with: shares_handlers.then_some(parent),
            parent: Some(parent),
            takeovers: Takeovers::default(),
            serves: false,
            fresh: false,
            inherited: true,
            ..from.clone()
        };
        self.processes.insert(child.pid, process);
    }

    /// A process is gone, or runs another program.
    fn left(&mut self, when: Instant, key: ProcessKey, ending: Ending) -> Applied {
        let Some(process) = self.get(key) else {
            return Applied::default();
        };
        let (server, was_master, served) =
            (process.server, process.role == Role::Master, process.serves);
        let Some(mut process) = self.processes.remove(&key.pid) else {
            return Applied::default();
        };
        let ended = process.takeovers.end_all(when, ending);
        if was_master && !served {
            self.promote(key, server);
        }
        let gone = !self
            .processes
            .values()
            .any(|p| p.server == server && p.role != Role::Child);
        let server_gone = if gone {
            self.servers.remove(server)
        } else {
            None
        };
        Applied {
            ended,
            server_gone,
            ..Applied::default()
        }
    }

    fn registered(
        &mut self,
        when: Instant,
        key: ProcessKey,
        tid: u32,
        mut registration: Registration,
    ) -> Applied {
        stack::settle(&mut registration);
        let mut next = self.next_takeover;
        let Some(process) = self.get_mut(key) else {
            return Applied {
                unknown: true,
                ..Applied::default()
            };
        };
        if process.role == Role::Child {
            return Applied {
                exempt: true,
                ..Applied::default()
            };
        }
        let fresh = std::mem::take(&mut process.fresh);
        let old_owner = origin::owner(&process.modules, fresh, registration.old.action);
        let new_owner = origin::owner(&process.modules, fresh, registration.new.action);
        let origin = origin::origin(&registration, old_owner.as_ref(), new_owner.as_ref());
        let mut ended = Vec::new();
        let mut turn = Turn::Nothing;
        if let (Some(signal), 0) = (registration.signal, registration.errno) {
            process.dispositions[signal.index()] = registration.new;
            let server_owned = new_owner.as_ref().is_some_and(Owner::is_server);
            (turn, ended) = process.takeovers.turn(
                when,
                signal,
                (&registration.old, &registration.new),
                origin == Origin::Application && !server_owned,
                &mut next,
            );
        }
        let snapshot = process.clone();
        self.next_takeover = next;
        if let Some(parent) = snapshot.shares_with {
            self.mirror(parent, &registration);
        }
        if registration.signal == Some(Signal::TERM) && origin == Origin::Server {
            self.update_role(key);
        }
        let process = self.get(key).cloned().unwrap_or(snapshot);
        let Some(server) = self.servers.get(process.server).cloned() else {
            return Applied {
                ended,
                ..Applied::default()
            };
        };
        let route = origin::route(&registration.python);
        let change = Change {
            when,
            process,
            server,
            tid,
            registration,
            origin,
            route,
            old_owner,
            new_owner,
            turn,
        };
        Applied {
            change: Some(Box::new(change)),
            ended,
            ..Applied::default()
        }
    }

    /// What a child sets in a table that it shares, its parent has, too.
    fn mirror(&mut self, parent: ProcessKey, registration: &Registration) {
        if let (Some(process), Some(signal), 0) = (
            self.get_mut(parent),
            registration.signal,
            registration.errno,
        ) {
            process.dispositions[signal.index()] = registration.new;
        }
    }
}

impl Process {
    /// What stands on a signal.
    #[must_use]
    pub fn disposition(&self, signal: Signal) -> &Disposition {
        &self.dispositions[signal.index()]
    }

    /// Who owns what stands on a signal; `None` for default and ignore.
    #[must_use]
    pub fn owner(&self, signal: Signal) -> Option<Owner> {
        origin::owner(&self.modules, false, self.disposition(signal).action)
    }

    /// The process group of a daemon whose title shows it: `display-name=%{GROUP}` makes the
    /// command line `(wsgi:GROUP)`. `None` where nothing tells.
    #[must_use]
    pub fn process_group(&self) -> Option<String> {
        if self.role != Role::Daemon {
            return None;
        }
        let command = self.found.as_ref()?.command.as_str();
        let group = command.strip_prefix("(wsgi:")?.split_once(')')?.0;
        (!group.is_empty()).then(|| group.to_owned())
    }
}
