//! Takeovers of one process: who took a signal, from what, and when it was given back. Pure.

use serde::{Deserialize, Serialize};

use crate::event::{Action, Disposition, Dispositions, Instant, Signal};

/// Names a takeover.
pub type TakeoverId = u64;

/// How a takeover ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// What stood before stands again.
    Restored,
    /// The worker has gone.
    Exited,
    /// The worker runs another program.
    Executed,
    /// Its signal was taken over and over without being given back; the newest took its place in
    /// the bounded list, and what becomes of this one is not known.
    Displaced,
}

/// A takeover that has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ended {
    /// Which.
    pub id: TakeoverId,
    /// Of which signal.
    pub signal: Signal,
    /// When it began.
    pub since: Instant,
    /// When it ended.
    pub until: Instant,
    /// How.
    pub how: Ending,
}

/// What a registration means for the takeovers of its signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing changed, or it is not an application's doing.
    Nothing,
    /// A takeover begins.
    Begins(TakeoverId),
    /// The handler of a running takeover is set again, or its flags are changed.
    Repeats(TakeoverId),
    /// What stood before stands again.
    GivesBack,
}

/// A takeover that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Takeover {
    id: TakeoverId,
    signal: Signal,
    old: Disposition,
    new: Disposition,
    since: Instant,
    /// The takeover from which it took the signal, where that one ran.
    from: Option<TakeoverId>,
}

impl Takeover {
    /// Which.
    #[must_use]
    pub fn id(&self) -> TakeoverId {
        self.id
    }

    /// Of which signal.
    #[must_use]
    pub fn signal(&self) -> Signal {
        self.signal
    }
}

/// The running takeovers of one process, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Takeovers {
    running: Vec<Takeover>,
}

/// More running takeovers of one signal than this are no chain but a loop: the oldest one
/// stays, because it knows what the server had set, and the newest replaces the last.
const CHAIN: usize = 16;

impl Takeovers {
    /// Takes one effective registration in.
    ///
    /// `foreign` says that an application asked for something that is not the server's own.
    ///
    /// Who stands on a signal is told by the handler. Flags and mask may be others when a handler
    /// comes back: `signal(3)` of glibc sets SA_RESTART whatever stood there before.
    pub fn turn(
        &mut self,
        when: Instant,
        signal: Signal,
        (old, new): (&Disposition, &Disposition),
        foreign: bool,
        next: &mut TakeoverId,
    ) -> (Turn, Vec<Ended>) {
        if old.same_effect(new) {
            return (Turn::Nothing, Vec::new());
        }
        if !foreign {
            return gives_back(self.end(when, Ending::Restored, |t| t.signal == signal));
        }
        // Given back: to the server, or along a chain to one before, whoever does it.
        if let Some(first) = self.first_over(signal, new.action) {
            let ended = self.end(when, Ending::Restored, |t| {
                t.signal == signal && t.id >= first
            });
            if let Some(last) = self.last(signal).filter(|t| t.new.action == new.action) {
                last.new = *new;
            }
            return (Turn::GivesBack, ended);
        }
        // SIGPIPE to ignore is what the server wants.
        if signal == Signal::PIPE && new.action == Action::Ignore {
            return gives_back(self.end(when, Ending::Restored, |t| t.signal == signal));
        }
        // `signal.signal` followed by `siginterrupt`: one doing, two calls. A handler that the kernel
        // took away when it ran (SA_RESETHAND), and that sets itself again, is one, too.
        if let Some(last) = self.last(signal).filter(|t| t.new.action == new.action) {
            last.new = *new;
            return (Turn::Repeats(last.id), Vec::new());
        }
        // Other flags for a handler that nobody took: it is still the one that it was.
        if old.action == new.action {
            return (Turn::Nothing, Vec::new());
        }
        let mut ended = self.catch_up(when, signal, old.action);
        let from = self.last(signal).filter(|t| t.new.action == old.action);
        let from = from.map(|t| t.id);
        if self.running.iter().filter(|t| t.signal == signal).count() >= CHAIN {
            let last = self.last(signal).map(|t| t.id);
            ended.extend(self.end(when, Ending::Displaced, |t| Some(t.id) == last));
        }
        let id = *next;
        *next = next.saturating_add(1);
        self.running.push(Takeover {
            id,
            signal,
            old: *old,
            new: *new,
            since: when,
            from,
        });
        (Turn::Begins(id), ended)
    }

