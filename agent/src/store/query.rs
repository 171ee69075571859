//! What can be asked of the store, and how it is written in an address.

use std::fmt::{self, Write as _};

use jiff::Timestamp;

use super::Key;
use crate::policy::{Finding, Severity, State, rules::RULES};

/// Findings on a page when nobody says how many.
const LIMIT: usize = 100;

/// Most findings on a page.
const LIMIT_MAX: usize = 1000;

/// Longest cursor that is looked at; ours are much shorter.
const CURSOR_MAX: usize = 512;

/// What can stand in an address.
const PARAMETERS: [&str; 7] = [
    "since", "until", "rule", "severity", "state", "limit", "cursor",
];

/// Which findings are asked for. What is not said does not restrict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Begun then or later.
    pub since: Option<Timestamp>,
    /// Begun before.
    pub until: Option<Timestamp>,
    /// Judged by this rule.
    pub rule: Option<String>,
    /// Of this severity.
    pub severity: Option<Severity>,
    /// In this state.
    pub state: Option<State>,
    /// At most so many, 1 to 1000.
    pub limit: usize,
    /// After the page that gave this cursor.
    pub cursor: Option<Cursor>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            since: None,
            until: None,
            rule: None,
            severity: None,
            state: None,
            limit: LIMIT,
            cursor: None,
        }
    }
}

/// Why a query cannot be answered: a sentence for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueryError(String);

/// The place after a finding. It stays right while findings come and go, because it is the
/// finding's place in the order and not a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Key);

impl Cursor {
    pub(super) fn new(time: Timestamp, id: &str) -> Self {
        Self((time, id.to_owned()))
    }

    pub(super) fn key(&self) -> Key {
        self.0.clone()
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() > CURSOR_MAX || !text.is_ascii() {
            return None;
        }
        let bytes = (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
            .collect::<Option<Vec<u8>>>()?;
        let plain = String::from_utf8(bytes).ok()?;
        let (time, id) = plain.split_once(' ')?;
        let time = Timestamp::from_nanosecond(time.parse().ok()?).ok()?;
        Some(Self((time, id.to_owned())))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (time, id) = &self.0;
        for byte in format!("{} {id}", time.as_nanosecond()).bytes() {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl Query {
    /// Reads the parameters of an address, names and values decoded.
    ///
    /// # Errors
    ///
    /// The first parameter that is unknown, doubled or cannot be read.
    pub fn parse<'a, I>(parameters: I) -> Result<Self, QueryError>
    where
        I: IntoIterator<Item = (&'a str, &'a str)>,
    {
        let mut query = Self::default();
        let mut seen = Vec::new();
        for (name, value) in parameters {
            if seen.contains(&name) {
                return Err(QueryError(format!("{name} is given twice; give it once")));
            }
            // A form sends its empty fields, too.
            if !value.is_empty() {
                query.set(name, value)?;
            } else if !PARAMETERS.contains(&name) {
                return Err(unknown(name));
            }
            seen.push(name);
        }
        match (query.since, query.until) {
            (Some(since), Some(until)) if since > until => {
                Err(QueryError("since is later than until".to_owned()))
            }
            _ => Ok(query),
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), QueryError> {
        match name {
            "since" => self.since = Some(timestamp(name, value)?),
            "until" => self.until = Some(timestamp(name, value)?),
            "rule" => {
                if !RULES.iter().any(|rule| rule.id == value) {
                    let known: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
                    let instead = format!("it can be {}", known.join(", "));
                    return Err(refuse(name, value, &instead));
                }
                self.rule = Some(value.to_owned());
            }
            "severity" => {
                let found = Severity::ALL.into_iter().find(|one| one.name() == value);
                self.severity =
                    Some(found.ok_or_else(|| {
                        refuse(name, value, "it can be notice, warning or critical")
                    })?);
            }
            "state" => {
                self.state = Some(match value {
                    "open" => State::Open,
                    "resolved" => State::Resolved,
                    _ => return Err(refuse(name, value, "it can be open or resolved")),
                });
            }
            "limit" => {
                self.limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                    .ok_or_else(|| refuse(name, value, "it can be a number from 1 to 1000"))?;
            }
            "cursor" => {
                self.cursor = Some(Cursor::parse(value).ok_or_else(|| {
                    refuse(name, value, "take next_cursor of the page before as it is")
                })?);
            }
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// Whether a finding is asked for, its time aside.
    pub(super) fn matches(&self, finding: &Finding) -> bool {
        self.rule.as_ref().is_none_or(|rule| *rule == finding.rule)
            && self
                .severity
                .is_none_or(|severity| severity == finding.severity)
            && self.state.is_none_or(|state| state == finding.state)
    }
}

fn timestamp(name: &str, value: &str) -> Result<Timestamp, QueryError> {
    value.parse().map_err(|_| {
        refuse(
            name,
            value,
            "write a time like 2026-01-31T12:00:00Z, and + as %2B",
        )
    })
}

fn refuse(name: &str, value: &str, instead: &str) -> QueryError {
    let mut shown = String::new();
    // The value comes from the network: a bounded part of it, and nothing that a terminal obeys.
    let _ = write!(shown, "{:?}", value.chars().take(64).collect::<String>());
    QueryError(format!("failed to read {name}={shown}: {instead}"))
}

fn unknown(name: &str) -> QueryError {
    QueryError(format!(
        "unknown parameter {:?}; the parameters are {}",
        name.chars().take(64).collect::<String>(),
        PARAMETERS.join(", ")
    ))
}
