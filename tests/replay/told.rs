//! What an agent tells of the events that it hears.

use std::collections::BTreeMap;

use serde::Serialize;
use sigblame::{
    engine::Engine,
    event::Event,
    policy::{Finding, Settings},
};

/// What an agent would have told.
#[derive(Default, Serialize)]
pub(crate) struct Told {
    /// Each line that it prints, in order: what opens, and what ends.
    pub(crate) lines: Vec<String>,
    /// Each finding as it stands at the end, in the order in which they opened.
    pub(crate) findings: Vec<Finding>,
}

impl Told {
    fn line(&mut self, word: &str, when: &str, finding: &Finding) {
        let (id, rule, signal) = (&finding.id, &finding.rule, &finding.evidence.signal.name);
        let worker = &finding.evidence.worker;
        let (role, pid) = (&worker.role, worker.pid);
        self.lines.push(format!(
            "{when} {word} {id} {rule} {signal} in {role} {pid}"
        ));
    }

    fn keep(&mut self, finding: Finding) {
        let known = self
            .findings
            .iter_mut()
            .find(|known| known.id == finding.id);
        match known {
            Some(known) => *known = finding,
            None => self.findings.push(finding),
        }
    }

    pub(crate) fn by_rule(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for finding in &self.findings {
            *counts.entry(finding.rule.as_str()).or_default() += 1;
        }
        counts
    }
}

/// Tells an engine everything, in order.
pub(crate) fn replay(
    settings: Settings,
    events: impl IntoIterator<Item = Event>,
) -> (Engine, Told) {
    let mut engine = Engine::new(settings.clone());
    let mut told = Told::default();
    for event in events {
        let when = event.when;
        let step = engine.step(event);
        for news in step.news {
            let finding = news.finding;
            if news.is_told {
                let (word, when) = match &finding.resolved_at {
                    Some(when) => ("ends", when.clone()),
                    None if news.is_new => ("opens", finding.time.clone()),
                    None => ("stands", settings.clock.rfc3339(when)),
                };
                told.line(word, &when, &finding);
            }
            told.keep(finding);
        }
    }
    (engine, told)
}
