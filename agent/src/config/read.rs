//! How single values are read, and what is said when one cannot be.

use std::{fmt, net::SocketAddr};

use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};
use serde_saphyr::{Error, MessageFormatter as _, UserMessageFormatter};

use super::{KEEP_LIMIT, RestrictSignal};

/// The sections and their keys, for a key that stands outside its section.
const SECTIONS: [(&str, &[&str]); 4] = [
    ("web", &["listen_address"]),
    ("log", &["level", "format"]),
    ("policy", &["restrict_signal", "shutdown_grace_seconds"]),
    ("findings", &["keep"]),
];

/// Below this a likeness is chance: `cat` is no `log`.
const ALIKE: f64 = 0.5;

/// A section with nothing under it, because all its keys are commented out, is an unset section.
pub(super) fn section<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// `web.listen_address`.
pub(super) fn listen_address<'de, D>(deserializer: D) -> Result<SocketAddr, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(Scalar {
        key: "listen_address",
        expected: "an address with a port like \"127.0.0.1:9749\" or \"[::1]:9749\"",
        read: |word| word.parse().ok(),
    })
}

/// `findings.keep`.
pub(super) fn keep<'de, D>(deserializer: D) -> Result<usize, D::Error>
where
    D: Deserializer<'de>,
{
    const { assert!(KEEP_LIMIT == 1_000_000, "the sentence below says so") };
    deserializer.deserialize_any(Scalar {
        key: "keep",
        expected: "a number from 1 to 1000000",
        read: |word| word.parse().ok().filter(|n| (1..=KEEP_LIMIT).contains(n)),
    })
}

/// `policy.restrict_signal`. YAML 1.1 reads `on` as true, YAML 1.2 as a word; both are meant.
pub(super) fn restrict_signal<'de, D>(deserializer: D) -> Result<RestrictSignal, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(Scalar {
        key: "restrict_signal",
        expected: "auto, on or off",
        read: |word| match word.to_ascii_lowercase().as_str() {
            "auto" => Some(RestrictSignal::Auto),
            "on" | "true" => Some(RestrictSignal::On),
            "off" | "false" => Some(RestrictSignal::Off),
            _ => None,
        },
    })
}

/// `policy.shutdown_grace_seconds`.
pub(super) fn grace<'de, D>(deserializer: D) -> Result<u64, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(Scalar {
        key: "shutdown_grace_seconds",
        expected: "a number from 1 to 3600",
        read: |word| word.parse().ok().filter(|n| (1..=3600).contains(n)),
    })
}

/// Reads a scalar whatever YAML takes it for, so that the error can show what stands there.
struct Scalar<T> {
    key: &'static str,
    expected: &'static str,
    read: fn(&str) -> Option<T>,
}

impl<T> Scalar<T> {
    fn value<E: de::Error>(&self, word: &str, shown: &str) -> Result<T, E> {
        (self.read)(word)
            .ok_or_else(|| E::custom(format!("{} is {shown}, not {}", self.key, self.expected)))
    }
}

impl<T> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
        self.value(value, &format!("{value:?}"))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<T, E> {
        self.value(&value.to_string(), &value.to_string())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        self.value(&value.to_string(), &value.to_string())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        self.value(&value.to_string(), &value.to_string())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        self.value(&value.to_string(), &value.to_string())
    }

    fn visit_unit<E: de::Error>(self) -> Result<T, E> {
        self.value("", "empty")
    }
}

/// One sentence about a text that is no configuration, without the line.
pub(super) fn explain(error: &Error) -> String {
    match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => unknown_key(field, expected),
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => {
            let hint = nearest(variant, expected)
                .map(|word| format!("; did you mean {word:?}?"))
                .unwrap_or_default();
            format!("{variant:?} is none of {}{hint}", list(expected))
        }
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("the key {key:?} stands here a second time")
        }
        Error::MultipleDocuments { .. } => {
            "a second YAML document begins here; one is allowed".to_owned()
        }
        Error::Unexpected {
            expected: "mapping start",
            ..
        } => "keys with values are expected here, like \"key: value\"".to_owned(),
        // Our own sentences come this way, too.
        other => UserMessageFormatter.format_message(other).into_owned(),
    }
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    let at_home = SECTIONS.iter().find(|(_, keys)| keys.contains(&key));
    if let Some((section, _)) = at_home {
        return format!("unknown key {key:?}, it belongs under {section:?}");
    }
    match nearest(key, known) {
        Some(word) => format!("unknown key {key:?}, did you mean {word:?}?"),
        None => format!("unknown key {key:?}; the keys here are {}", list(known)),
    }
}

pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|&candidate| {
            (
                strsim::normalized_damerau_levenshtein(word, candidate),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

pub(super) fn list(words: &[&str]) -> String {
    match words {
        [] => "none".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
