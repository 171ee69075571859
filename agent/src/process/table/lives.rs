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
    pub(super) fn found(&mut self, key: ProcessKey, found: Found) {
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
        };
        self.processes.insert(key.pid, process);
    }

    pub(super) fn forked(
        &mut self,
        when: Instant,
        parent: ProcessKey,
        child: ProcessKey,
        shares_handlers: bool,
    ) {
        let Some(from) = self.get(parent) else { return };
        let generation = from.generation;
        if let Some(known) = self.get_mut(child) {
            // A look at it came first, and what a look tells of its birth is the time of the look.
            known.generation = generation;
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
        let born = child.born();
        let process = Process {
            key: child,
            role,
            ns_pid: None,
            found: None,
            shares_with: shares_handlers.then_some(parent),
            parent: Some(parent),
            takeovers: Takeovers::default(),
            // A daemon's child is of no group, and a worker's interpreters are not the master's.
            learned: Learned::default(),
            serves: false,
            fresh: false,
            inherited: true,
            known: from.known.inherited(when, born),
            ..from.clone()
        };
        self.processes.insert(child.pid, process);
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
}
