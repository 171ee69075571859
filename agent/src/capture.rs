//! A capture: everything that the engine was told, so that it can be told again. Pure.
//!
//! JSON lines. The first one is the [`Header`] with the format's number; each other one an
//! [`Input`]: a record of the ring, byte for byte, or what a look at `/proc` or the inventory
//! brought. Replaying them gives the findings again, without root and on any machine.
//!
//! Every line is ended by a newline. A last one without is what a crash left of it: the capture
//! is read up to there, and says so. Anything else that is no line of a capture refuses it.

mod logged;
mod reader;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::{
    logged::Logged,
    reader::{Capture, CaptureError, Reader, Told, read},
};
use crate::{
    config::Exception,
    event::{Disposition, Event, Instant, NativeStack, Resumed, Source, What, decode},
    httpd::{Configuration, Notice},
    policy::{GRACE, Settings, finding::WallClock, rules::Restriction},
    process::{Found, Modules, ProcessKey},
};

/// The format that this version writes.
///
/// 2: a registration's native stack is kept as it was unwound, and no copy of the stack with it.
/// 3: attempts and configurations are kept, too.
/// 4: what the server sends to its workers, and the moments for which the engine waited.
pub const FORMAT: u32 = 4;
/// The oldest format that this version reads: what a later one has more is more kinds of lines.
const OLDEST: u32 = 2;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub sigblame_capture: u32,
    /// The clock that turns the records' moments into times of day.
    pub clock: WallClock,
    /// The restriction that was judged by, whatever the servers' own configurations said; null
    /// where they counted.
    pub restrict_signal: Option<Restriction>,
    /// How many seconds a worker might take to go; null where that is the usual time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown_grace_seconds: Option<u64>,
    /// The exceptions that were in the configuration; a later reading of it is an [`Input`].
    #[serde(default, skip_serializing_if = "is_none")]
    pub exceptions: Arc<[Exception]>,
}

fn is_none(exceptions: &Arc<[Exception]>) -> bool {
    exceptions.is_empty()
}

/// Any other line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// A record of the ring, in hexadecimal digits.
    Record(String),
    /// The record of a registration without its copy of the stack, which may hold secrets, and
    /// what that was unwound to.
    Registration(String, NativeStack),
    /// The same of an attempt, see [`What::Attempted`].
    Attempt(String, NativeStack),
    /// What the configuration says that a server began to read for the time of this number.
    Configured(Instant, ProcessKey, u32, Arc<Configuration>),
    /// What a look at a process brought.
    Found(Instant, ProcessKey, Box<Found>),
    /// What is mapped in a process.
    Mapped(Instant, ProcessKey, Modules),
    /// What stands on a process's signals.
    Inventory(Instant, ProcessKey, Vec<Disposition>),
    /// What a process ignores and handles, see [`What::Masks`].
    Masks(Instant, ProcessKey, u64, u64),
    /// Functions at handlers' addresses.
    Named(Instant, ProcessKey, Vec<(u64, Arc<str>)>),
    /// So many records were lost.
    Lost(Instant, u64),
    /// A look at `/proc` no longer found the process.
    Gone(Instant, ProcessKey),
    /// What a server's error log says of a child by its id in the server's namespace, see
    /// [`What::Reclaimed`].
    Reclaimed(Instant, ProcessKey, u32, Notice),
    /// A moment for which the engine waited, see [`What::Overdue`].
    Overdue(Instant),
    /// What an agent before had left open.
    Resumed(Instant, Resumed),
    /// An attempt that the error log told, and its thread.
    Logged(Instant, ProcessKey, u32, Logged),
    /// From here on it was judged by other settings: the agent's configuration was read again.
    Settings(Instant, Judged),
}

/// What of the agent's own configuration is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// See [`Header::clock`]: it is measured again.
    pub clock: WallClock,
    /// See [`Header::restrict_signal`].
    pub restrict_signal: Option<Restriction>,
    /// See [`Header::exceptions`].
    #[serde(default, skip_serializing_if = "is_none")]
    pub exceptions: Arc<[Exception]>,
    /// See [`Header::shutdown_grace_seconds`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown_grace_seconds: Option<u64>,
}

impl From<&Settings> for Judged {
    fn from(settings: &Settings) -> Self {
        Self {
            clock: settings.clock,
            restrict_signal: settings.restriction,
            exceptions: Arc::clone(&settings.exceptions),
            shutdown_grace_seconds: Some(settings.shutdown_grace_seconds),
        }
    }
}

impl Header {
    /// The first line of a new capture.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            sigblame_capture: FORMAT,
            clock: settings.clock,
            restrict_signal: settings.restriction,
            shutdown_grace_seconds: Some(settings.shutdown_grace_seconds),
            exceptions: Arc::clone(&settings.exceptions),
        }
    }

    /// The settings under which it was recorded.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            restriction: self.restrict_signal,
            clock: self.clock,
            exceptions: Arc::clone(&self.exceptions),
            shutdown_grace_seconds: self.shutdown_grace_seconds.unwrap_or(GRACE),
        }
    }
}

