//! A server of the application's, with an agent and a trace that see it.

use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Builder, Httpd, Mpm},
    wait_for,
};

use super::{
    ALONE, CLEAN, DAEMON, EMBEDDED,
    compare::{Mount, Restriction, Visit, compare, compare_findings},
};
use crate::support::{PATIENCE, ask};

/// An attempt, and a change that goes past mod_wsgi, which is then given back.
const ROUND: [&str; 3] = ["one", "slip", "give_back"];

/// The server and what was asked of it while it was seen.
pub(crate) struct Watched<'a> {
    pub(crate) server: Httpd,
    agent: &'a Agent,
    trace: &'a mut Trace,
    mpm: Mpm,
    /// What says at present whether workers are restricted.
    pub(crate) from: String,
    visits: Vec<Visit<'a>>,
}

impl<'a> Watched<'a> {
    /// Starts the server, which says that about the restriction.
    pub(crate) fn start(
        agent: &'a Agent,
        trace: &'a mut Trace,
        builder: Builder,
        (mpm, restriction): (Mpm, Restriction),
    ) -> Self {
        let server = restriction.write(builder).start().unwrap();
        Self::new(agent, trace, server, (mpm, restriction))
    }

    /// One that runs already.
    pub(crate) fn new(
        agent: &'a Agent,
        trace: &'a mut Trace,
        server: Httpd,
        (mpm, restriction): (Mpm, Restriction),
    ) -> Self {
        let from = restriction.from(&server);
        Self {
            server,
            agent,
            trace,
            mpm,
            from,
            visits: Vec::new(),
        }
    }

    /// Goes one way of the application's at one of its mounts.
    pub(crate) fn go(&mut self, path: &'static str, way: &'static str) -> &mut Visit<'a> {
        let answer = ask(&self.server, &format!("{path}/{way}"));
        let embedded = path.is_empty() || path.contains("embedded");
        self.visits.push(Visit {
            mount: Mount {
                path,
                role: if embedded { "embedded" } else { "daemon" },
                mpm: self.mpm,
            },
            way,
            from: self.from.clone(),
            answer,
        });
        self.visits.last_mut().unwrap()
    }

    /// The clean application, and [`ROUND`] in every worker, whose process ids these are.
    pub(crate) fn round(&mut self) -> [u64; 3] {
        ask(&self.server, CLEAN);
        [EMBEDDED, DAEMON, ALONE].map(|mount| {
            let pids = ROUND.map(|way| self.go(mount, way).answer["pid"].as_u64().unwrap());
            pids[2]
        })
    }

    /// Asserts that what was told up to now is what was done, and nothing else.
    pub(crate) fn settle(&mut self) {
        let expected = self.visits.iter().map(Visit::told).sum::<usize>();
        let master = self.server.pid();
        // What is missing is said below.
        let _late = wait_for(PATIENCE, || {
            (self.trace.lines(master).unwrap().len() >= expected).then_some(())
        });
        let lines = self.trace.lines(master).unwrap();
        compare(&self.server, &self.visits, &lines);
        compare_findings(self.agent, &self.server, &self.visits);
    }

    /// Whether each worker of the last round is restricted, by its own word.
    pub(crate) fn latest(&self) -> impl Iterator<Item = bool> {
        let latest = self.visits.iter().rev().take(3 * ROUND.len());
        latest.map(Visit::is_restricted)
    }
}
