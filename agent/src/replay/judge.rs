//! Judges what a capture holds, as it was recorded and, beside it, as somebody asks. Pure.
//!
//! Two engines hear the same event one after the other, so that what each says of it needs no
//! matching: it is about the same call of the same thread.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::{
    capture::Told,
    engine::{Engine, Step},
    policy::{Finding, Settings, Severity, rules::Restriction},
};

/// What is asked instead of what was in force.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// By another configuration of sigblame's own.
    pub settings: Option<Settings>,
    /// Under this restriction, whatever any configuration says.
    pub restriction: Option<Restriction>,
}

impl Asked {
    /// Whether anything is.
    #[must_use]
    pub fn is_something(&self) -> bool {
        self.settings.is_some() || self.restriction.is_some()
    }

    /// By what is judged where the capture was recorded under `recorded`.
    fn settings(&self, recorded: &Settings) -> Settings {
        let base = self.settings.as_ref().unwrap_or(recorded);
        Settings {
            clock: recorded.clock,
            restriction: self.restriction.or(base.restriction),
            ..base.clone()
        }
    }
}

/// How two judgements of one call differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// There is a finding only as asked.
    Appears,
    /// There is a finding only as recorded.
    Vanishes,
    /// There are both, by another rule, of another severity, or only one of them is excepted.
    Changes,
}

/// Two judgements of one call that differ.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// How.
    pub difference: Kind,
    /// As it was recorded.
    pub was: Option<Finding>,
    /// As is asked.
    pub is: Option<Finding>,
    /// What else would come of the call.
    pub note: Option<&'static str>,
}

/// How many findings there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Of each severity.
    pub of: BTreeMap<Severity, u64>,
    /// Among them those that an exception covers.
    pub excepted: BTreeMap<Severity, u64>,
    /// The worst that no exception covers.
    pub worst: Option<Severity>,
}

impl Tally {
    /// How many are at least so bad and are not excepted.
    #[must_use]
    pub fn reach(&self, least: Severity) -> u64 {
        let sum = |of: &BTreeMap<Severity, u64>| of.range(least..).map(|(_, count)| count).sum();
        let (all, excepted): (u64, u64) = (sum(&self.of), sum(&self.excepted));
        all - excepted
    }

    fn note(&mut self, step: &Step) {
        for news in &step.news {
            let finding = &news.finding;
            let is_excepted = finding.exception.is_some();
            if news.is_new {
                *self.of.entry(finding.severity).or_default() += 1;
                *self.excepted.entry(finding.severity).or_default() += u64::from(is_excepted);
            }
            if !is_excepted {
                self.worst = self.worst.max(Some(finding.severity));
            }
        }
    }
}

/// The engine of one judgement.
struct Side {
    engine: Engine,
    tally: Tally,
}

impl Side {
    fn new(engine: Engine) -> Self {
        Self {
            engine,
            tally: Tally::default(),
        }
    }
}

/// What is said of one line.
pub enum Said {
    /// As it was recorded: what the agent had told.
    Told(Box<Step>),
    /// Where something is asked: what differs.
    Differs(Vec<Difference>),
}

/// The judgements of a capture.
pub struct Judge {
    recorded: Side,
    asked: Option<(Asked, Side)>,
    /// Pairs of findings of which a difference was said: once is enough.
    said: HashSet<(Option<String>, Option<String>)>,
    /// Events that were heard.
    pub events: u64,
    /// Differences by kind.
    pub differences: BTreeMap<Kind, u64>,
}

impl Judge {
    /// A judge who has heard nothing yet.
    #[must_use]
    pub fn new(recorded: Settings, asked: Asked) -> Self {
        let other = asked.is_something().then(|| {
            let engine = Engine::supposing(asked.settings(&recorded));
            (asked, Side::new(engine))
        });
        Self {
            recorded: Side::new(Engine::new(recorded)),
            asked: other,
            said: HashSet::new(),
            events: 0,
            differences: BTreeMap::new(),
        }
    }