impl Input {
    /// The line for an event that the engine is about to be told; `None` for events of the
    /// ring, whose record is kept instead.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        let (when, key) = (event.when, event.process);
        match &event.what {
            What::Found(found) => Some(Self::Found(when, key, found.clone())),
            What::Mapped(modules) => Some(Self::Mapped(when, key, modules.clone())),
            What::Inventory(all) => Some(Self::Inventory(when, key, all.to_vec())),
            What::Masks { ignored, caught } => Some(Self::Masks(when, key, *ignored, *caught)),
            What::Named(names) => Some(Self::Named(when, key, names.clone())),
            What::Lost(records) => Some(Self::Lost(when, *records)),
            What::Exited { .. } => Some(Self::Gone(when, key)),
            What::Overdue => Some(Self::Overdue(when)),
            What::Resumed(resumed) => Some(Self::Resumed(when, *resumed.clone())),
            What::Reclaimed { ns_pid, notice } => {
                Some(Self::Reclaimed(when, key, *ns_pid, *notice))
            }
            What::Attempted(attempt) if attempt.source == Source::ErrorLog => Some(Self::Logged(
                when,
                key,
                event.tid,
                Logged::from(attempt.as_ref()),
            )),
            What::Configured {
                generation,
                configuration,
            } => Some(Self::Configured(
                when,
                key,
                *generation,
                Arc::clone(configuration),
            )),
            _ => None,
        }
    }

    /// The line for a record of the ring, and the event that was made of it.
    #[must_use]
    pub fn of_record(bytes: &[u8], event: &Event) -> Option<Self> {
        let without = || Some(digits_of(&decode::without_stack(bytes)?));
        match &event.what {
            What::Registration(registration) => {
                Some(Self::Registration(without()?, registration.native.clone()))
            }
            What::Attempted(attempt) => Some(Self::Attempt(without()?, attempt.native.clone())),
            _ => Some(Self::Record(digits_of(bytes))),
        }
    }

    fn told(self) -> Result<Told, String> {
        let event = |when, process: ProcessKey, what| Event {
            when,
            process,
            tid: process.pid,
            what,
        };
        let record = |digits: &str| {
            let bytes = bytes_of(digits).ok_or("its digits are not hexadecimal")?;
            let decoded = decode::decode(&bytes).map_err(|error| error.to_string())?;
            Ok::<_, String>(decoded.1)
        };
        let event = match self {
            Self::Settings(_, judged) => {
                return Ok(Told::Settings(Settings {
                    clock: judged.clock,
                    restriction: judged.restrict_signal,
                    exceptions: judged.exceptions,
                    shutdown_grace_seconds: judged.shutdown_grace_seconds.unwrap_or(GRACE),
                }));
            }
            Self::Logged(when, key, tid, logged) => Event {
                tid,
                ..event(when, key, What::Attempted(Box::new(logged.into())))
            },
            Self::Record(digits) => record(&digits)?,
            Self::Registration(digits, native) => {
                let mut event = record(&digits)?;
                let What::Registration(registration) = &mut event.what else {
                    return Err("it is no registration".to_owned());
                };
                registration.native = native;
                event
            }
            Self::Attempt(digits, native) => {
                let mut event = record(&digits)?;
                let What::Attempted(attempt) = &mut event.what else {
                    return Err("it is no attempt".to_owned());
                };
                attempt.native = native;
                event
            }
            Self::Configured(when, key, generation, configuration) => {
                let what = What::Configured {
                    generation,
                    configuration,
                };
                event(when, key, what)
            }
            Self::Found(when, key, found) => event(when, key, What::Found(found)),
            Self::Mapped(when, key, modules) => event(when, key, What::Mapped(modules)),
            Self::Inventory(when, key, all) => {
                let all = all
                    .try_into()
                    .map_err(|_| "an inventory has 64 dispositions")?;
                event(when, key, What::Inventory(Box::new(all)))
            }
            Self::Masks(when, key, ignored, caught) => {
                event(when, key, What::Masks { ignored, caught })
            }
            Self::Named(when, key, names) => event(when, key, What::Named(names)),
            Self::Lost(when, records) => event(when, ProcessKey::NONE, What::Lost(records)),
            Self::Gone(when, key) => event(when, key, What::Exited { code: 0 }),
            Self::Reclaimed(when, key, ns_pid, notice) => {
                event(when, key, What::Reclaimed { ns_pid, notice })
            }
            Self::Overdue(when) => event(when, ProcessKey::NONE, What::Overdue),
            Self::Resumed(when, resumed) => {
                event(when, ProcessKey::NONE, What::Resumed(Box::new(resumed)))
            }
        };
        Ok(Told::Event(Box::new(event)))
    }
}

fn digits_of(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_bytes().as_chunks() else {
        return None;
    };
    let digit = |letter: u8| char::from(letter).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok())
        .collect()
}

#[cfg(test)]
mod tests;
