//! Section `exceptions`: findings that somebody has looked at and lives with, why, and until when.
//!
//! An exception names what it covers by any of its keys; all that are given must fit. A `*` in a
//! pattern stands for anything, a `?` for any one character, as in a shell, but for `/`, which is
//! no border here. `until` is the last day on which it holds, in UTC.

use std::fmt;

use jiff::civil::Date;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, Visitor},
};
use wildmatch::WildMatch;

use super::{quoted, read};
use crate::{escape, event::Signal};

/// What an exception may name as its rule: the ids of [`crate::policy`], which a test compares.
pub const RULES: &[&str] = &[
    "sigpipe-not-ignored",
    "reserved-signal",
    "restricted-registration",
    "sigalrm",
    "secondary-thread",
    "outside-import-script",
    "never-dispatched",
    "blocked-attempt",
    "disposition-drift",
    "shutdown-blocked",
];

/// Findings that are known and accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Exception {
    /// The finding's rule, see [`RULES`].
    pub rule: Option<String>,
    /// Its signal.
    #[serde(serialize_with = "shown")]
    pub signal: Option<Signal>,
    /// Its application group or WSGI script.
    pub application: Option<Pattern>,
    /// Who did it: path or file name of the native module or of the Python file, or the package's
    /// name.
    pub module: Option<Pattern>,
    /// The server's name.
    pub server: Option<Pattern>,
    /// The process group; empty for embedded workers.
    pub process_group: Option<Pattern>,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is, in UTC; `None`: for ever.
    #[serde(serialize_with = "shown")]
    pub until: Option<Date>,
}

/// A text in which `*` and `?` stand for others.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(WildMatch);

// The crate derives the partial one only, over characters.
impl Eq for Pattern {}

impl Pattern {
    /// Reads it; every text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(WildMatch::new(text))
    }

    /// Whether it stands for this text.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        self.0.matches(text)
    }

    /// Whether it stands for a path, or for the file name in it.
    #[must_use]
    pub fn fits_path(&self, path: &str) -> bool {
        self.fits(path) || path.rsplit('/').next().is_some_and(|name| self.fits(name))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(deserializer)?))
    }
}

fn shown<T: fmt::Display, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

/// An exception as it is written, each key for itself.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    rule: Option<Word<Rule>>,
    signal: Option<Word<Signal>>,
    application: Option<Pattern>,
    module: Option<Pattern>,
    server: Option<Pattern>,
    process_group: Option<Pattern>,
    reason: Option<String>,
    until: Option<Word<Date>>,
}

impl TryFrom<Written> for Exception {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let named = [
            written.rule.is_some(),
            written.signal.is_some(),
            written.application.is_some(),
            written.module.is_some(),
        ];
        if !named.contains(&true) {
            return Err(
                "this exception would cover every finding; name a rule, a signal, an application or \
                 a module",
            );
        }
        let reason = written.reason.unwrap_or_default();
        if reason.trim().is_empty() {
            return Err("this exception has no reason; say why the finding is accepted");
        }
        Ok(Self {
            rule: written.rule.map(|Word(Rule(rule))| rule),
            signal: written.signal.map(|Word(signal)| signal),
            application: written.application,
            module: written.module,
            server: written.server,
            process_group: written.process_group,
            reason,
            until: written.until.map(|Word(day)| day),
        })
    }
}

impl Exception {
    /// Whether it no longer holds on this day.
    #[must_use]
    pub fn has_ended(&self, today: Date) -> bool {
        self.until.is_some_and(|until| until < today)
    }

