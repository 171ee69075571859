//! Inventories: what the kernel says of every signal, held against what the events said. Pure.
//!
//! Both come by ways of their own: what an inventory says may be news of a call whose record lies
//! in the ring still. So whoever tells inventories has read the ring empty between any two of a
//! process, and a difference counts where both have it and no event explained it meanwhile.

use super::{
    Applied, Table,
    drift::{Found, Seen},
    known::{Suspect, Teller},
    process::Process,
};
use crate::{
    event::{Action, Disposition, Dispositions, Instant, Signal},
    process::{
        ProcessKey,
        origin::{self, Owner},
        stance::{self, Stance},
        takeover::{Ended, Turn},
        unknown_dispositions,
    },
};

/// Nanoseconds between two inventories that are to say the same: what an application does for the
/// time of a call is over by then, as a rule.
const TWICE: u64 = 1_000_000_000;
/// Nanoseconds until a worker is as its server wants it.
const YOUNG: u64 = 2_000_000_000;
/// Nanoseconds by which an inventory is wanted later than it would do: clocks are read twice.
const MARGIN: u64 = 10_000_000;
/// `SA_RESETHAND`: the kernel puts the default back when it delivers the signal.
const ONCE: u64 = 0x8000_0000;

/// A difference that two inventories had.
struct Difference {
    signal: Signal,
    old: Disposition,
    own: bool,
}

impl Table {
    /// When the next inventory is wanted, to see whether the last one's differences stand.
    #[must_use]
    pub fn inventory_due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether an inventory of a process has been told.
    #[must_use]
    pub fn is_inventoried(&self, key: ProcessKey) -> bool {
        self.get(key)
            .is_some_and(|process| process.known.first.is_some())
    }

    /// Whether an inventory says anything that is not known of a process.
    #[must_use]
    pub fn is_news(&self, key: ProcessKey, all: &Dispositions) -> bool {
        let Some(process) = self.get(key) else {
            return false;
        };
        let known = &process.known;
        known.first.is_none()
            || process.is_worker() && !known.judged
            || !known.suspects.is_empty()
            || *process.dispositions.as_ref() != *all
    }

    /// Whether what is mapped in a worker must be read before an inventory of it is told: a handler
    /// that is new lies nowhere that is known.
    #[must_use]
    pub fn knows_owners(&self, key: ProcessKey, all: &Dispositions) -> bool {
        let Some(process) = self.get(key).filter(|process| process.is_worker()) else {
            return true;
        };
        Signal::all().all(|signal| {
            let now = all[signal.index()];
            let is_new = process.known.told(signal).is_none()
                || !process.known.judged
                || now.action != process.disposition(signal).action;
            match now.action {
                Action::Handler(address) if is_new && now.action != Action::UNSEEN => {
                    !process.inherited && process.modules.at(address).is_some()
                }
                _ => true,
            }
        })
    }

