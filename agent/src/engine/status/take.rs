//! Takes a snapshot: the table, and the book for what is open.

use std::{cmp::Reverse, collections::HashMap};

use super::{BlockedStatus, Server, SignalStatus, Snapshot, TakenBy, Worker, facts};
use crate::{
    engine::Engine,
    event::{Instant, Signal},
    policy::{Finding, finding::WallClock, finding::flag_names},
    process::{ProcessKey, Role, server, table::Process},
};

/// Open findings by process id and signal number.
type Taken<'a> = HashMap<(u32, u8), &'a Finding>;

impl Engine {
    /// What is known now.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        // Of several takeovers of one signal the last one stands: they come in their order.
        let taken: Taken<'_> = self
            .book
            .takeovers()
            .map(|(pid, signal, finding)| ((pid, signal), finding))
            .collect();
        let mut servers: Vec<_> = self.table.servers().collect();
        servers.sort_by_key(|server| Reverse((server.master.start, server.master.pid)));
        let mut workers: Vec<_> = self
            .table
            .processes()
            .filter(|process| !matches!(process.role, Role::Master | Role::Child))
            .collect();
        workers.sort_by_key(|process| Reverse((process.key.start, process.key.pid)));
        let labels: HashMap<_, _> = servers.iter().map(|server| (server.id, *server)).collect();
        Snapshot {
            time: self.settings().clock.rfc3339(now),
            exceptions: self.exceptions(now),
            servers: servers
                .into_iter()
                .map(|server| self.server(server, &taken))
                .collect(),
            workers: workers
                .into_iter()
                .filter_map(|process| {
                    Some(self.worker(process, labels.get(&process.server)?, &taken))
                })
                .collect(),
        }
    }

    fn server(&self, server: &server::Server, taken: &Taken<'_>) -> Server {
        let master = self.table.get(server.master);
        let (restriction, from) = facts::restriction(server, self.settings());
        Server {
            name: server.name.clone(),
            pid: server.master.pid,
            started: started(server.master, self.settings().clock),
            program: server.facts.program.clone(),
            mpm: server.facts.mpm.clone(),
            mod_wsgi: server.facts.mod_wsgi.clone(),
            config: server.config().map(str::to_owned),
            restrict_signal: restriction.name().to_owned(),
            restrict_signal_from: from,
            problems: facts::problems(server),
            workers: facts::counts(&self.table, server),
            container: master.and_then(|master| facts::container(&self.table, server, master)),
            signals: master.map_or_else(Vec::new, |master| signals(master, taken)),
        }
    }

    fn worker(&self, process: &Process, server: &server::Server, taken: &Taken<'_>) -> Worker {
        let configuration = server.configuration(process.generation);
        let (restriction, from) = facts::workers_restriction(server, process, self.settings());
        Worker {
            pid: process.key.pid,
            ns_pid: process.ns_pid,
            started: started(process.key, self.settings().clock),
            role: process.role.name().to_owned(),
            server: server.name.clone(),
            process_group: process.process_group(configuration),
            restrict_signal: restriction.name().to_owned(),
            restrict_signal_from: from,
            applications: facts::applications(server, process),
            container: facts::container(&self.table, server, process),
            blocked_attempts: self.book.attempts(process.key).map(blocked).collect(),
            signals: signals(process, taken),
        }
    }
}

fn blocked(finding: &Finding) -> BlockedStatus {
    BlockedStatus {
        signal: finding.evidence.signal.name.clone(),
        by: TakenBy::from(finding),
    }
}

fn started(key: ProcessKey, clock: WallClock) -> String {
    clock.rfc3339(Instant(key.start.saturating_mul(10_000_000)))
}

fn signals(process: &Process, taken: &Taken<'_>) -> Vec<SignalStatus> {
    let known = facts::is_known(process);
    Signal::all()
        .map(|signal| {
            let finding = taken.get(&(process.key.pid, signal.number())).copied();
            status(process, signal, known, finding)
        })
        .collect()
}

fn status(
    process: &Process,
    signal: Signal,
    known: bool,
    finding: Option<&Finding>,
) -> SignalStatus {
    let owner = process.owner(signal);
    let mut status = SignalStatus {
        number: signal.number(),
        name: signal.to_string(),
        kind: facts::kind(process, signal, known).to_owned(),
        owner: owner
            .as_ref()
            .and_then(|owner| owner.name())
            .map(str::to_owned),
        code: owner.as_ref().map(|owner| facts::code(owner).to_owned()),
        symbol: None,
        flags: flag_names(process.disposition(signal).flags),
        taken_by: finding.map(TakenBy::from),
    };
    // The symbol is the finding's: nothing is read from the process for it. Where another one's
    // handler stands by now, it is not its name.
    if let Some(finding) = finding
        && status.owner.is_some()
        && status.owner == finding.evidence.change.new.owner
    {
        status
            .symbol
            .clone_from(&finding.evidence.change.new.symbol);
    }
    status
}

impl From<&Finding> for TakenBy {
    fn from(finding: &Finding) -> Self {
        Self {
            id: finding.id.clone(),
            rule: finding.rule.clone(),
            severity: finding.severity,
            since: finding.time.clone(),
            blame: finding.evidence.blame.clone(),
            exception: finding.exception.clone(),
        }
    }
}
