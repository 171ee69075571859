//! Whatever is called and whenever the kernel is asked: what the events explain is no drift.

use std::collections::VecDeque;

use proptest::{collection::vec, prelude::*};

use super::{
    cases::engine,
    drift_cases::{EMBEDDED, inventory},
    events::{LIBRARY, MPM, PYTHON, WORKER, set},
};
use crate::{
    event::{Action, Event, Instant, Signal},
    policy::rules::Restriction,
};

const SIGNALS: [Signal; 5] = [
    Signal::TERM,
    Signal::HUP,
    Signal::INT,
    Signal::PIPE,
    Signal::USR2,
];
const ACTIONS: [Action; 5] = [Action::Default, Action::Ignore, MPM, LIBRARY, PYTHON];

#[derive(Clone, Debug)]
enum Act {
    /// A call, whose record goes into the ring.
    Set(usize, usize),
    /// So many records are read.
    Read(usize),
    /// The kernel is asked, and what it says told at once.
    Ask,
    /// Milliseconds pass.
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..SIGNALS.len(), 0..ACTIONS.len()).prop_map(|(s, a)| Act::Set(s, a)),
        3 => (0..4_usize).prop_map(Act::Read),
        3 => Just(Act::Ask),
        2 => (1..2_500_u64).prop_map(Act::Wait),
    ]
}

proptest! {
    /// The kernel's answers run ahead of the ring by any number of records, as long as what came
    /// before an answer is read before the next one.
    #[test]
    fn what_events_explain_is_no_drift(acts in vec(act(), 1..60)) {
        let mut engine = engine(Some(Restriction::On));
        let mut stands: Vec<(Signal, Action)> = EMBEDDED.to_vec();
        stands.push((Signal::USR2, Action::Default));
        let mut ring: VecDeque<Event> = VecDeque::new();
        let (mut now, mut asked) = (5_000_000_000_u64, 0);
        for act in acts {
            let mut heard = Vec::new();
            now += 1_000_000;
            match act {
                Act::Set(signal, action) => {
                    let (signal, new) = (SIGNALS[signal], ACTIONS[action]);
                    let slot = stands.iter_mut().find(|(other, _)| *other == signal);
                    if let Some((_, old)) = slot {
                        let mut event = set(WORKER, signal, *old, new, &["/srv/app.py:f"]);
                        event.when = Instant(now);
                        *old = new;
                        ring.push_back(event);
                    }
                }
                Act::Read(records) => heard.extend(ring.drain(..records.min(ring.len()))),
                Act::Ask if ring.front().is_none_or(|oldest| oldest.when.0 > asked) => {
                    let mut event = inventory(WORKER, 0, &stands, &[]);
                    event.when = Instant(now);
                    asked = now;
                    heard.push(event);
                }
                Act::Ask => {}
                Act::Wait(milliseconds) => now += milliseconds * 1_000_000,
            }
            for event in heard {
                for news in engine.step(event).news {
                    prop_assert_ne!(news.finding.rule, "disposition-drift");
                }
            }
        }
    }
}
