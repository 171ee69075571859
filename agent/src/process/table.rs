//! Who: every process of every server, what stands on its signals, and what changed. Pure.
//!
//! `apply` is the only door. It is idempotent for what a look at `/proc` brings (a process is
//! known by its id and its start), because looks and records of the ring overlap at start.

mod adopted;
mod context;
mod drift;
mod family;
mod inventory;
mod known;
mod lives;
mod process;
mod roles;
mod shutdowns;
mod siblings;

use std::collections::BTreeMap;

pub use self::{
    context::{Blocked, Change, Context},
    drift::{Drift, Seen},
    family::{Family, FamilyName},
    known::{Teller, Told},
    process::Process,
    shutdowns::Hang,
    siblings::Siblings,
};
use crate::{
    event::{
        Action, Attempt, Disposition, Event, Instant, PythonStack, Registration, Signal, What,
    },
    process::{
        ProcessKey, Role,
        origin::{self, Origin, Owner, Route},
        server::{Server, ServerId, Servers},
        shutdown::Shutdowns,
        stack,
        takeover::{Ended, Ending, TakeoverId, Turn},
    },
};

/// What became of one event.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The registration, where it was one of a watched worker.
    pub change: Option<Box<Change>>,
    /// The blocked attempt, where it was one of a watched worker.
    pub blocked: Option<Box<Blocked>>,
    /// A registration or an attempt of an exempt child.
    pub exempt: bool,
    /// What stands in a worker though nobody was seen to set it.
    pub drifts: Vec<Drift>,
    /// Takeovers that ended.
    pub ended: Vec<Ended>,
    /// The process that is gone by it, or runs another program: the event's own, or one of whose
    /// end nothing was heard and whose id is another's now.
    pub left: Option<ProcessKey>,
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
    shutdowns: Shutdowns,
    next_takeover: TakeoverId,
    /// When an inventory is wanted next.
    due: Option<Instant>,
    /// When records were lost last.
    lost: Option<Instant>,
}

impl Table {
    /// Takes one event in.
    pub fn apply(&mut self, event: Event) -> Applied {
        let key = event.process;
        match event.what {
            What::Found(found) => return self.found(event.when, key, *found),
            What::Mapped(modules) => {
                if let Some(process) = self.get_mut(key) {
                    process.modules = modules;
                    process.fresh = true;
                    process.inherited = false;
                }
                self.update_role(key);
            }
            What::Inventory(all) => {
                return self.inventory(event.when, key, &all, Teller::Inventory);
            }
            What::Masks { ignored, caught } => {
                return self.masks(event.when, key, ignored, caught);
            }
            What::Named(names) => {
                if let Some(process) = self.get_mut(key) {
                    process.known.name(names);
                }
            }
            What::Lost(_) => self.lost = Some(event.when),
            What::Forked {
                child,
                shares_handlers,
            } => return self.forked(event.when, key, child, shares_handlers),
            What::Attempted(attempt) => {
                return self.attempted(event.when, key, event.tid, *attempt);
            }
            What::Reloads => {
                if let Some(process) = self.get_mut(key).filter(|p| p.role == Role::Master) {
                    process.generation += 1;
                }
            }
            What::Configured {
                generation,
                configuration,
            } => {
                if let Some(server) = self.get(key).map(|process| process.server) {
                    self.servers.configure(server, generation, configuration);
                    self.tell_service_scripts(server);
                }
            }
            What::Sent(sent) => self.sent(event.when, key, &sent),
            What::Delivered(delivered) => self.delivered(key, &delivered),
            What::Overdue => self.due = self.due.filter(|due| *due > event.when),
            What::Reclaimed { .. } | What::Resumed(_) => {}
            What::Executed { .. } => return self.left(event.when, key, Ending::Executed),
            What::Exited { .. } => return self.left(event.when, key, Ending::Exited),
            What::Registration(registration) => {
                return self.registered(event.when, key, event.tid, *registration);
            }
        }
        Applied::default()
    }

