//! Drift: what stands in a worker though nobody was seen to set it. Pure.

use super::{Change, Process, Table, family::Family, inventory::before, known::Teller};
use crate::{
    event::{Action, Disposition, Instant, NativeStack, PythonStack, Registration, Signal},
    process::{
        ProcessKey,
        origin::{Origin, Owner, Route},
        stance::{self, Stance},
        takeover::Turn,
    },
};

/// When a drift was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It stood there when the worker was looked at first.
    Start,
    /// Since then something else had stood there.
    Later,
}

impl Seen {
    /// The name that JSON uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Later => "later",
        }
    }
}

/// What stands in a worker though nobody was seen to set it.
#[derive(Clone, Debug)]
pub struct Drift {
    /// The same as a call that nobody saw.
    pub change: Change,
    /// When it was seen.
    pub seen: Seen,
    /// Who told.
    pub by: Teller,
    /// Siblings in which the same stands.
    pub agrees: usize,
    /// Siblings in which something else stands.
    pub differs: usize,
    /// Records were lost in the worker's life.
    pub lost: bool,
}

/// A drift of one signal, before it is told.
pub(super) struct Found {
    signal: Signal,
    old: Disposition,
    turn: Turn,
    seen: Seen,
    by: Teller,
}

impl Found {
    pub(super) fn new(
        signal: Signal,
        old: Disposition,
        turn: Turn,
        seen: Seen,
        by: Teller,
    ) -> Self {
        Self {
            signal,
            old,
            turn,
            seen,
            by,
        }
    }
}

impl Table {
    /// Which of these signals the server would not have left like that, each with what must have
    /// stood there before, for all that is known.
    pub(super) fn strange_at_start(
        &self,
        key: ProcessKey,
        candidates: &[Signal],
        fresh: bool,
    ) -> Vec<(Signal, Disposition)> {
        let Some(process) = self.get(key).filter(|p| p.is_worker()) else {
            return Vec::new();
        };
        if candidates.is_empty() {
            return Vec::new();
        }
        let family = self.family(process);
        let server = self.servers.get(process.server);
        let mod_wsgi = server.and_then(|server| server.facts.mod_wsgi.as_deref());
        let master = server.and_then(|server| self.get(server.master));
        let masters = |signal: Signal| {
            let master = master.filter(|master| master.told(signal).is_some())?;
            Some(*master.disposition(signal))
        };
        let strange = |signal: &&Signal| {
            let signal = **signal;
            let action = process.disposition(signal).action;
            let own = Stance::of(action, process.owner_of(action, fresh).as_ref());
            stance::is_strange(process, mod_wsgi, signal, &own)
                || masters(signal).is_none_or(|masters| masters.action != action)
                    && is_odd(&family, process, signal, &own)
        };
        candidates
            .iter()
            .filter(strange)
            .map(|signal| {
                let new = process.disposition(*signal);
                (*signal, before(masters(*signal), new))
            })
            .collect()
    }

    /// What is known of a drift.
    pub(super) fn drift(
        &mut self,
        when: Instant,
        key: ProcessKey,
        found: Found,
        fresh: bool,
    ) -> Option<Drift> {
        let Found {
            signal,
            old,
            turn,
            seen,
            by,
        } = found;
        let process = self.get(key)?;
        let new = *process.disposition(signal);
        let own = process.stance(signal);
        let (agrees, differs) = self.family(process).siblings(signal, &own);
        let symbol = match new.action {
            Action::Handler(address) => process.known.symbols.get(&address).cloned(),
            _ => None,
        };
        let owners = [old, new].map(|one| process.owner_of(one.action, fresh));
        let lost = self
            .lost
            .is_some_and(|lost| seen == Seen::Later && lost >= key.born());
        let context = self.context(when, key, key.pid, &PythonStack::default())?;
        let [old_owner, new_owner]: [Option<Owner>; 2] = owners;
        let registration = Registration {
            signal: Some(signal),
            number: u32::from(signal.number()),
            old,
            new,
            errno: 0,
            contested: false,
            folded: 0,
            python: PythonStack::default(),
            native: NativeStack {
                new_symbol: symbol,
                ..NativeStack::default()
            },
        };
        Some(Drift {
            change: Change {
                context,
                registration,
                origin: Origin::Application,
                route: Route::Unknown,
                old_owner,
                new_owner,
                turn,
            },
            seen,
            by,
            agrees,
            differs,
            lost,
        })
    }
}

fn is_odd(family: &Family, process: &Process, signal: Signal, own: &Stance) -> bool {
    let most = family.most(signal, own);
    most.is_some_and(|most| stance::is_odd(process.role, signal, own, most))
}
