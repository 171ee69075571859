//! Whatever happens, in whatever order: the table knows what stands, and the book what became of it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};

use super::{
    Engine,
    cases::engine,
    events::{LIBRARY, MASTER, MPM, PYTHON, event, fork, set},
};
use crate::{
    event::{Action, Disposition, Dispositions, Event, FileKey, Instant, Signal, What},
    policy::{Finding, State, finding::Extent, rules::Restriction},
    process::{ProcessKey, Role, unknown_dispositions},
};

const SIGNALS: [Signal; 4] = [Signal::TERM, Signal::INT, Signal::PIPE, Signal::USR2];
const ACTIONS: [Action; 6] = [
    Action::Default,
    Action::Ignore,
    MPM,
    LIBRARY,
    Action::Handler(0x5008),
    PYTHON,
];
const CAUSES: [&[&str]; 4] = [&[], &["/srv/a.py:f"], &["/srv/b.py:f"], &["/srv/c.py:f"]];
const SECOND: u64 = 1_000_000_000;

/// One thing that happens; processes are places in the list of all that ever were.
#[derive(Clone, Debug)]
enum Act {
    Set {
        who: usize,
        signal: usize,
        action: usize,
        flags: u64,
        cause: usize,
        fails: bool,
        /// The record of it is lost.
        is_lost: bool,
    },
    Fork {
        parent: usize,
        /// The id of a process that was there before, whose end may not have been heard.
        pid: usize,
        shares: bool,
    },
    Exit(usize),
    Exec(usize),
    Inventory(usize),
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..12_usize;
    let set = (who.clone(), 0..4_usize, 0..6_usize, 0..2_u64, 0..4_usize);
    let set = (set, prop::bool::weighted(0.05), prop::bool::weighted(0.1));
    prop_oneof![
        12 => set.prop_map(|((who, signal, action, flags, cause), fails, is_lost)| Act::Set {
            who, signal, action, flags, cause, fails, is_lost,
        }),
        3 => (who.clone(), 0..8_usize, prop::bool::weighted(0.2))
            .prop_map(|(parent, pid, shares)| Act::Fork { parent, pid, shares }),
        1 => who.clone().prop_map(Act::Exit),
        1 => who.clone().prop_map(Act::Exec),
        2 => who.prop_map(Act::Inventory),
        2 => prop_oneof![Just(1), Just(1_000_000), 1..700 * SECOND].prop_map(Act::Wait),
    ]
}

/// A process as the kernel has it.
struct Process {
    key: ProcessKey,
    /// Which table of handlers is its own.
    table: usize,
    /// The role that it was born to.
    exempt: bool,
}

/// What the kernel knows: processes, and what stands in each table of handlers.
struct Model {
    processes: Vec<Process>,
    tables: Vec<Dispositions>,
    /// What differs from what was told: a record of it was lost.
    lost: BTreeSet<(usize, usize)>,
    now: u64,
    born: u64,
}

impl Model {
    fn new() -> Self {
        let mut master = *unknown_dispositions();
        master[Signal::TERM.index()].action = MPM;
        let process = |key, table| Process {
            key,
            table,
            exempt: false,
        };
        Self {
            tables: vec![master, master],
            processes: vec![process(MASTER, 0), process(super::events::WORKER, 1)],
            lost: BTreeSet::new(),
            now: 5 * SECOND,
            born: 10,
        }
    }

