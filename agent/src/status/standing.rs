//! What stands out: of all signals of all workers, those that somebody should look at.

use std::collections::BTreeMap;

use crate::engine::status::{SignalStatus, Worker};

/// Workers that should be alike: of one server, in one role and one process group.
pub(super) struct Siblings<'a> {
    /// `embedded`, `daemon`, `service-script`.
    pub(super) role: &'a str,
    /// The daemon process group, where it is known.
    pub(super) process_group: Option<&'a str>,
    /// By process id.
    pub(super) workers: Vec<&'a Worker>,
    /// What stands in most of them, by the signal's number.
    usual: BTreeMap<u8, &'a SignalStatus>,
}

impl<'a> Siblings<'a> {
    /// The groups of a server's workers: embedded ones first, daemons by their group.
    pub(super) fn of(server: &str, workers: &'a [Worker]) -> Vec<Self> {
        let mut groups: BTreeMap<_, Vec<&Worker>> = BTreeMap::new();
        for worker in workers.iter().filter(|worker| worker.server == server) {
            let rank = match worker.role.as_str() {
                "embedded" => 0,
                "daemon" => 1,
                _ => 2,
            };
            let key = (rank, worker.role.as_str(), worker.process_group.as_deref());
            groups.entry(key).or_default().push(worker);
        }
        groups
            .into_iter()
            .map(|((_, role, process_group), mut workers)| {
                workers.sort_by_key(|worker| worker.pid);
                Self {
                    role,
                    process_group,
                    usual: usual(&workers),
                    workers,
                }
            })
            .collect()
    }

    /// What stands in most of them, where that is nothing to look at.
    pub(super) fn usual(&self) -> impl Iterator<Item = &'a SignalStatus> {
        let usual = self.usual.values().copied();
        usual.filter(|signal| !is_telling(signal))
    }

    /// The signals of one worker that stand out, each with what stands in the others, where that
    /// is something else.
    pub(super) fn standing_out<'b>(
        &self,
        worker: &'b Worker,
    ) -> Vec<(&'b SignalStatus, Option<&'a SignalStatus>)> {
        let signals = worker.signals.iter().filter_map(|signal| {
            let usual = self.usual.get(&signal.number).copied();
            let other = usual.filter(|usual| !is_alike(usual, signal));
            (is_telling(signal) || other.is_some()).then_some((signal, other))
        });
        signals.collect()
    }
}

/// What is worth a look in any process of a server.
///
/// Not by a rule of the policy: what was there before the agent came has no finding.
pub(super) fn is_telling(signal: &SignalStatus) -> bool {
    if signal.taken_by.is_some() {
        return true;
    }
    match (signal.kind.as_str(), signal.code.as_deref()) {
        ("handler", Some("server" | "c-library")) => false,
        // CPython's own is `default_int_handler`; it handles others for an application.
        ("handler", Some("interpreter")) => signal.name != "SIGINT",
        ("handler", _) => true,
        // Every process of every MPM, and every daemon, ignores the one and handles the other.
        ("default", _) => matches!(signal.name.as_str(), "SIGPIPE" | "SIGTERM"),
        ("ignore", _) => signal.name == "SIGTERM",
        _ => false,
    }
}

fn is_alike(one: &SignalStatus, other: &SignalStatus) -> bool {
    (&one.kind, &one.owner) == (&other.kind, &other.owner)
}

/// What stands in most workers on each signal; of equals, what nobody needs to look at, and then
/// what a server would rather have set.
fn usual<'a>(workers: &[&'a Worker]) -> BTreeMap<u8, &'a SignalStatus> {
    let mut all: BTreeMap<u8, Vec<(usize, &SignalStatus)>> = BTreeMap::new();
    for signal in workers.iter().flat_map(|worker| &worker.signals) {
        let seen = all.entry(signal.number).or_default();
        match seen.iter_mut().find(|(_, other)| is_alike(other, signal)) {
            Some((count, _)) => *count += 1,
            None => seen.push((1, signal)),
        }
    }
    let most = |seen: Vec<(usize, &'a SignalStatus)>| {
        seen.into_iter()
            .max_by_key(|(count, signal)| (*count, !is_telling(signal), rank(signal)))
            .map(|(_, signal)| signal)
    };
    all.into_iter()
        .filter_map(|(number, seen)| Some((number, most(seen)?)))
        .collect()
}

fn rank(signal: &SignalStatus) -> u8 {
    match signal.kind.as_str() {
        "handler" => 2,
        "default" => 1,
        _ => 0,
    }
}
