//! Workers that are asked to go, as far as it takes the whole table to tell. Pure.

use super::{Process, Siblings, Table};
use crate::{
    event::{Delivered, Instant, Sent, Signal},
    httpd::Notice,
    process::{
        ProcessKey, Role, origin,
        shutdown::{self, Asked, By, Shutdown, Shutdowns, Worker},
        takeover::TakeoverId,
    },
};

/// A worker that does not go, and the takeover that is in its way.
#[derive(Debug)]
pub struct Hang<'t> {
    /// Which.
    pub process: &'t Process,
    /// What it was asked.
    pub shutdown: &'t Shutdown,
    /// The signal that was taken.
    pub asked: &'t Asked,
    /// By whom.
    pub takeover: TakeoverId,
    /// Since when.
    pub since: Instant,
    /// Those among which it is counted, itself among them.
    pub siblings: Siblings,
}

impl Table {
    /// A signal is sent to a process.
    pub(super) fn sent(&mut self, when: Instant, key: ProcessKey, sent: &Sent) {
        let Some(process) = self.get(key) else { return };
        let server = process.server;
        let is_own = sent.by == key || sent.is_kernels();
        let master = self.servers.get(server).map(|server| server.master);
        match process.role {
            // Under prefork it sends its whole group the signal, itself among them.
            Role::Master if !is_own => self.shutdowns.asked_server(server, when, sent.signal),
            Role::Embedded | Role::Daemon | Role::ServiceScript => {
                let by = match (is_own, master == Some(sent.by)) {
                    (true, _) => By::Itself,
                    (false, true) => By::Master,
                    // An operator's, or a neighbour's: not the server's business.
                    (false, false) => return,
                };
                let mpm = self
                    .servers
                    .get(server)
                    .and_then(|s| s.facts.mpm.as_deref());
                let role = process.role;
                let whose = (key, Worker { role, mpm }, server);
                self.shutdowns.sent(whose, when, by, sent);
            }
            Role::Master | Role::Child => {}
        }
    }

    /// A thread of a process takes a signal.
    pub(super) fn delivered(&mut self, key: ProcessKey, delivered: &Delivered) {
        let Some(process) = self.get(key) else { return };
        let owner = origin::owner(&process.modules, false, delivered.action);
        // The handler of an interpreter that is linked into mod_wsgi has the server's file, too.
        let is_own = |(_, signal, _)| signal == delivered.signal;
        let is_taken = process.takeovers.running().any(is_own)
            && process.disposition(delivered.signal).action == delivered.action;
        self.shutdowns.delivered(key, delivered, (owner, is_taken));
    }

    /// The server's error log has a line about a child; the worker, where that is news of one that
    /// was asked to go.
    pub fn reclaimed(
        &mut self,
        master: ProcessKey,
        ns_pid: u32,
        notice: Notice,
    ) -> Option<ProcessKey> {
        let of = self.get(master)?;
        let (server, has_hosts_ids) = (of.server, of.ns_pid == Some(master.pid));
        let workers = self.shutdowns.workers();
        let workers: Vec<&Process> = workers.filter_map(|key| self.get(key)).collect();
        let is_it = |process: &&&Process| {
            // One that was never looked at has its id from the same namespace as its server.
            let known = process.ns_pid.or(has_hosts_ids.then_some(process.key.pid));
            process.server == server && known == Some(ns_pid)
        };
        let key = workers.iter().find(is_it)?.key;
        self.shutdowns.noticed(key, notice).then_some(key)
    }

    /// The workers that were asked to go, and what each was asked.
    #[must_use]
    pub fn shutdowns(&self) -> &Shutdowns {
        &self.shutdowns
    }

    /// The next worker that has had its time and is there yet, because an application took a signal
    /// that it needs. Those that are late for other reasons are passed over.
    pub fn overdue(&mut self, now: Instant, grace: u64) -> Option<(ProcessKey, Signal)> {
        while let Some((key, signal)) = self.shutdowns.overdue(now, grace) {
            if self.hang(key, |asked| asked.signal == signal).is_some() {
                return Some((key, signal));
            }
        }
        None
    }

    /// Whether, and how, a takeover is in the way of a worker that was asked to go, by one of these
    /// signals.
    #[must_use]
    pub fn hang(&self, key: ProcessKey, which: impl Fn(&Asked) -> bool) -> Option<Hang<'_>> {
        let process = self.get(key)?;
        let shutdown = self.shutdowns.get(key)?;
        let server = self.servers.get(process.server)?;
        let worker = Worker {
            role: process.role,
            mpm: server.facts.mpm.as_deref(),
        };
        let mut all = shutdown.asked.iter().filter(|asked| which(asked));
        let (asked, (takeover, since)) = all.find_map(|asked| {
            let running = process.takeovers.running();
            // Of a chain, the last one is in force.
            let own = running
                .filter(|(_, signal, since)| *signal == asked.signal && *since <= asked.last);
            let last = own.map(|(id, _, since)| (id, since)).last()?;
            shutdown::blocks(worker, shutdown, asked).then_some((asked, last))
        })?;
        Some(Hang {
            process,
            shutdown,
            asked,
            takeover,
            since,
            siblings: self.kind_of(process),
        })
    }
}
