//! What to do about a finding, in one sentence: the rule's advice or the library's own way to leave
//! signals alone, and what this server's mod_wsgi supports instead. Pure.
//!
//! What is known of libraries and of mod_wsgi is data, `knowledge.yaml`.

mod files;

use std::sync::LazyLock;

use serde::{Deserialize, Deserializer};

pub use self::files::{Code, of_code};
use super::finding::Evidence;
use crate::config::Pattern;

/// Where a rule's advice has the way that this mod_wsgi supports.
const WAY: &str = "{way}";

static KNOWLEDGE: LazyLock<Knowledge> = LazyLock::new(|| {
    // A test reads it; a table that could not be read would be an empty one.
    serde_saphyr::from_str(include_str!("knowledge.yaml")).unwrap_or_default()
});

/// The tables.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Knowledge {
    ways: Vec<Way>,
    libraries: Vec<Library>,
}

/// What mod_wsgi supports instead of a handler.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Way {
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    signals: Vec<String>,
    since: Option<Version>,
    before: Option<Version>,
    #[serde(rename = "do")]
    clause: String,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for readers, and held by a test")
    )]
    source: String,
}

/// A library that takes signals, and how to keep it from that.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "what a remedy rests on is for readers, and held by a test"
    )
)]
pub struct Library {
    /// Its name, and a word on the signals where it has several rows.
    pub name: String,
    #[serde(default)]
    signals: Vec<String>,
    #[serde(default)]
    modules: Vec<Pattern>,
    #[serde(default)]
    symbols: Vec<Pattern>,
    #[serde(default)]
    files: Vec<Pattern>,
    #[serde(rename = "do")]
    clause: String,
    since: Option<String>,
    source: String,
    version: String,
    verified: Verified,
    example: String,
}

/// How it is known that a library's way works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Verified {
    /// Seen at work.
    Run,
    /// Read in its documentation or code.
    Read,
}

/// A version, by its numbers.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version(Vec<u32>);

impl Version {
    /// The numbers that a text begins with; `None` where it begins with none.
    fn parse(text: &str) -> Option<Self> {
        let numbers = text.split('.').map_while(|part| part.parse().ok());
        let numbers: Vec<u32> = numbers.collect();
        (!numbers.is_empty()).then_some(Self(numbers))
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no version"))
    }
}

/// The sentence for a finding: `advice` is its rule's.
#[must_use]
pub fn sentence(advice: &str, evidence: &Evidence) -> String {
    let way = way(evidence);
    let Some(library) = library(evidence) else {
        return advice.replace(WAY, way);
    };
    let clause = capitalised(&library.clause);
    if advice.contains(WAY) {
        format!("{clause}; {way}.")
    } else {
        format!("{clause}.")
    }
}

/// The way that the server's mod_wsgi supports.
fn way(evidence: &Evidence) -> &'static str {
    let version = evidence.server.mod_wsgi.as_deref().and_then(Version::parse);
    let is_at_least = |wanted: &Version| version.as_ref().is_some_and(|has| has >= wanted);
    let is_before = |wanted: &Version| version.as_ref().is_some_and(|has| has < wanted);
    let fits = |way: &&Way| {
        has(&way.roles, &evidence.worker.role)
            && has(&way.signals, &evidence.signal.name)
            && way.since.as_ref().is_none_or(is_at_least)
            && way.before.as_ref().is_none_or(is_before)
    };
    let way = KNOWLEDGE.ways.iter().find(fits);
    way.map_or("leave signals to the server", |way| &way.clause)
}

/// The well-known library that did it, if one did.
#[must_use]
pub fn library(evidence: &Evidence) -> Option<&'static Library> {
    let blame = &evidence.blame;
    let modules = blame.module.iter().chain(&evidence.change.new.owner);
    // What lies further outside than Python code called that, and may be any library.
    let native = evidence.native.frames.iter();
    let symbols = native
        .take_while(|frame| frame.python_inside == 0)
        .filter_map(|frame| frame.symbol.as_deref());
    // What lies inside of the blamed frame is the standard library.
    let inside = evidence.python.frames.iter().take_while(|frame| {
        Some(&frame.file) != blame.file.as_ref() || Some(&frame.function) != blame.function.as_ref()
    });
    let files = blame.file.iter().chain(inside.map(|frame| &frame.file));
    let known = |fits: &dyn Fn(&Library) -> bool| {
        let mut rows = KNOWLEDGE.libraries.iter();
        rows.find(|row| has(&row.signals, &evidence.signal.name) && fits(row))
    };
    let by_path = |patterns: &[Pattern], path: &str| patterns.iter().any(|p| p.fits_path(path));
    None.or_else(|| {
        modules
            .into_iter()
            .find_map(|path| known(&|row| by_path(&row.modules, path)))
    })
    .or_else(|| {
        symbols
            .into_iter()
            .find_map(|symbol| known(&|row| row.symbols.iter().any(|pattern| pattern.fits(symbol))))
    })
    .or_else(|| {
        files
            .into_iter()
            .find_map(|path| known(&|row| by_path(&row.files, path)))
    })
}

/// Whether a list is empty or has this word.
fn has(list: &[String], word: &str) -> bool {
    list.is_empty() || list.iter().any(|listed| listed == word)
}

fn capitalised(clause: &str) -> String {
    let mut letters = clause.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