    /// Hears one line. What is said of it: where nothing is asked, what the agent had told.
    pub fn hear(&mut self, told: Told) -> Option<Said> {
        let event = match told {
            Told::Settings(settings) => {
                if let Some((asked, side)) = &mut self.asked {
                    side.engine.configure(asked.settings(&settings));
                }
                self.recorded.engine.configure(settings);
                return None;
            }
            Told::Event(event) => *event,
        };
        self.events += 1;
        let again = self.asked.is_some().then(|| event.clone());
        let was = self.recorded.engine.step(event);
        self.recorded.tally.note(&was);
        let (Some(event), Some((_, side))) = (again, &mut self.asked) else {
            return Some(Said::Told(Box::new(was)));
        };
        let is = side.engine.step(event);
        side.tally.note(&is);
        let mut differences = compare(&was, &is);
        let id = |finding: &Option<Finding>| finding.as_ref().map(|finding| finding.id.clone());
        differences.retain(|found| self.said.insert((id(&found.was), id(&found.is))));
        for found in &differences {
            *self.differences.entry(found.difference).or_default() += 1;
        }
        (!differences.is_empty()).then_some(Said::Differs(differences))
    }

    /// What was found as it was recorded.
    #[must_use]
    pub fn recorded(&self) -> &Tally {
        &self.recorded.tally
    }

    /// What was found as is asked; where nothing is, as it was recorded.
    #[must_use]
    pub fn asked(&self) -> &Tally {
        let asked = self.asked.as_ref().map(|(_, side)| &side.tally);
        asked.unwrap_or(&self.recorded.tally)
    }

    /// How many servers are known.
    #[must_use]
    pub fn servers(&self) -> usize {
        self.recorded.engine.table.servers().count()
    }
}

/// What two engines made of one event.
fn compare(was: &Step, is: &Step) -> Vec<Difference> {
    let judged = |step: &Step| -> Option<Finding> {
        let is_it = |finding: &Finding| step.judged.as_ref() == Some(&finding.fingerprint);
        let mut news = step.news.iter().map(|news| &news.finding);
        news.find(|finding| is_it(finding)).cloned()
    };
    // What came up without a call: a shutdown that hangs, a drift.
    let others = |step: &Step| -> Vec<Finding> {
        let new = step.news.iter().filter(|news| news.is_new);
        let other = new.filter(|news| step.judged.as_ref() != Some(&news.finding.fingerprint));
        other.map(|news| news.finding.clone()).collect()
    };
    let mut pairs = vec![(judged(was), judged(is), is.supposed)];
    let mut left = others(is);
    for finding in others(was) {
        let about = |finding: &Finding| {
            let evidence = &finding.evidence;
            (evidence.signal.number, evidence.worker.pid)
        };
        let same = left
            .iter()
            .position(|other| about(other) == about(&finding));
        pairs.push((Some(finding), same.map(|at| left.remove(at)), None));
    }
    pairs.extend(left.into_iter().map(|finding| (None, Some(finding), None)));
    let differences = pairs.into_iter().filter_map(|(was, is, note)| {
        let difference = kind(was.as_ref(), is.as_ref())?;
        Some(Difference {
            difference,
            was,
            is,
            note,
        })
    });
    differences.collect()
}

fn kind(was: Option<&Finding>, is: Option<&Finding>) -> Option<Kind> {
    match (was, is) {
        (None, None) => None,
        (None, Some(_)) => Some(Kind::Appears),
        (Some(_), None) => Some(Kind::Vanishes),
        (Some(was), Some(is)) => {
            let verdict = |finding: &Finding| (finding.severity, finding.exception.clone());
            let is_same = was.rule == is.rule && verdict(was) == verdict(is);
            (!is_same).then_some(Kind::Changes)
        }
    }
}
