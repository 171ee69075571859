//! Which part a process plays, as far as it shows later than at its birth. Pure.

use super::{Process, Table};
use crate::{
    event::Signal,
    process::{
        ModuleKind, ProcessKey, Role,
        origin::{self, Owner},
        server::{Server, ServerId},
    },
};

impl Table {
    /// An httpd that goes into the background: the process that was started forks the real
    /// master and exits before it has served (`apr_proc_detach`, in the MPM's pre-config).
    pub(super) fn promote(&mut self, left: ProcessKey, server: ServerId) {
        let mut masters = Vec::new();
        for process in self.processes.values_mut() {
            if process.parent == Some(left) && process.role != Role::Child {
                process.role = Role::Master;
                self.servers.set_master(server, process.key);
                masters.push(process.key);
            }
        }
        // Those that it had made by then passed for a worker's.
        for process in self.processes.values_mut() {
            let is_workers = process
                .parent
                .is_some_and(|parent| masters.contains(&parent));
            if is_workers && process.role == Role::Child {
                process.role = Role::Embedded;
            }
        }
    }

    /// A process without a parent that has mod_wsgi's handlers is no master: a daemon's child went
    /// into the background (an application that forks twice), or a daemon has lost its master.
    pub(super) fn tell_orphan(&mut self, key: ProcessKey) {
        let Some(process) = self.get_mut(key).filter(|p| p.role == Role::Master) else {
            return;
        };
        let is_daemons = |signal: Signal| {
            let action = process.dispositions[signal.index()].action;
            let owner = origin::owner(&process.modules, false, action);
            matches!(
                owner,
                Some(Owner::Module {
                    kind: ModuleKind::ModWsgi,
                    ..
                })
            )
        };
        // What an application took, it has taken: one that is left is enough.
        if ![Signal::TERM, Signal::INT, Signal::USR1]
            .into_iter()
            .any(is_daemons)
        {
            return;
        }
        let server = process.server;
        process.role = Role::Child;
        if self.servers.get(server).is_some_and(|s| s.master == key) {
            self.servers.remove(server);
        }
    }

    /// Tells service scripts from other daemons: their group has `threads=0`.
    pub(super) fn tell_service_scripts(&mut self, server: ServerId) {
        let Some(server) = self.servers.get(server) else {
            return;
        };
        for process in self.processes.values_mut() {
            if process.server == server.id && process.role.is_daemon() {
                process.role = daemon_role(process, server);
            }
        }
    }

    /// Tells embedded workers from daemons by their socket, and by who owns SIGTERM.
    pub(super) fn update_role(&mut self, key: ProcessKey) {
        let Some(server) = self.get(key).map(|process| process.server) else {
            return;
        };
        let server = self.servers.get(server).cloned();
        let Some(process) = self.get_mut(key) else {
            return;
        };
        let daemon = |process: &Process| match &server {
            Some(server) => daemon_role(process, server),
            None => Role::Daemon,
        };
        let has_socket = process.found.as_ref().is_some_and(|f| f.daemon.is_some());
        if has_socket && matches!(process.role, Role::Embedded | Role::Daemon) {
            process.role = daemon(process);
        }
        let term = process.dispositions[Signal::TERM.index()].action;
        let Some(Owner::Module { kind, .. }) = origin::owner(&process.modules, false, term) else {
            return;
        };
        process.serves |= matches!(
            kind,
            ModuleKind::Httpd | ModuleKind::Mpm | ModuleKind::ModWsgi
        );
        if matches!(process.role, Role::Embedded | Role::Daemon) {
            process.role = match kind {
                // `wsgi_start_process` takes SIGTERM in each daemon (mod_wsgi 4.x to 6.x).
                ModuleKind::ModWsgi => daemon(process),
                // A helper process of another module: mod_cgid's daemon takes SIGTERM, too.
                ModuleKind::HttpdPart => Role::Child,
                _ => process.role,
            };
        }
    }
}

/// A daemon, or a service script: `threads=0`, which never takes requests and is never restricted.
fn daemon_role(process: &Process, server: &Server) -> Role {
    let configuration = server.configuration(process.generation);
    let name = process.daemon_group(configuration);
    let group = configuration
        .zip(name)
        .and_then(|(configuration, name)| configuration.daemon(name));
    if group.is_some_and(|group| group.threads == 0) {
        Role::ServiceScript
    } else {
        Role::Daemon
    }
}
