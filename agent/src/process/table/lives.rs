//! Births and deaths. Pure.

use super::{Applied, Process, Table, known::Known};
use crate::{
    event::Instant,
    process::{
        Found, ProcessKey, Role,
        application::Learned,
        takeover::{Ending, Takeovers},
        unknown_dispositions,
    },
};

impl Table {
    pub(super) fn found(&mut self, when: Instant, key: ProcessKey, found: Found) -> Applied {
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
            return Applied::default();
        }
        let applied = self.reused(when, key);
        let parent = found
            .parent
            .and_then(|parent| self.get(parent))
            .map(|p| (p.server, p.role, p.generation));
        let (server, role) = match parent {
            Some((server, Role::Master, _)) => (server, Role::Embedded),
            Some((server, _, _)) => (server, Role::Child),
            None => (self.servers.add(key, &found.server), Role::Master),
        };
        let process = Process {
            key,
            server,
            role,
            ns_pid: Some(found.ns_pid),
            modules: found.modules.clone(),
            parent: found.parent,
            generation: parent.map_or(0, |(_, _, generation)| generation),
            found: Some(found),
            dispositions: unknown_dispositions(),
            learned: Learned::default(),
            shares_with: None,
            takeovers: Takeovers::default(),
            serves: false,
            fresh: false,
            inherited: false,
            known: Known::default(),
            adopted: false,
        };
        self.processes.insert(key.pid, process);
        applied
    }

    pub(super) fn forked(
        &mut self,
        when: Instant,
        parent: ProcessKey,
        child: ProcessKey,
        shares_handlers: bool,
    ) -> Applied {
        let Some(from) = self.get(parent) else {
            return Applied::default();
        };
        let generation = from.generation;
        if let Some(known) = self.get_mut(child) {
            // A look at it came first, and what a look tells of its birth is the time of the look.
            known.generation = generation;
            return Applied::default();
        }
        let applied = self.reused(when, child);
        let Some(from) = self.get(parent) else {
            return applied;
        };
        let role = match from.role {
            // The child of a master is a worker, until what it registers says more.
            Role::Master => Role::Embedded,
            // What a child sets in its parent's own table is the parent's: never exempt.
            role if shares_handlers => role,
            _ => Role::Child,
        };
        let born = child.born();
        let process = Process {
            key: child,
            role,
            ns_pid: None,
            found: None,
            // One table of handlers, however many processes have it: the first one's.
            shares_with: shares_handlers.then_some(from.shares_with.unwrap_or(parent)),
            parent: Some(parent),
            takeovers: Takeovers::default(),
            // A daemon's child is of no group, and a worker's interpreters are not the master's.
            learned: Learned::default(),
            serves: false,
            fresh: false,
            inherited: true,
            known: from.known.inherited(when, born),
            adopted: false,
            ..from.clone()
        };
        self.processes.insert(child.pid, process);
        applied
    }

    /// A new process has this id: the one that had it before is gone, although nothing was heard of
    /// its end.
    fn reused(&mut self, when: Instant, key: ProcessKey) -> Applied {
        match self.processes.get(&key.pid).map(|before| before.key) {
            Some(before) => self.left(when, before, Ending::Exited),
            None => Applied::default(),
        }
    }

    /// A process is gone, or runs another program.
    pub(super) fn left(&mut self, when: Instant, key: ProcessKey, ending: Ending) -> Applied {
        let Some(process) = self.get(key) else {
            return Applied::default();
        };
        let (server, was_master, served) =
            (process.server, process.role == Role::Master, process.serves);
        let Some(mut process) = self.processes.remove(&key.pid) else {
            return Applied::default();
        };
        self.shutdowns.left(key);
        let ended = process.takeovers.end_all(when, ending);
        self.bequeath(key);
        if was_master && !served {
            self.promote(key, server);
        }
        let gone = !self
            .processes
            .values()
            .any(|p| p.server == server && p.role != Role::Child);
        let server_gone = if gone {
            self.shutdowns.server_left(server);
            self.servers.remove(server)
        } else {
            None
        };
        Applied {
            ended,
            left: Some(key),
            server_gone,
            ..Applied::default()
        }
    }

    /// Those that shared the table of handlers of a process that is gone go on to share it.
    fn bequeath(&mut self, from: ProcessKey) {
        let mut heir = None;
        for process in self.processes.values_mut() {
            if process.shares_with == Some(from) {
                process.shares_with = heir;
                heir = heir.or(Some(process.key));
            }
        }
    }
}
