//! A capture: everything that the engine was told, so that it can be told again. Pure.
//!
//! JSON lines. The first one is the [`Header`] with the format's number; each other one an
//! [`Input`]: a record of the ring, byte for byte, or what a look at `/proc` or the inventory
//! brought. Replaying them gives the findings again, without root and on any machine.

use serde::{Deserialize, Serialize};

use crate::{
    event::{Disposition, Event, Instant, What, decode},
    policy::{Settings, finding::WallClock, rules::Restriction},
    process::{Found, Modules, ProcessKey},
};

/// The format that this version writes and reads.
pub const FORMAT: u32 = 1;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub sigblame_capture: u32,
    /// The clock that turns the records' moments into times of day.
    pub clock: WallClock,
    /// `on` or `off`.
    pub restrict_signal: String,
}

/// Any other line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// A record of the ring, in hexadecimal digits.
    Record(String),
    /// What a look at a process brought.
    Found(Instant, ProcessKey, Box<Found>),
    /// What is mapped in a process.
    Mapped(Instant, ProcessKey, Modules),
    /// What stands on a process's signals.
    Inventory(Instant, ProcessKey, Vec<Disposition>),
    /// A look at `/proc` no longer found the process.
    Gone(Instant, ProcessKey),
}

/// Why a line cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It is no JSON, or not of this format.
    #[error("line {line} is not a line of a sigblame capture: {source}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error(
        "the capture has format {found}, this sigblame reads {FORMAT}: replay it with the \
         version that recorded it"
    )]
    Format {
        /// The number in the file.
        found: u32,
    },
    /// It holds nothing.
    #[error("the capture is empty")]
    Empty,
    /// A record is garbled.
    #[error("line {line} holds no record: {reason}")]
    Record {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl Header {
    /// The first line of a new capture.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            sigblame_capture: FORMAT,
            clock: settings.clock,
            restrict_signal: settings.restriction.name().to_owned(),
        }
    }

    /// The settings under which it was recorded.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let restriction = match self.restrict_signal.as_str() {
            "off" => Restriction::Off,
            _ => Restriction::On,
        };
        Settings {
            restriction,
            clock: self.clock,
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
            What::Exited { .. } => Some(Self::Gone(when, key)),
            _ => None,
        }
    }

    /// The line for a record of the ring.
    #[must_use]
    pub fn of_record(bytes: &[u8]) -> Self {
        use std::fmt::Write as _;
        let mut digits = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            // Writing into a string cannot fail.
            let _ = write!(digits, "{byte:02x}");
        }
        Self::Record(digits)
    }

    fn event(self) -> Result<Event, String> {
        let event = |when, process: ProcessKey, what| Event {
            when,
            process,
            tid: process.pid,
            what,
        };
        Ok(match self {
            Self::Record(digits) => {
                let bytes = bytes_of(&digits).ok_or("its digits are not hexadecimal")?;
                decode::decode(&bytes).map_err(|error| error.to_string())?.1
            }
            Self::Found(when, key, found) => event(when, key, What::Found(found)),
            Self::Mapped(when, key, modules) => event(when, key, What::Mapped(modules)),
            Self::Inventory(when, key, all) => {
                let all = all
                    .try_into()
                    .map_err(|_| "an inventory has 64 dispositions")?;
                event(when, key, What::Inventory(Box::new(all)))
            }
            Self::Gone(when, key) => event(when, key, What::Exited { code: 0 }),
        })
    }
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// Reads a whole capture.
///
/// # Errors
///
/// The first line that is not what it should be.
pub fn read(text: &str) -> Result<(Header, Vec<Event>), CaptureError> {
    let mut lines = (1..).zip(text.lines());
    let (line, first) = lines.next().ok_or(CaptureError::Empty)?;
    let header: Header =
        serde_json::from_str(first).map_err(|source| CaptureError::Line { line, source })?;
    if header.sigblame_capture != FORMAT {
        return Err(CaptureError::Format {
            found: header.sigblame_capture,
        });
    }
    let mut events = Vec::new();
    for (line, text) in lines.filter(|(_, text)| !text.is_empty()) {
        let input: Input =
            serde_json::from_str(text).map_err(|source| CaptureError::Line { line, source })?;
        let event = input
            .event()
            .map_err(|reason| CaptureError::Record { line, reason })?;
        events.push(event);
    }
    Ok((header, events))
}
