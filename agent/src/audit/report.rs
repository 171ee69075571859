//! What the audit tells, in the shape that users see. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    audit::{
        owner::Distribution,
        uses::{Use, When},
        verdict::{Verdict, remedy, verdict},
    },
    policy::{Severity, finding::SignalRef, rules::Restriction},
};

/// What was looked at: the JSON object.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of this shape.
    pub schema: u32,
    /// What the paths were.
    pub paths: Vec<String>,
    /// How much was read.
    pub read: Read,
    /// The uses by distribution, in the order of the names; those of none come last.
    pub distributions: Vec<Group>,
    /// What could not be read, or only in part.
    pub problems: Vec<Problem>,
    /// The worst severity of the uses that count: not those in tests, nor in programs.
    pub worst: Worst,
}

/// How much was read.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Read {
    /// Python files.
    pub python: usize,
    /// Those that speak of signals, whose syntax was read.
    pub parsed: usize,
    /// Extension modules and libraries.
    pub native: usize,
    /// Bytes of Python.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// The worst that counts.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Worst {
    /// With the restriction.
    pub on: Option<Severity>,
    /// Without.
    pub off: Option<Severity>,
}

impl Worst {
    /// Under this restriction.
    #[must_use]
    pub fn under(self, restriction: Restriction) -> Option<Severity> {
        match restriction {
            Restriction::On => self.on,
            Restriction::Off => self.off,
        }
    }
}

/// The uses of one distribution.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Its name; null for files that no installer has written down.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// By file and line.
    pub uses: Vec<UseRef>,
}

/// A use.
#[derive(Clone, Debug, Serialize)]
pub struct UseRef {
    /// Where.
    pub file: String,
    /// Null in a binary.
    pub line: Option<u32>,
    /// The function, or the imported symbols.
    pub what: String,
    /// `attempt`, `registration`, `flags`, `wakeup-fd`, `timer`, `mask`.
    pub effect: &'static str,
    /// Those that are known.
    pub signals: Vec<SignalRef>,
    /// Others are possible.
    pub other_signals: bool,
    /// `default`, `ignore`, `handler`, `unknown`.
    pub handler: &'static str,
    /// `import`, `call`, `library`, `program`.
    pub when: &'static str,
    /// The function in which it is called.
    pub function: Option<String>,
    /// Only the name of a method told, or the file is not quite Python.
    pub likely: bool,
    /// It is in a package's tests.
    pub in_tests: bool,
    /// With the restriction.
    pub on: VerdictRef,
    /// Without.
    pub off: VerdictRef,
}

/// What the policy would say.
#[derive(Clone, Debug, Serialize)]
pub struct VerdictRef {
    /// The rule; null where none is broken.
    pub rule: Option<&'static str>,
    /// How bad that is.
    pub severity: Option<Severity>,
    /// What to do.
    pub remedy: Option<String>,
}

impl From<Verdict> for VerdictRef {
    fn from(verdict: Verdict) -> Self {
        Self {
            rule: verdict.rule.map(|rule| rule.id),
            severity: verdict.severity,
            remedy: remedy(&verdict).map(str::to_owned),
        }
    }
}

/// A file that was not read, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Which.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// A use with where it is.
#[derive(Clone, Debug)]
pub struct Located {
    /// The file.
    pub file: String,
    /// It is in a package's tests.
    pub in_tests: bool,
    /// Whose file it is.
    pub owner: Option<Distribution>,
    /// What was found there.
    pub found: Use,
}

impl Located {
    /// Whether it can happen in a worker: tests are not imported there, and no file is the program.
    fn counts(&self) -> bool {
        !self.in_tests && self.found.when != When::Program
    }

    fn shown(self) -> UseRef {
        let [on, off] =
            [Restriction::On, Restriction::Off].map(|under| verdict(&self.found, under));
        let Use {
            line,
            what,
            effect,
            signals,
            handler,
            when,
            likely,
        } = self.found;
        UseRef {
            file: self.file,
            line,
            what,
            effect: effect.name(),
            signals: signals.known.into_iter().map(SignalRef::from).collect(),
            other_signals: signals.others,
            handler: handler.name(),
            when: when.name(),
            function: match when {
                When::Call(name) => Some(name),
                _ => None,
            },
            likely,
            in_tests: self.in_tests,
            on: on.into(),
            off: off.into(),
        }
    }
}

/// The worst of the uses that count.
#[must_use]
pub fn worst(uses: &[Located]) -> Worst {
    let under = |restriction| {
        let counting = uses.iter().filter(|it| it.counts());
        counting
            .filter_map(|it| verdict(&it.found, restriction).severity)
            .max()
    };
    Worst {
        on: under(Restriction::On),
        off: under(Restriction::Off),
    }
}

/// The uses by distribution, each in order.
#[must_use]
pub fn groups(uses: Vec<Located>) -> Vec<Group> {
    let mut groups = BTreeMap::<_, Vec<Located>>::new();
    for located in uses {
        let owner = located.owner.clone();
        // Those without come last.
        groups
            .entry((owner.is_none(), owner))
            .or_default()
            .push(located);
    }
    let mut all = Vec::new();
    for ((_, owner), mut uses) in groups {
        uses.sort_by(|a, b| (&a.file, &a.found).cmp(&(&b.file, &b.found)));
        let (name, version) = owner.map(|it| (it.name, it.version)).unzip();
        all.push(Group {
            name,
            version,
            uses: uses.into_iter().map(Located::shown).collect(),
        });
    }
    all
}