    /// Its keys but reason and end, as `key value`, for those who read about it.
    #[must_use]
    pub fn covers(&self) -> String {
        let named = [
            self.rule.as_ref().map(|value| format!("rule {value}")),
            self.signal.map(|value| format!("signal {value}")),
            self.application
                .as_ref()
                .map(|value| format!("application {value}")),
            self.module.as_ref().map(|value| format!("module {value}")),
            self.server.as_ref().map(|value| format!("server {value}")),
            self.process_group
                .as_ref()
                .map(|value| format!("process group {value}")),
        ];
        named.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// The same as YAML, an item of the list.
    pub(super) fn effective(&self) -> String {
        let keys = [
            ("rule", self.rule.clone()),
            ("signal", self.signal.map(|signal| signal.to_string())),
            (
                "application",
                self.application.as_ref().map(ToString::to_string),
            ),
            ("module", self.module.as_ref().map(ToString::to_string)),
            ("server", self.server.as_ref().map(ToString::to_string)),
            (
                "process_group",
                self.process_group.as_ref().map(ToString::to_string),
            ),
            ("reason", Some(self.reason.clone())),
            ("until", self.until.map(|day| day.to_string())),
        ];
        let given = keys
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        let lines = given.map(|(key, value)| format!("{key}: {}", quoted(&value)));
        format!("  - {}", lines.collect::<Vec<_>>().join("\n    "))
    }
}

/// Which exceptions hold on a day, and which have ended, as comments of YAML.
#[must_use]
pub fn comments(exceptions: &[Exception], today: Date) -> String {
    let ended = exceptions.iter().filter(|e| e.has_ended(today)).count();
    if exceptions.is_empty() {
        return "# no exceptions\n".to_owned();
    }
    let mut text = format!(
        "# exceptions on {today}: {} in force, {ended} expired\n",
        exceptions.len() - ended
    );
    for exception in exceptions {
        let state = match exception.until {
            Some(day) if exception.has_ended(today) => format!("expired   on {day}"),
            Some(day) => format!("in force  until {day}"),
            None => "in force  for ever".to_owned(),
        };
        let (covers, reason) = (exception.covers(), &exception.reason);
        let line = format!("{state}: {covers} ({reason})");
        text.push_str(&format!("#   {}\n", escape::text(&line)));
    }
    text
}

/// The id of a rule.
struct Rule(String);

/// A scalar of a kind that can be misspelt.
struct Word<T>(T);

impl<'de, T: Spelt> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(std::marker::PhantomData<T>);
        impl<T: Spelt> Visitor<'_> for Reader<T> {
            type Value = Word<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Word<T>, E> {
                T::read(word).map(Word).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Word<T>, E> {
                self.visit_str(&value.to_string())
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Word<T>, E> {
                self.visit_str(&value.to_string())
            }
        }
        // Whatever YAML takes it for: a signal's number is an error that should show it.
        deserializer.deserialize_any(Reader(std::marker::PhantomData))
    }
}

/// What can be misspelt.
trait Spelt: Sized {
    const EXPECTED: &'static str;
    fn read(word: &str) -> Result<Self, String>;
}

impl Spelt for Rule {
    const EXPECTED: &'static str = "the id of a rule";

    fn read(word: &str) -> Result<Self, String> {
        if RULES.contains(&word) {
            return Ok(Self(word.to_owned()));
        }
        Err(match read::nearest(word, RULES) {
            Some(name) => format!("unknown rule {word:?}, did you mean {name:?}?"),
            None => format!("unknown rule {word:?}; there are {}", read::list(RULES)),
        })
    }
}

impl Spelt for Signal {
    const EXPECTED: &'static str = "a signal by its name, like SIGUSR2";

    fn read(word: &str) -> Result<Self, String> {
        if let Some(signal) = Self::all().find(|signal| signal.to_string() == word) {
            return Ok(signal);
        }
        // 12 and usr2 are meant well; the file says it in one way only.
        let number: Option<Self> = word.parse().ok().and_then(Self::new);
        let likely = match number {
            Some(signal) => signal.to_string(),
            None => format!("SIG{}", word.to_ascii_uppercase().trim_start_matches("SIG")),
        };
        let names: Vec<String> = Self::all().map(|signal| signal.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let near = read::nearest(&likely, &names).filter(|_| !is_number || number.is_some());
        match near {
            Some(name) => Err(format!("unknown signal {word:?}, did you mean {name:?}?")),
            None => Err(format!(
                "unknown signal {word:?}; write its name, like \"SIGUSR2\""
            )),
        }
    }
}

impl Spelt for Date {
    const EXPECTED: &'static str = "a day, like 2027-01-31";

    fn read(word: &str) -> Result<Self, String> {
        // jiff takes more than days; whoever writes an hour believes that it counts.
        let day = (word.len() == 10).then(|| word.parse().ok()).flatten();
        day.ok_or_else(|| format!("until is {word:?}, not a day like \"2027-01-31\""))
    }
}

#[cfg(test)]
mod tests;
