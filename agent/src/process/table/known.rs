//! How well a process's dispositions are known: who told of each, and what an inventory said that
//! no event explains. Pure.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::event::{Disposition, Instant, Signal};

/// Nanoseconds for which the kernel's answer may be read: what it has is of any moment in that time.
const READING: u64 = 100_000_000;
/// Functions of handlers that are remembered of one process; it has 64 signals.
const SYMBOLS: usize = 256;

/// Who told what stands on a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Teller {
    /// The call that set it was heard.
    Event,
    /// The parent had it when the process was made.
    Parent,
    /// The kernel was asked, and gave the handler's address.
    Inventory,
    /// The kernel was asked, and said no more than whether there is a handler.
    Masks,
}

impl Teller {
    /// The name that JSON uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Parent => "parent",
            Self::Inventory => "inventory",
            Self::Masks => "masks",
        }
    }
}

/// Since when something stands on a signal, as far as it was seen, and who told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Since when.
    pub since: Instant,
    /// By whom.
    pub by: Teller,
}

/// What an inventory said otherwise than the events did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Suspect {
    /// When it was said first.
    pub(super) first: Instant,
    /// Who told.
    pub(super) by: Teller,
    /// What it was.
    pub(super) stands: Disposition,
}

/// How well the dispositions of one process are known.
#[derive(Clone, Debug)]
pub(super) struct Known {
    told: [Option<Told>; probe_abi::record::SIGNALS],
    pub(super) suspects: BTreeMap<Signal, Suspect>,
    /// When an inventory was told first.
    pub(super) first: Option<Instant>,
    /// What stood there at first was judged, or everything was heard from the process's birth on.
    pub(super) judged: bool,
    /// Calls of the process were counted only, and not told.
    pub(super) folded: bool,
    /// Functions at handlers' addresses.
    pub(super) symbols: BTreeMap<u64, Arc<str>>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            told: [None; probe_abi::record::SIGNALS],
            suspects: BTreeMap::new(),
            first: None,
            judged: false,
            folded: false,
            symbols: BTreeMap::new(),
        }
    }
}

impl Known {
    /// What is known of a child, `born` when it was made by its own clock and `when` by that of the
    /// records. The kernel's answer of later is not what stood there then: the record of the birth
    /// may have lain in the ring while the kernel was asked.
    pub(super) fn inherited(&self, when: Instant, born: Instant) -> Self {
        let by_parent = |told: Option<Told>| {
            let is_later = |told: &Told| {
                matches!(told.by, Teller::Inventory | Teller::Masks)
                    && told.since.0.saturating_add(READING) >= when.0
            };
            told.filter(|told| !is_later(told)).map(|_| Told {
                since: born,
                by: Teller::Parent,
            })
        };
        let told = self.told.map(by_parent);
        Self {
            told,
            judged: told.iter().all(Option::is_some),
            ..Self::default()
        }
    }

    /// Who told of a signal; `None` where nobody has looked yet.
    pub(super) fn told(&self, signal: Signal) -> Option<Told> {
        self.told[signal.index()]
    }

    /// Notes who told what stands now.
    pub(super) fn tell(&mut self, signal: Signal, since: Instant, by: Teller) {
        self.told[signal.index()] = Some(Told { since, by });
        self.suspects.remove(&signal);
    }

    /// Notes that a call was heard; `changed` says that something else stands since.
    pub(super) fn heard(&mut self, signal: Signal, when: Instant, changed: bool) {
        match self.told(signal) {
            Some(Told { by, .. }) if !changed && by != Teller::Masks => {
                self.suspects.remove(&signal);
            }
            _ => self.tell(signal, when, Teller::Event),
        }
    }

    /// Notes the functions at handlers' addresses.
    pub(super) fn name(&mut self, names: Vec<(u64, Arc<str>)>) {
        if self.symbols.len() + names.len() > SYMBOLS {
            self.symbols.clear();
        }
        self.symbols.extend(names.into_iter().take(SYMBOLS));
    }
}
