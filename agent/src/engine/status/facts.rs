//! Where each fact about a server or a worker comes from: one function each.

use super::Counts;
use crate::{
    event::{Action, Code, Signal},
    httpd::GLOBAL,
    policy::{Settings, finding::ApplicationRef, report, rules::Restriction},
    process::{
        Container, Role,
        origin::Owner,
        server::Server,
        table::{Process, Table},
    },
};

/// The restriction in force in a server where no section says otherwise, and where that is
/// written: see [`crate::policy::finding::ServerRef`].
pub(super) fn restriction(server: &Server, settings: &Settings) -> (Restriction, String) {
    let own = server.newest().map(|newest| newest.restriction(None, None));
    report::in_force(own.as_ref(), settings.restriction)
}

/// The same in a worker, by its process group and the configuration that it was made under.
pub(super) fn workers_restriction(
    server: &Server,
    process: &Process,
    settings: &Settings,
) -> (Restriction, String) {
    let known = server.configuration(process.generation);
    let own = known.map(|known| process.restriction(known, None));
    report::in_force(own.as_ref(), settings.restriction)
}

/// What of the configuration could not be read or made sense of.
pub(super) fn problems(server: &Server) -> Vec<String> {
    let problems = server.newest().map(|newest| &newest.problems);
    let problems = problems.into_iter().flatten();
    let problems = problems.map(|problem| format!("{}: {}", problem.place, problem.what));
    server.unread.iter().cloned().chain(problems).collect()
}

/// The scripts that may run in a worker: those of its process group.
pub(super) fn applications(server: &Server, process: &Process) -> Vec<ApplicationRef> {
    let Some(configuration) = server.configuration(process.generation) else {
        return Vec::new();
    };
    // Of a daemon that nobody knows the group of, nobody knows the scripts.
    let Some(wanted) = process.group_name(Some(configuration)) else {
        return Vec::new();
    };
    let mounted = configuration.scripts.iter().map(|script| {
        let group = script.process_group.as_deref();
        (group, script.application_group.as_deref(), &script.file)
    });
    let imported = configuration.import_scripts.iter().map(|script| {
        let groups = (&script.process_group, &script.application_group);
        (
            Some(groups.0.as_str()),
            Some(groups.1.as_str()),
            &script.file,
        )
    });
    let mut applications: Vec<ApplicationRef> = Vec::new();
    for (process_group, application_group, file) in mounted.chain(imported) {
        // What only a request tells may run anywhere.
        if process_group.is_some_and(|group| group != wanted) {
            continue;
        }
        let application = ApplicationRef {
            group: application_group.map(|group| match group {
                "" => GLOBAL.to_owned(),
                group => group.to_owned(),
            }),
            interpreter: None,
            script: Some(file.clone()),
        };
        if !applications.contains(&application) {
            applications.push(application);
        }
    }
    applications
}

/// The container of a process: its own where it was looked at, else its master's.
pub(super) fn container(table: &Table, server: &Server, process: &Process) -> Option<Container> {
    let found = match &process.found {
        Some(found) => Some(found),
        None => table.get(server.master)?.found.as_ref(),
    };
    found?.container.clone()
}

/// How many workers a server has.
pub(super) fn counts(table: &Table, server: &Server) -> Counts {
    let count = |role| table.workers(server.id, role);
    Counts {
        embedded: count(Role::Embedded),
        daemon: count(Role::Daemon),
        service_script: count(Role::ServiceScript),
    }
}

/// Whose code a handler is, in the words of a finding's native frames.
pub(super) fn code(owner: &Owner) -> &'static str {
    match owner {
        Owner::Module { kind, .. } => Code::Module(*kind).label(),
        Owner::Anonymous => Code::Anonymous.label(),
        Owner::Unknown => Code::Unknown.label(),
    }
}

/// The kind of what stands on a signal.
pub(super) fn kind(process: &Process, signal: Signal) -> &'static str {
    match process.standing(signal).action {
        Action::Default if process.told(signal).is_none() => "unknown",
        Action::Default => "default",
        Action::Ignore => "ignore",
        Action::Handler(_) => "handler",
    }
}