    /// Handlers of an inventory of a worker that somebody may want to know by name.
    #[must_use]
    pub fn nameless(&self, key: ProcessKey, all: &Dispositions) -> Vec<u64> {
        let Some(process) = self.get(key).filter(|process| process.is_worker()) else {
            return Vec::new();
        };
        let strange = |disposition: &Disposition| {
            let Action::Handler(address) = disposition.action else {
                return None;
            };
            let owner = origin::owner(&process.modules, false, disposition.action);
            let is_of_interest = match Stance::of(disposition.action, owner.as_ref()) {
                Stance::Foreign(_) | Stance::Interpreter => true,
                Stance::Unknown => disposition.action != Action::UNSEEN,
                _ => false,
            };
            let is_named = process.known.symbols.contains_key(&address);
            (is_of_interest && !is_named).then_some(address)
        };
        let mut addresses: Vec<u64> = all.iter().filter_map(strange).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// Takes in what a process ignores and handles, by the masks of `/proc/PID/status`.
    pub(super) fn masks(
        &mut self,
        when: Instant,
        key: ProcessKey,
        ignored: u64,
        caught: u64,
    ) -> Applied {
        let Some(process) = self.get(key) else {
            return Applied::default();
        };
        let mut all = unknown_dispositions();
        for signal in Signal::all() {
            let bit = 1 << signal.index();
            let known = process.disposition(signal);
            all[signal.index()] = match known.action {
                // A handler is a handler: more the masks do not tell.
                Action::Handler(_) if caught & bit != 0 => *known,
                _ => Disposition {
                    action: match (ignored & bit, caught & bit) {
                        (0, 0) => Action::Default,
                        (_, 0) => Action::Ignore,
                        _ => Action::UNSEEN,
                    },
                    ..Disposition::default()
                },
            };
        }
        self.inventory(when, key, &all, Teller::Masks)
    }

    /// Takes in what the kernel says of every signal of a process.
    pub(super) fn inventory(
        &mut self,
        when: Instant,
        key: ProcessKey,
        all: &Dispositions,
        by: Teller,
    ) -> Applied {
        let Some(process) = self.get_mut(key) else {
            return Applied::default();
        };
        let fresh = std::mem::take(&mut process.fresh);
        process.known.first.get_or_insert(when);
        // Masters are nobody's prey, children are exempt, and who shares a table with another
        // process has it changed by that one's calls.
        if !process.is_worker() || process.shares_with.is_some() {
            process.adopt(when, all, by);
            self.tell_orphan(key);
            self.update_role(key);
            return Applied::default();
        }
        let differences = process.compare(when, all, fresh, by);
        let candidates = process.candidates(when);
        if let Some(due) = process.wants(when) {
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
        self.update_role(key);

        let mut ended = Vec::new();
        let mut found = Vec::new();
        for Difference { signal, old, own } in differences {
            let turn = self.turn_later(when, key, (signal, old, own, fresh), &mut ended);
            if let Turn::Begins(_) = turn {
                found.push(Found::new(signal, old, turn, Seen::Later, by));
            }
        }
        for (signal, old) in self.strange_at_start(key, &candidates, fresh) {
            let turn = self.turn(when, key, (signal, old), true, &mut ended);
            if let Turn::Begins(_) = turn {
                found.push(Found::new(signal, old, turn, Seen::Start, by));
            }
        }
        let drifts = found
            .into_iter()
            .filter_map(|found| self.drift(when, key, found, fresh));
        Applied {
            drifts: drifts.collect(),
            ended,
            ..Applied::default()
        }
    }

    /// What a difference means for the takeovers of its signal.
    fn turn_later(
        &mut self,
        when: Instant,
        key: ProcessKey,
        (signal, old, own, fresh): (Signal, Disposition, bool, bool),
        ended: &mut Vec<Ended>,
    ) -> Turn {
        let Some(process) = self.get(key) else {
            return Turn::Nothing;
        };
        let new = process.disposition(signal);
        let is_spent = old.flags & ONCE != 0 && new.action == Action::Default;
        let stance = |action| Stance::of(action, process.owner_of(action, fresh).as_ref());
        // Of a process that registers in a loop, not every call is told.
        let is_folded = process.known.folded
            && matches!(stance(new.action), Stance::Foreign(_))
            && stance(new.action) == stance(old.action);
        if is_folded {
            return Turn::Nothing;
        }
        self.turn(when, key, (signal, old), !own && !is_spent, ended)
    }

    fn turn(
        &mut self,
        when: Instant,
        key: ProcessKey,
        (signal, old): (Signal, Disposition),
        foreign: bool,
        ended: &mut Vec<Ended>,
    ) -> Turn {
        let mut next = self.next_takeover;
        let Some(process) = self.get_mut(key) else {
            return Turn::Nothing;
        };
        let new = process.dispositions[signal.index()];
        let (turn, over) = process
            .takeovers
            .turn(when, signal, (&old, &new), foreign, &mut next);
        self.next_takeover = next;
        ended.extend(over);
        turn
    }
}

impl Process {
    /// Who owns a handler; see [`origin::owner`].
    pub(super) fn owner_of(&self, action: Action, fresh: bool) -> Option<Owner> {
        origin::owner(&self.modules, fresh && action != Action::UNSEEN, action)
    }

    fn is_taken(&self, signal: Signal) -> bool {
        self.takeovers
            .running()
            .any(|(_, other, _)| other == signal)
    }

    /// Takes everything over as it is.
    fn adopt(&mut self, when: Instant, all: &Dispositions, by: Teller) {
        for signal in Signal::all() {
            let now = all[signal.index()];
            let is_same = now.same_effect(self.disposition(signal));
            self.dispositions[signal.index()] = now;
            if !is_same || self.known.told(signal).is_none() {
                self.known.tell(signal, when, by);
            }
        }
    }

    /// Takes over what needs no second look, and gives what has had it.
    fn compare(
        &mut self,
        when: Instant,
        all: &Dispositions,
        fresh: bool,
        by: Teller,
    ) -> Vec<Difference> {
        let mut differences = Vec::new();
        for signal in Signal::all() {
            let (now, old) = (all[signal.index()], *self.disposition(signal));
            if self.known.told(signal).is_none() {
                self.dispositions[signal.index()] = now;
                self.known.tell(signal, when, by);
                continue;
            }
            // The same handler with other flags is nobody else's.
            if now.action == old.action {
                self.dispositions[signal.index()] = now;
                self.known.suspects.remove(&signal);
                continue;
            }
            let stance = |action| Stance::of(action, self.owner_of(action, fresh).as_ref());
            let own = stance::is_own(self.role, signal, &stance(old.action), &stance(now.action));
            if own && !self.is_taken(signal) {
                self.dispositions[signal.index()] = now;
                self.known.tell(signal, when, by);
                continue;
            }
            let suspect = self.known.suspects.get(&signal).copied();
            let suspect = suspect.filter(|suspect| suspect.stands.action == now.action);
            let Some(suspect) = suspect else {
                let suspect = Suspect {
                    first: when,
                    by,
                    stands: now,
                };
                self.known.suspects.insert(signal, suspect);
                continue;
            };
            if self.is_ripe(suspect.first, when) {
                self.dispositions[signal.index()] = now;
                self.known.tell(signal, suspect.first, by);
                differences.push(Difference { signal, old, own });
            }
        }
        self.known.folded &= !self.known.suspects.is_empty();
        differences
    }

    /// Signals on which stands what stood there when the process was looked at first, if it is time
    /// to judge that.
    fn candidates(&mut self, when: Instant) -> Vec<Signal> {
        let known = &self.known;
        let Some(first) = known.first.filter(|first| self.is_ripe(*first, when)) else {
            return Vec::new();
        };
        if known.judged {
            return Vec::new();
        }
        let stood_there = |signal: &Signal| {
            let told = known.told(*signal);
            !known.suspects.contains_key(signal)
                && !self.is_taken(*signal)
                && told.is_some_and(|told| {
                    matches!(told.by, Teller::Inventory | Teller::Masks) && told.since <= first
                })
        };
        let candidates = Signal::all().filter(stood_there).collect();
        self.known.judged = true;
        candidates
    }

    /// Whether what was seen first at that moment has been there for long enough.
    fn is_ripe(&self, first: Instant, when: Instant) -> bool {
        when >= self.ripe(first)
    }

    fn ripe(&self, first: Instant) -> Instant {
        let old_enough = self.key.born().0.saturating_add(YOUNG);
        Instant(first.0.saturating_add(TWICE).max(old_enough))
    }

    /// When another inventory of the process is wanted.
    fn wants(&self, when: Instant) -> Option<Instant> {
        let unjudged = self.known.first.filter(|_| !self.known.judged);
        let suspects = self.known.suspects.values().map(|suspect| suspect.first);
        let due = suspects
            .chain(unjudged)
            .map(|first| self.ripe(first))
            .min()?;
        Some(Instant(due.max(when).0.saturating_add(MARGIN)))
    }
}

/// What an application took, for all that is known: what stands in the master, which its workers
/// inherit; else anything but what stands there now, or it would have taken nothing.
pub(super) fn before(masters: Option<Disposition>, new: &Disposition) -> Disposition {
    let other = Disposition {
        action: match new.action {
            Action::Default => Action::Ignore,
            _ => Action::Default,
        },
        ..Disposition::default()
    };
    masters
        .filter(|masters| !masters.same_effect(new))
        .unwrap_or(other)
}
