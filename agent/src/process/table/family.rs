//! Workers that should be alike, and what stands in most of them. Pure.

use crate::{
    event::Signal,
    process::{
        stance::{self, Stance},
        table::{Process, Siblings, Table},
    },
};

/// Siblings that make a majority worth the name.
const SIBLINGS: usize = 2;

/// What a worker's siblings have in common with it: server, role, process group, and what of its
/// configuration the server had read when they were made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FamilyName {
    kind: Siblings,
    generation: u32,
}

/// How many members have what on each signal.
#[derive(Clone, Debug)]
pub struct Family {
    counts: Vec<Vec<(Stance, usize)>>,
}

impl Family {
    /// Of its members.
    #[must_use]
    pub fn of(members: &[&Process]) -> Self {
        let counts = |signal: Signal| {
            let mut counts: Vec<(Stance, usize)> = Vec::new();
            // What nobody has looked at says nothing.
            for member in members.iter().filter(|m| m.told(signal).is_some()) {
                let stance = member.stance(signal);
                match counts.iter_mut().find(|(known, _)| *known == stance) {
                    Some((_, count)) => *count += 1,
                    None => counts.push((stance, 1)),
                }
            }
            counts
        };
        Self {
            counts: Signal::all().map(counts).collect(),
        }
    }

    /// How many siblings of a member that has this have the same, and how many something else.
    #[must_use]
    pub fn siblings(&self, signal: Signal, own: &Stance) -> (usize, usize) {
        let (same, others): (Vec<_>, Vec<_>) = self.counts[signal.index()]
            .iter()
            .partition(|(stance, _)| stance == own);
        let sum = |counts: Vec<&(Stance, usize)>| counts.iter().map(|(_, count)| count).sum();
        let (same, others): (usize, usize) = (sum(same), sum(others));
        (same.saturating_sub(1), others)
    }

    /// What most siblings of a member have that has this.
    #[must_use]
    pub fn most(&self, signal: Signal, own: &Stance) -> Option<&Stance> {
        let (same, others) = self.siblings(signal, own);
        let all = same + others;
        let (stance, _) = self.counts[signal.index()].iter().find(|(stance, count)| {
            let count = if stance == own { same } else { *count };
            count * 2 > all
        })?;
        (all >= SIBLINGS).then_some(stance)
    }

    /// The signals on which a member has what hardly any sibling has, and somebody did that.
    pub fn odd<'a>(&'a self, member: &'a Process) -> impl Iterator<Item = Signal> + 'a {
        Signal::all().filter(|signal| {
            let own = member.stance(*signal);
            let most = self.most(*signal, &own);
            most.is_some_and(|most| stance::is_odd(member.role, *signal, &own, most))
        })
    }
}

impl Table {
    /// The family of a worker; `None` for any other process.
    #[must_use]
    pub fn family_name(&self, process: &Process) -> Option<FamilyName> {
        if !process.is_worker() || process.shares_with.is_some() {
            return None;
        }
        self.servers.get(process.server)?;
        Some(FamilyName {
            kind: self.kind_of(process),
            generation: process.generation,
        })
    }

    /// The family that a worker is of, the worker itself included.
    pub(super) fn family(&self, process: &Process) -> Family {
        let name = self.family_name(process);
        let members: Vec<&Process> = self
            .processes()
            .filter(|other| other.server == process.server && other.role == process.role)
            .filter(|other| name.is_some() && self.family_name(other) == name)
            .collect();
        Family::of(&members)
    }
}
