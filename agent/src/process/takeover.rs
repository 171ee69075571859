//! Takeovers of one process: who took a signal, from what, and when it was given back. Pure.

use serde::{Deserialize, Serialize};

use crate::event::{Action, Disposition, Instant, Signal};

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
    /// The owner of a running takeover sets the same handler again, with other flags.
    Repeats(TakeoverId),
    /// What stood before stands again.
    GivesBack,
}

#[derive(Clone, Debug)]
struct Takeover {
    id: TakeoverId,
    signal: Signal,
    old: Disposition,
    new: Disposition,
    since: Instant,
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
            let ended = self.end(when, Ending::Restored, |t| t.signal == signal);
            let turn = if ended.is_empty() {
                Turn::Nothing
            } else {
                Turn::GivesBack
            };
            return (turn, ended);
        }
        // Given back: to the server, or along a chain to the one before.
        let back = |t: &Takeover| t.signal == signal && t.old.same_effect(new);
        if let Some(first) = self.running.iter().find(|t| back(t)).map(|t| t.id) {
            let ended = self.end(when, Ending::Restored, |t| {
                t.signal == signal && t.id >= first
            });
            return (Turn::GivesBack, ended);
        }
        // SIGPIPE to ignore is what the server wants.
        if signal == Signal::PIPE && new.action == Action::Ignore {
            let ended = self.end(when, Ending::Restored, |t| t.signal == signal);
            return (Turn::GivesBack, ended);
        }
        // `signal.signal` followed by `siginterrupt`: one doing, two calls.
        if let Some(last) = self.running.iter_mut().rev().find(|t| t.signal == signal)
            && last.new.action == new.action
        {
            last.new = *new;
            return (Turn::Repeats(last.id), Vec::new());
        }
        let mut ended = Vec::new();
        if self.running.iter().filter(|t| t.signal == signal).count() >= CHAIN {
            let last = self
                .running
                .iter()
                .rev()
                .find(|t| t.signal == signal)
                .map(|t| t.id);
            ended = self.end(when, Ending::Restored, |t| Some(t.id) == last);
        }
        let id = *next;
        *next += 1;
        self.running.push(Takeover {
            id,
            signal,
            old: *old,
            new: *new,
            since: when,
        });
        (Turn::Begins(id), ended)
    }

    /// Those that run, oldest first: which, of which signal, since when.
    pub fn running(&self) -> impl Iterator<Item = (TakeoverId, Signal, Instant)> {
        self.running.iter().map(|t| (t.id, t.signal, t.since))
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

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Disposition = handler(100);

    const fn handler(address: u64) -> Disposition {
        Disposition {
            action: Action::Handler(address),
            flags: 0x1000_0000,
            mask: 0,
        }
    }

    const IGNORE: Disposition = Disposition {
        action: Action::Ignore,
        flags: 0,
        mask: 0,
    };

    /// Feeds (old, new, foreign) steps on one signal and tells what each meant.
    fn run(signal: Signal, steps: &[(Disposition, Disposition, bool)]) -> Vec<(Turn, usize)> {
        let (mut takeovers, mut next) = (Takeovers::default(), 0);
        steps
            .iter()
            .map(|(old, new, foreign)| {
                let (turn, ended) =
                    takeovers.turn(Instant(5), signal, (old, new), *foreign, &mut next);
                (turn, ended.len())
            })
            .collect()
    }

    /// `os.system`: taken, and given back by the same code.
    #[test]
    fn a_temporary_takeover_ends_when_the_old_disposition_returns() {
        let steps = [(SERVER, IGNORE, true), (IGNORE, SERVER, true)];
        assert_eq!(
            run(Signal::INT, &steps),
            [(Turn::Begins(0), 0), (Turn::GivesBack, 1)]
        );
    }

    /// A takes, B takes from A, B gives back to A, A gives back to the server.
    #[test]
    fn a_chain_unwinds_one_by_one() {
        let (a, b) = (handler(1), handler(2));
        let steps = [
            (SERVER, a, true),
            (a, b, true),
            (b, a, true),
            (a, SERVER, true),
        ];
        let expected = [
            (Turn::Begins(0), 0),
            (Turn::Begins(1), 0),
            (Turn::GivesBack, 1),
            (Turn::GivesBack, 1),
        ];
        assert_eq!(run(Signal::TERM, &steps), expected);
    }

    /// B gives back straight to the server: both takeovers are over.
    #[test]
    fn a_chain_can_end_at_once() {
        let (a, b) = (handler(1), handler(2));
        let steps = [(SERVER, a, true), (a, b, true), (b, SERVER, true)];
        assert_eq!(run(Signal::TERM, &steps)[2], (Turn::GivesBack, 2));
    }

    /// The server sets its own handler again: whatever was taken is the server's again.
    #[test]
    fn the_server_takes_back() {
        let steps = [
            (SERVER, handler(1), true),
            (handler(1), handler(101), false),
        ];
        assert_eq!(run(Signal::TERM, &steps)[1], (Turn::GivesBack, 1));
    }

    /// `signal` and `siginterrupt` are one doing; ignore to ignore is none.
    #[test]
    fn pairs_are_folded_and_repetitions_are_nothing() {
        let restart = handler(1);
        let interrupt = Disposition {
            flags: 0,
            ..restart
        };
        let steps = [(SERVER, restart, true), (restart, interrupt, true)];
        assert_eq!(
            run(Signal::TERM, &steps),
            [(Turn::Begins(0), 0), (Turn::Repeats(0), 0)]
        );
        let other_flags = Disposition {
            flags: 0x1000_0000,
            ..IGNORE
        };
        assert_eq!(
            run(Signal::PIPE, &[(IGNORE, other_flags, true)]),
            [(Turn::Nothing, 0)]
        );
    }

    /// A process that alternates between ever new handlers costs bounded memory.
    #[test]
    fn a_loop_of_handlers_is_bounded() {
        let (mut takeovers, mut next) = (Takeovers::default(), 0);
        for address in 10..1000 {
            let step = (&handler(address), &handler(address + 1));
            takeovers.turn(Instant(1), Signal::TERM, step, true, &mut next);
        }
        assert_eq!(takeovers.running.len(), CHAIN);
        assert_eq!(
            takeovers.running[0].id, 0,
            "the first one knows what the server had set"
        );
    }
}
