//! Workers of one kind: those of which one may be compared with another. Pure.

use super::{Context, Process, Table};
use crate::process::{Role, server::ServerId};

/// The workers of one server, role and process group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Siblings {
    server: ServerId,
    role: Role,
    process_group: Option<String>,
}

impl Siblings {
    /// Those of the worker that made a call, itself among them.
    #[must_use]
    pub fn of(context: &Context) -> Self {
        Self {
            server: context.server.id,
            role: context.process.role,
            process_group: context.process_group.clone(),
        }
    }

    /// Those of a worker that is known, in a group that is; without one, nobody.
    ///
    /// The role is told by its name: what a worker is shows with the first inventory only.
    pub(super) fn like(
        worker: Option<&Process>,
        role: &str,
        process_group: Option<String>,
    ) -> Self {
        let roles = [
            Role::Embedded,
            Role::Daemon,
            Role::ServiceScript,
            Role::Master,
        ];
        let role = roles.into_iter().find(|known| known.name() == role);
        Self {
            server: worker.map_or(ServerId::MAX, |worker| worker.server),
            role: role.unwrap_or(Role::Child),
            process_group,
        }
    }
}

impl Table {
    /// The kind of a process.
    pub(super) fn kind_of(&self, process: &Process) -> Siblings {
        let server = self.servers.get(process.server);
        let configuration = server.and_then(|server| server.configuration(process.generation));
        Siblings {
            server: process.server,
            role: process.role,
            process_group: process.process_group(configuration),
        }
    }

    /// The living workers of one kind. A process that only shares a worker's handlers is none.
    pub fn siblings(&self, kind: &Siblings) -> impl Iterator<Item = &Process> {
        let server = self.servers.get(kind.server);
        let group = kind.process_group.as_deref();
        self.processes.values().filter(move |process| {
            let configuration =
                || server.and_then(|server| server.configuration(process.generation));
            process.server == kind.server
                && process.role == kind.role
                && process.shares_with.is_none()
                && process.group(configuration()) == group
        })
    }
}