    /// What a server's configuration says now cannot be read, for the reason given.
    pub fn unread(&mut self, key: ProcessKey, reason: String) {
        if let Some(server) = self.get(key).map(|process| process.server) {
            self.servers.unread(server, reason);
        }
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

    /// A server.
    #[must_use]
    pub fn server(&self, id: ServerId) -> Option<&Server> {
        self.servers.get(id)
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

    fn registered(
        &mut self,
        when: Instant,
        key: ProcessKey,
        tid: u32,
        mut registration: Registration,
    ) -> Applied {
        stack::settle(&mut registration.python, &registration.native);
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
        // What is set in a table of handlers that several share is the worker's own.
        let holder = process.shares_with.unwrap_or(key);
        let mut ended = Vec::new();
        let mut turn = Turn::Nothing;
        if let (Some(signal), 0) = (registration.signal, registration.errno) {
            let changed = !registration.old.same_effect(&registration.new);
            self.stands(when, holder, (signal, registration.new, changed));
            if let Some(process) = self.get_mut(holder) {
                process.known.folded |= registration.folded > 0;
            }
            // An interpreter that is linked into mod_wsgi has its handler there, too.
            let server_owned = new_owner.as_ref().is_some_and(Owner::is_server)
                && origin::route(&registration.python) != Route::SignalSignal;
            if let Some(process) = self.get_mut(holder) {
                (turn, ended) = process.takeovers.turn(
                    when,
                    signal,
                    (&registration.old, &registration.new),
                    origin == Origin::Application && !server_owned,
                    &mut next,
                );
            }
        }
        self.next_takeover = next;
        if registration.signal == Some(Signal::TERM) && origin == Origin::Server {
            self.update_role(holder);
        }
        let route = origin::route(&registration.python);
        let change = self
            .context(when, holder, tid, &registration.python)
            .map(|context| Change {
                context,
                registration,
                origin,
                route,
                old_owner,
                new_owner,
                turn,
            });
        Applied {
            change: change.map(Box::new),
            ended,
            ..Applied::default()
        }
    }

    fn attempted(
        &mut self,
        when: Instant,
        key: ProcessKey,
        tid: u32,
        mut attempt: Attempt,
    ) -> Applied {
        stack::settle(&mut attempt.python, &attempt.native);
        let Some(process) = self.get(key) else {
            return Applied {
                unknown: true,
                ..Applied::default()
            };
        };
        // The intercept compares process ids, and calls the real function in a worker's child.
        if process.role == Role::Child {
            return Applied {
                exempt: true,
                ..Applied::default()
            };
        }
        let stands = attempt.signal.map(|signal| *process.disposition(signal));
        let owner = attempt.signal.and_then(|signal| process.owner(signal));
        let blocked = self
            .context(when, key, tid, &attempt.python)
            .map(|context| Blocked {
                context,
                attempt,
                stands: stands.unwrap_or_default(),
                owner,
            });
        Applied {
            blocked: blocked.map(Box::new),
            ..Applied::default()
        }
    }

    /// Who made a call, and under which restriction.
    fn context(
        &mut self,
        when: Instant,
        key: ProcessKey,
        tid: u32,
        python: &PythonStack,
    ) -> Option<Context> {
        let server = self.servers.get(self.get(key)?.server)?.clone();
        let process = self.get_mut(key)?;
        let configuration = server.configuration(process.generation);
        let name = process.group_name(configuration);
        let application = process
            .learned
            .application(configuration, name.as_deref(), python);
        let restriction =
            configuration.map(|known| process.restriction(known, application.group.as_deref()));
        Some(Context {
            when,
            process_group: process.process_group(configuration),
            process: process.clone(),
            tid,
            application,
            restriction,
            server,
        })
    }

    /// Notes what stands on a signal, in every process that shares the table of handlers.
    fn stands(
        &mut self,
        when: Instant,
        holder: ProcessKey,
        (signal, disposition, changed): (Signal, Disposition, bool),
    ) {
        for process in self.processes.values_mut() {
            if process.key == holder || process.shares_with == Some(holder) {
                process.dispositions[signal.index()] = disposition;
                process.known.heard(signal, when, changed);
            }
        }
    }
}