    /// The next event; `None` where nothing is heard of what happens.
    fn event(&mut self, act: &Act) -> Option<Event> {
        let pick = |who: usize| who % self.processes.len().max(1);
        let event = match *act {
            Act::Set {
                who,
                signal,
                action,
                flags,
                cause,
                fails,
                is_lost,
            } => {
                let Process { key, table, exempt } = *self.processes.get(pick(who))?;
                let (signal, index) = (SIGNALS[signal], SIGNALS[signal].index());
                let old = self.tables[table][index];
                let mut told = set(key, signal, old.action, ACTIONS[action], CAUSES[cause]);
                let What::Registration(call) = &mut told.what else {
                    unreachable!("it is one");
                };
                let new = Disposition {
                    flags: flags * 0x1000_0000,
                    ..call.new
                };
                (call.old, call.new) = (old, new);
                if fails {
                    call.errno = 22;
                    call.new = old;
                } else if !exempt {
                    // What exempt processes do to themselves is not followed.
                    self.tables[table][index] = new;
                    self.lost.remove(&(table, index));
                    if is_lost && old != new {
                        self.lost.insert((table, index));
                        return None;
                    }
                }
                told
            }
            Act::Fork {
                parent,
                pid,
                shares,
            } => {
                let parent = self.processes.get(pick(parent))?;
                let (from, table, exempt) = (parent.key, parent.table, parent.exempt);
                self.born += 1;
                let key = ProcessKey {
                    pid: 300 + pid as u32,
                    start: self.born,
                };
                if from.pid == key.pid {
                    return None;
                }
                self.processes.retain(|process| process.key.pid != key.pid);
                let of_master = from == MASTER;
                let new = if shares { table } else { self.tables.len() };
                if !shares {
                    self.tables.push(self.tables[table]);
                    let lost = self.lost.iter().filter(|(of, _)| *of == table);
                    let lost: Vec<_> = lost.map(|(_, signal)| (new, *signal)).collect();
                    self.lost.extend(lost);
                }
                self.processes.push(Process {
                    key,
                    table: new,
                    exempt: !of_master && (exempt || !shares),
                });
                fork(from, key, shares)
            }
            Act::Exit(who) | Act::Exec(who) => {
                // The master stays: its end is another story.
                let who = pick(who);
                if who == 0 {
                    return None;
                }
                let key = self.processes.remove(who).key;
                let file = FileKey {
                    inode: 7,
                    device: 1,
                    generation: 0,
                };
                event(
                    key,
                    match act {
                        Act::Exit(_) => What::Exited { code: 0 },
                        _ => What::Executed { file },
                    },
                )
            }
            Act::Inventory(who) => {
                let process = self.processes.get(pick(who))?;
                let all = Box::new(self.tables[process.table]);
                // One that agrees: what else an inventory may show is not the takeovers' affair.
                if self.lost.iter().any(|(table, _)| *table == process.table) {
                    return None;
                }
                event(process.key, What::Inventory(all))
            }
            Act::Wait(nanoseconds) => {
                self.now += nanoseconds;
                event(ProcessKey::NONE, What::Overdue)
            }
        };
        self.now += 1;
        Some(Event {
            when: Instant(self.now),
            ..event
        })
    }
}

/// What was told of a finding, and how long it was open.
#[derive(Default)]
struct Followed {
    told: Vec<(u64, State, u64)>,
    exposed: u64,
    workers: BTreeSet<ProcessKey>,
    last: Option<Finding>,
}

/// Follows the findings from what each step brings.
#[derive(Default)]
struct Follower {
    findings: BTreeMap<String, Followed>,
    now: u64,
}

impl Follower {
    fn step(&mut self, engine: &mut Engine, event: Event) {
        let when = event.when.0;
        let passed = when - self.now;
        self.now = when;
        for followed in self.findings.values_mut() {
            let is_open = |finding: &Finding| finding.state == State::Open;
            followed.exposed += passed * u64::from(followed.last.as_ref().is_some_and(is_open));
        }
        for news in engine.step(event).news {
            let finding = news.finding;
            let known = self.findings.contains_key(&finding.id);
            assert_eq!(news.is_new, !known, "{finding:?}");
            let followed = self.findings.entry(finding.id.clone()).or_default();
            if news.is_told {
                followed.told.push((when, finding.state, finding.count));
            }
            if let Some(seconds) = finding.exposure_seconds {
                let exposed = followed.exposed as f64 / 1e9;
                assert!((seconds - exposed).abs() < 1e-6, "{exposed}: {finding:?}");
            }
            followed.last = Some(finding);
        }
    }

    /// At most one line a minute, but for the first beginning and the first end.
    fn is_calm(&self) {
        for followed in self.findings.values() {
            let mut later = followed.told.iter().skip(1);
            let first_end = later.position(|(_, state, _)| *state == State::Resolved);
            for (number, pair) in followed.told.windows(2).enumerate() {
                let [(before, ..), (after, ..)] = pair else {
                    unreachable!("two at a time");
                };
                let is_first_end = first_end == Some(number);
                let gap = after - before;
                assert!(is_first_end || gap >= 60 * SECOND, "{:?}", followed.told);
            }
        }
    }
}

