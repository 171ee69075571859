//! Workers that were asked to go: when one that does not becomes a finding, and when that ends. Pure.

use super::{Engine, Step};
use crate::{
    event::{Event, Instant, Signal, What},
    policy::{self, Finding, State, book::News},
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

    /// Every open finding.
    pub fn open_findings(&self) -> impl Iterator<Item = &Finding> {
        self.book.iter().chain(self.hangs.iter())
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
                    self.hangs(key, when, |asked| asked == signal, step);
                }
            }
            What::Reclaimed { ns_pid, notice } => {
                let worker = self.table.reclaimed(key, *ns_pid, *notice);
                let finding = worker.and_then(|worker| self.hangs.noticed(worker, *notice));
                step.news
                    .extend(finding.map(|finding| changed(finding.clone())));
            }
            What::Exited { code } => {
                let killed = code & SIGNALLED == KILLED;
                if killed {
                    self.hangs(key, when, |_| true, step);
                }
                self.ends(key, when, killed, step);
            }
            What::Executed { .. } => self.ends(key, when, false, step),
            _ => {}
        }
    }

    fn hangs(
        &mut self,
        key: ProcessKey,
        when: Instant,
        signal: impl Fn(Signal) -> bool,
        step: &mut Step,
    ) {
        let Some(hang) = self.table.hang(key, |asked| signal(asked.signal)) else {
            return;
        };
        let finding = self
            .book
            .finding_of(hang.takeover)
            .and_then(|cause| policy::judge_hang(&self.settings, when, cause, &hang));
        let finding =
            finding.and_then(|finding| self.hangs.open(key, (hang.asked.since, when), finding));
        step.news.extend(finding.map(|finding| News {
            is_new: finding.count == 1,
            is_told: finding.count == 1,
            finding: finding.clone(),
        }));
    }

    fn ends(&mut self, key: ProcessKey, when: Instant, killed: bool, step: &mut Step) {
        let finding = self.hangs.left(key, when, killed, self.settings.clock);
        step.news.extend(finding.map(changed));
    }
}

/// A known finding as it stands now. Those who are told findings hear of its end only.
fn changed(finding: Finding) -> News {
    News {
        is_new: false,
        is_told: finding.state == State::Resolved,
        finding,
    }
}
