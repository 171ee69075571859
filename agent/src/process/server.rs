//! The servers: one httpd instance each, with the label that metrics know it by. Pure.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    httpd::Configuration,
    process::{ProcessKey, ServerFacts},
};

/// Names a server inside the table.
pub type ServerId = u64;

/// One httpd instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its key in the table.
    pub id: ServerId,
    /// The label of its metrics: the program's name, and a number where several servers of
    /// one name run. Never a path or a process id.
    pub name: String,
    /// The master process.
    pub master: ProcessKey,
    /// What looks at its processes have told.
    pub facts: ServerFacts,
    /// What its configuration says, by how many times the server had begun to read it: workers
    /// that are older than the last time still go by what was read before.
    configurations: BTreeMap<u32, Arc<Configuration>>,
    /// Why what it says by now could not be read.
    pub unread: Option<String>,
}

impl Server {
    /// What the configuration says for a process of this generation: what was read for it, or
    /// else the last good answer before; where the agent came later, the first.
    #[must_use]
    pub fn configuration(&self, generation: u32) -> Option<&Configuration> {
        let until = self.configurations.range(..=generation).next_back();
        until
            .or_else(|| self.configurations.first_key_value())
            .map(|(_, configuration)| configuration.as_ref())
    }

    /// What the configuration says that was read last.
    #[must_use]
    pub fn newest(&self) -> Option<&Configuration> {
        self.configurations
            .last_key_value()
            .map(|(_, newest)| newest.as_ref())
    }

    /// The main configuration file, absolute where that is known.
    #[must_use]
    pub fn config(&self) -> Option<&str> {
        let read = self.newest().map(|newest| newest.main_file.as_str());
        read.or(self.facts.config.as_deref())
    }
}

/// Configurations of one server that are kept: workers of more generations than this live for
/// minutes only, while requests of a graceful restart end.
const GENERATIONS_MAX: usize = 16;

/// All servers that have a process.
#[derive(Debug, Default)]
pub struct Servers {
    servers: BTreeMap<ServerId, Server>,
    next: ServerId,
}

impl Servers {
    /// Adds a server and gives it the first free name: a server that is stopped and started
    /// again gets its old one back.
    pub fn add(&mut self, master: ProcessKey, facts: &ServerFacts) -> ServerId {
        let id = self.next;
        self.next += 1;
        let program = if facts.program.is_empty() {
            "httpd"
        } else {
            facts.program.as_str()
        };
        let taken = |name: &str| self.servers.values().any(|server| server.name == name);
        let name = std::iter::once(program.to_owned())
            .chain((2..).map(|number: u32| format!("{program}-{number}")))
            .find(|name| !taken(name))
            .unwrap_or_default();
        let server = Server {
            id,
            name,
            master,
            facts: facts.clone(),
            configurations: BTreeMap::new(),
            unread: None,
        };
        self.servers.insert(id, server);
        id
    }

    /// Adds what a later look at the master has told.
    pub fn learn(&mut self, id: ServerId, facts: &ServerFacts) {
        let Some(server) = self.servers.get_mut(&id) else {
            return;
        };
        let known = &mut server.facts;
        known.config = facts.config.clone().or(known.config.take());
        known.mpm = facts.mpm.clone().or(known.mpm.take());
        known.mod_wsgi = facts.mod_wsgi.clone().or(known.mod_wsgi.take());
    }

    /// Takes in what a server's configuration says.
    pub fn configure(&mut self, id: ServerId, generation: u32, configuration: Arc<Configuration>) {
        if let Some(server) = self.servers.get_mut(&id) {
            server.configurations.insert(generation, configuration);
            server.unread = None;
            while server.configurations.len() > GENERATIONS_MAX {
                server.configurations.pop_first();
            }
        }
    }

    /// A server's configuration cannot be read; what was read before goes on to count.
    pub fn unread(&mut self, id: ServerId, reason: String) {
        if let Some(server) = self.servers.get_mut(&id) {
            server.unread = Some(reason);
        }
    }

    /// Names the process that turned out to be the master.
    pub fn set_master(&mut self, id: ServerId, master: ProcessKey) {
        if let Some(server) = self.servers.get_mut(&id) {
            server.master = master;
        }
    }

    /// Forgets a server and returns its label.
    pub fn remove(&mut self, id: ServerId) -> Option<String> {
        self.servers.remove(&id).map(|server| server.name)
    }

    /// A server.
    #[must_use]
    pub fn get(&self, id: ServerId) -> Option<&Server> {
        self.servers.get(&id)
    }

    /// Every server.
    pub fn iter(&self) -> impl Iterator<Item = &Server> {
        self.servers.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A restarted server has its old label; a second one beside it another.
    #[test]
    fn labels_are_stable_over_a_restart() {
        let facts = ServerFacts {
            program: "apache2".to_owned(),
            ..ServerFacts::default()
        };
        let key = |pid| ProcessKey { pid, start: 1 };
        let mut servers = Servers::default();
        let first = servers.add(key(10), &facts);
        let second = servers.add(key(20), &facts);
        let name = |servers: &Servers, id| servers.get(id).map(|s| s.name.clone());
        assert_eq!(name(&servers, first).as_deref(), Some("apache2"));
        assert_eq!(name(&servers, second).as_deref(), Some("apache2-2"));
        assert_eq!(servers.remove(first).as_deref(), Some("apache2"));
        let again = servers.add(key(30), &facts);
        assert_eq!(name(&servers, again).as_deref(), Some("apache2"));
    }
}