fn check(model: &Model, engine: &Engine, follower: &mut Follower) {
    let table = &engine.table;
    for process in &model.processes {
        let known = table.get(process.key).expect("it lives");
        assert_eq!(known.role == Role::Child, process.exempt);
        for signal in SIGNALS {
            if model.lost.contains(&(process.table, signal.index())) {
                continue;
            }
            let stands = &model.tables[process.table][signal.index()];
            assert_eq!(
                known.disposition(signal),
                stands,
                "{signal} of {:?}",
                process.key
            );
        }
    }
    assert_eq!(table.processes().count(), model.processes.len());

    // Every takeover that runs is open in the book, and no other: nothing is open after an exit.
    let mut running = Vec::new();
    for process in table.processes() {
        for (id, signal, since) in process.takeovers().running() {
            assert!(since.0 <= model.now);
            running.push((id, process.key, signal.number()));
        }
    }
    running.sort_unstable();
    let ids: BTreeSet<_> = running.iter().map(|(id, ..)| *id).collect();
    assert_eq!(ids.len(), running.len(), "a takeover is one worker's");
    let known: Vec<_> = engine.book.takeovers().collect();
    let held: Vec<_> = known
        .iter()
        .map(|(pid, signal, _)| (*pid, *signal))
        .collect();
    let places = running.iter().map(|(_, key, signal)| (key.pid, *signal));
    assert_eq!(held, places.collect::<Vec<_>>());

    let mut workers: BTreeMap<&str, BTreeSet<ProcessKey>> = BTreeMap::new();
    for ((_, _, finding), (_, key, _)) in known.iter().zip(&running) {
        workers.entry(&finding.id).or_default().insert(*key);
        let followed = follower.findings.get_mut(&finding.id).expect("it was told");
        followed.workers.insert(*key);
    }
    let open: BTreeSet<&str> = engine.book.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(open, workers.keys().copied().collect());
    for finding in engine.book.iter() {
        let Extent {
            workers: now,
            of,
            workers_ever,
            restored,
            exited,
            executed,
        } = finding.extent;
        let over = restored + exited + executed;
        assert_eq!(
            now,
            workers[finding.id.as_str()].len() as u64,
            "{finding:?}"
        );
        assert!(now <= of && now <= workers_ever, "{finding:?}");
        assert!(over < finding.count, "{finding:?}");
        assert_eq!(finding.resolved_at, None);
        assert_eq!(finding.exposure_seconds, None);
        assert_eq!(finding.lasting, finding.extent.lasting());
        let followed = &follower.findings[&finding.id];
        assert_eq!(workers_ever, followed.workers.len() as u64, "{finding:?}");
        let last = followed.last.as_ref();
        assert_eq!(last.map(|last| last.state), Some(State::Open));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What stands is what a simple model says; takeovers begin and end once; the book's counts are
    /// those of what runs; and in the end what was told is the truth.
    #[test]
    fn any_sequence_of_events(acts in vec(act(), 1..80)) {
        let mut engine = engine(Some(Restriction::On));
        let (mut model, mut follower) = (Model::new(), Follower::default());
        for act in &acts {
            if let Some(event) = model.event(act) {
                follower.step(&mut engine, event);
            }
            check(&model, &engine, &mut follower);
        }
        for _ in 0..2 {
            let wait = Act::Wait(601 * SECOND);
            let event = model.event(&wait).expect("time passes");
            follower.step(&mut engine, event);
            check(&model, &engine, &mut follower);
        }
        follower.is_calm();
        for followed in follower.findings.values() {
            let last = followed.last.as_ref().expect("a finding");
            let (_, state, count) = *followed.told.last().expect("each is told");
            prop_assert_eq!(state, last.state);
            prop_assert!(state == State::Open || count == last.count);
        }
        let over = engine.book.deadline();
        prop_assert_eq!(over, None, "nothing more to tell");
    }
}
