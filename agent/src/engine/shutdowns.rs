//! Workers that were asked to go: when one that does not becomes a finding, and when that ends. Pure.

use super::{Engine, Step};
use crate::{
    event::{Event, Instant, Signal, What},
    policy,
    process::ProcessKey,
};

const SECOND: u64 = 1_000_000_000;

/// The signal of an exit code, as `wait` has it.
const SIGNALLED: u32 = 0x7f;
/// SIGKILL.
const KILLED: u32 = 9;

impl Engine {
    /// How long a worker may take to go, in nanoseconds.
    fn grace(&self) -> u64 {
        self.settings.shutdown_grace_seconds.saturating_mul(SECOND)
    }

    /// When the next worker that was asked to go has had its time.
    pub(super) fn shutdown_deadline(&self) -> Option<Instant> {
        self.table.shutdowns().deadline(self.grace())
    }

    /// Whether an exit code is that of a worker that was asked to go and was killed.
    #[must_use]
    pub fn is_killed(&self, key: ProcessKey, code: u32) -> bool {
        code & SIGNALLED == KILLED && self.table.shutdowns().get(key).is_some()
    }

    /// What an event means for workers that were asked to go, before the table has taken it in: one
    /// that exits is there yet, and so is the takeover.
    pub(super) fn shutdowns(&mut self, event: &Event, step: &mut Step) {
        let (key, when) = (event.process, event.when);
        match &event.what {
            What::Overdue => {
                while let Some((key, signal)) = self.table.overdue(when, self.grace()) {
                    self.hangs(key, when, |asked| asked == signal);
                }
            }
            What::Reclaimed { ns_pid, notice } => {
                if let Some(worker) = self.table.reclaimed(key, *ns_pid, *notice) {
                    let name = notice.name();
                    self.book.amend_hang(worker, |shutdown| {
                        if !shutdown.confirmed_by.iter().any(|known| known == name) {
                            shutdown.confirmed_by.push(name.to_owned());
                        }
                    });
                }
            }
            What::Exited { code } => {
                let killed = code & SIGNALLED == KILLED;
                if killed {
                    self.hangs(key, when, |_| true);
                    // Its beginning is told before its end.
                    self.settle(when, step);
                }
                self.goes(key, when, killed);
            }
            What::Executed { .. } => self.goes(key, when, false),
            _ => {}
        }
    }

    /// A worker does not go, if a takeover is in the way of one of these signals.
    fn hangs(&mut self, key: ProcessKey, when: Instant, signal: impl Fn(Signal) -> bool) {
        let Some(hang) = self.table.hang(key, |asked| signal(asked.signal)) else {
            return;
        };
        let finding = self
            .book
            .finding_of(hang.takeover)
            .and_then(|cause| policy::judge_hang(&self.settings, when, cause, &hang));
        if let Some(finding) = finding {
            self.book.hang(when, key, hang.siblings, finding);
        }
    }

    /// A worker that was asked to go is gone. Workers hang side by side: the longest tells what was
    /// lost.
    fn goes(&mut self, key: ProcessKey, when: Instant, killed: bool) {
        let Some(asked) = self.table.shutdowns().get(key) else {
            return;
        };
        let all = asked.asked.iter();
        let sent: Vec<(u8, Instant)> = all.map(|a| (a.signal.number(), a.since)).collect();
        self.book.amend_hang(key, |shutdown| {
            let own = |(signal, _): &&(u8, Instant)| *signal == shutdown.signal.number;
            let Some((_, since)) = sent.iter().find(own) else {
                return;
            };
            let seconds = when.seconds_since(*since);
            shutdown.seconds = Some(shutdown.seconds.map_or(seconds, |most| most.max(seconds)));
            shutdown.killed |= killed;
        });
    }
}