    /// What was given back without our hearing of it: records are lost, and SA_RESETHAND needs no
    /// call. What stands before a call tells.
    fn catch_up(&mut self, when: Instant, signal: Signal, stands: Action) -> Vec<Ended> {
        let owner = |t: &&Takeover| t.signal == signal && t.new.action == stands;
        let first = match self.running.iter().rfind(owner) {
            Some(owner) => owner.id.saturating_add(1),
            None => match self.first_over(signal, stands) {
                Some(first) => first,
                None => return Vec::new(),
            },
        };
        self.end(when, Ending::Restored, |t| {
            t.signal == signal && t.id >= first
        })
    }

    /// The first takeover before which this action stood.
    fn first_over(&self, signal: Signal, action: Action) -> Option<TakeoverId> {
        let mut running = self.running.iter();
        let first = running.find(|t| t.signal == signal && t.old.action == action);
        first.map(|t| t.id)
    }

    fn last(&mut self, signal: Signal) -> Option<&mut Takeover> {
        self.running.iter_mut().rfind(|t| t.signal == signal)
    }

    /// The takeover from which another one took the signal.
    #[must_use]
    pub fn taken_from(&self, id: TakeoverId) -> Option<TakeoverId> {
        self.running.iter().find(|t| t.id == id)?.from
    }

    /// Those that run, oldest first: which, of which signal, since when.
    pub fn running(&self) -> impl Iterator<Item = (TakeoverId, Signal, Instant)> {
        self.running.iter().map(|t| (t.id, t.signal, t.since))
    }

    /// One that runs.
    #[must_use]
    pub fn get(&self, id: TakeoverId) -> Option<&Takeover> {
        self.running.iter().find(|t| t.id == id)
    }

    /// Takes over one that an agent before this one knew.
    pub fn adopt(&mut self, takeover: Takeover) {
        let at = self.running.partition_point(|t| t.id < takeover.id);
        self.running.insert(at, takeover);
    }

    /// Ends what stands no more, by all that stands in the process now. Where that is nothing that
    /// any of them knows, somebody else has taken the signal while nobody looked.
    pub fn verify(&mut self, when: Instant, all: &Dispositions) -> Vec<Ended> {
        let mut ended = Vec::new();
        for signal in Signal::all() {
            let stands = all[signal.index()].action;
            ended.extend(self.catch_up(when, signal, stands));
            if self.last(signal).is_some_and(|t| t.new.action != stands) {
                ended.extend(self.end(when, Ending::Displaced, |t| t.signal == signal));
            }
        }
        ended
    }

    /// Ends everything: the process is gone.
    pub fn end_all(&mut self, when: Instant, how: Ending) -> Vec<Ended> {
        self.end(when, how, |_| true)
    }

    fn end(
        &mut self,
        until: Instant,
        how: Ending,
        which: impl Fn(&Takeover) -> bool,
    ) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.running.retain(|t| {
            if !which(t) {
                return true;
            }
            ended.push(Ended {
                id: t.id,
                signal: t.signal,
                since: t.since,
                until,
                how,
            });
            false
        });
        ended
    }
}

fn gives_back(ended: Vec<Ended>) -> (Turn, Vec<Ended>) {
    if ended.is_empty() {
        (Turn::Nothing, ended)
    } else {
        (Turn::GivesBack, ended)
    }
}

#[cfg(test)]
mod tests;
