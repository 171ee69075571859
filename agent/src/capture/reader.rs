//! Reads a capture line by line: it may be longer than memory. Pure but for its reader.

use std::io::{self, BufRead, Read as _};

use serde::Deserialize;

use super::{FORMAT, Header, Input, OLDEST};
use crate::{event::Event, policy::Settings};

/// The first line has some hundred bytes. Whatever has none within this is no capture, however long
/// it is.
const HEADER_LIMIT: u64 = 64 << 10;
/// No other line is longer: the longest are configurations, of which a large one has some MiB.
const LINE_LIMIT: u64 = 64 << 20;
/// How gzip and Zstandard begin (RFC 1952, RFC 8878).
const COMPRESSED: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];

/// What the engine was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// An event.
    Event(Box<Event>),
    /// From here on it judged by these.
    Settings(Settings),
}

/// A capture that is being read.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    header: Header,
    /// The number of the line that was read last.
    line: usize,
    text: Vec<u8>,
    cut: Option<usize>,
    /// It has ended, or something was wrong with it.
    is_over: bool,
}

/// A capture that was read as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// Under what it was recorded.
    pub header: Header,
    /// The events that the engine was told, in order.
    pub events: Vec<Event>,
    /// The number of the last line, where that one is cut off: whatever came after it is lost.
    pub cut: Option<usize>,
}

/// Why a capture cannot be replayed.
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
    /// It has no end.
    #[error("line {line} is not a line of a sigblame capture: it is longer than {limit} bytes")]
    Long {
        /// From 1.
        line: usize,
        /// What a line may have.
        limit: u64,
    },
    /// It has to be unpacked first.
    #[error("it is compressed: unpack it first, as in `zcat FILE | sigblame replay -`")]
    Compressed,
    /// Another version wrote it.
    #[error(
        "the capture has format {found}, this sigblame reads {OLDEST} to {FORMAT}: replay it with the \
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
    /// It cannot be read at all.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What can be read before it is known which version wrote the rest.
#[derive(Deserialize)]
struct Format {
    sigblame_capture: u32,
}

impl<R: BufRead> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    ///
    /// Where the first line is not one of a capture that this version reads.
    pub fn new(mut from: R) -> Result<Self, CaptureError> {
        let mut text = Vec::new();
        if !next(&mut from, &mut text, 1, HEADER_LIMIT)? && text.is_empty() {
            return Err(CaptureError::Empty);
        }
        if COMPRESSED.iter().any(|magic| text.starts_with(magic)) {
            return Err(CaptureError::Compressed);
        }
        let found = parse::<Format>(1, &text)?.sigblame_capture;
        if !(OLDEST..=FORMAT).contains(&found) {
            return Err(CaptureError::Format { found });
        }
        Ok(Self {
            header: parse(1, &text)?,
            from,
            line: 1,
            text,
            cut: None,
            is_over: false,
        })
    }

    /// Under what it was recorded.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The number of the last line, where that one is cut off; known when nothing is left.
    pub fn cut(&self) -> Option<usize> {
        self.cut
    }

    fn read(&mut self) -> Result<Option<Told>, CaptureError> {
        loop {
            self.text.clear();
            self.line += 1;
            let line = self.line;
            let is_whole = next(&mut self.from, &mut self.text, line, LINE_LIMIT)?;
            if self.text.is_empty() {
                if is_whole {
                    continue;
                }
                return Ok(None);
            }
            let told = parse(line, &self.text).and_then(|input: Input| {
                let told = input.told();
                told.map_err(|reason| CaptureError::Record { line, reason })
            });
            return match told {
                Ok(told) => Ok(Some(told)),
                Err(_) if !is_whole => {
                    self.cut = Some(line);
                    Ok(None)
                }
                Err(error) => Err(error),
            };
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Told, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let told = self.read().transpose();
        self.is_over = !matches!(told, Some(Ok(_)));
        told
    }
}

/// Reads one line without its newline. Whether it had one.
fn next(
    from: &mut impl BufRead,
    text: &mut Vec<u8>,
    line: usize,
    limit: u64,
) -> Result<bool, CaptureError> {
    from.take(limit).read_until(b'\n', text)?;
    if text.pop_if(|last| *last == b'\n').is_some() {
        return Ok(true);
    }
    if text.len() as u64 == limit {
        return Err(CaptureError::Long { line, limit });
    }
    Ok(false)
}

fn parse<'a, T: Deserialize<'a>>(line: usize, text: &'a [u8]) -> Result<T, CaptureError> {
    serde_json::from_slice(text).map_err(|source| CaptureError::Line { line, source })
}

/// Reads a whole capture, or all that a crash left of it.
///
/// # Errors
///
/// The first line that is not what it should be.
pub fn read(bytes: &[u8]) -> Result<Capture, CaptureError> {
    let mut reader = Reader::new(bytes)?;
    let mut events = Vec::new();
    for told in &mut reader {
        if let Told::Event(event) = told? {
            events.push(*event);
        }
    }
    Ok(Capture {
        cut: reader.cut,
        header: reader.header,
        events,
    })
}
