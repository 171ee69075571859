//! Keeps what the engine is told, where somebody asked for a capture.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Write as _},
};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tracing::error;

use super::Agent;
use crate::{
    capture::{Header, Input},
    policy::Settings,
};

/// Written at once.
const BUFFER: usize = 64 << 10;

/// How a capture is kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most bytes of the file.
    pub size: u64,
    /// The agent has nothing else to do: it ends with the capture, and shows how that goes.
    pub alone: bool,
}

/// Where it is kept, if anywhere.
#[derive(Default)]
pub(super) struct Keep {
    to: Option<Lines>,
    alone: bool,
    over: Option<Over>,
    told: String,
}

/// Why a capture ended before the agent.
enum Over {
    /// It has its size.
    Full,
    /// It could not be written.
    Failed(io::Error),
}

/// A file of whole lines.
struct Lines {
    file: File,
    buffer: Vec<u8>,
    /// Bytes in the file, without the buffer's.
    written: u64,
    lines: u64,
    size: u64,
}

impl Keep {
    /// Begins a capture.
    fn begin(file: File, settings: &Settings, bounds: Bounds) -> Result<Self> {
        let mut lines = Lines {
            file,
            buffer: Vec::with_capacity(BUFFER),
            written: 0,
            lines: 0,
            size: bounds.size,
        };
        let header = lines.push(&Header::new(settings));
        header.context("failed to write the capture")?;
        Ok(Self {
            to: Some(lines),
            alone: bounds.alone,
            ..Self::default()
        })
    }

    /// Keeps one more. Watching goes on where that fails: the capture ends there, and only the
    /// first failure is told, because a full disk would fail each time.
    pub(super) fn keep(&mut self, input: impl FnOnce() -> Option<Input>) {
        let Some(lines) = &mut self.to else { return };
        let Some(input) = input() else { return };
        match lines.push(&input) {
            Ok(true) => {}
            Ok(false) => self.finish(Over::Full),
            Err(reason) => self.finish(Over::Failed(reason)),
        }
    }

    /// Whether the capture was all that the agent was for, and has ended.
    pub(super) fn is_over(&self) -> bool {
        self.alone && self.over.is_some()
    }

    /// Brings what was kept to the disk, and shows how much that is.
    pub(super) fn tick(&mut self, servers: usize) {
        let Some(lines) = &mut self.to else { return };
        self.told = lines.told(servers);
        if let Err(reason) = lines.flush() {
            self.finish(Over::Failed(reason));
        } else if self.alone && io::stderr().is_terminal() {
            eprint!("\r\x1b[K{}", self.told);
        }
    }

    fn finish(&mut self, why: Over) {
        let Some(mut lines) = self.to.take() else {
            return;
        };
        let why = match (why, lines.flush()) {
            (Over::Full, Err(reason)) => Over::Failed(reason),
            (why, _) => why,
        };
        if !self.alone {
            match &why {
                Over::Full => error!("the capture has its greatest size and ends here"),
                Over::Failed(reason) => {
                    error!(%reason, "failed to write the capture, which ends here");
                }
            }
        }
        self.over = Some(why);
    }

    /// Writes out what is left, and says what there is.
    ///
    /// # Errors
    ///
    /// Where not all could be written that was to be.
    pub(super) fn end(&mut self) -> Result<()> {
        let mut flushed = Ok(());
        if let Some(mut lines) = self.to.take() {
            flushed = lines.flush();
        }
        if self.alone {
            let line = if io::stderr().is_terminal() {
                "\r\x1b[K"
            } else {
                ""
            };
            eprintln!("{line}recorded {}", self.told);
        }
        let advice = "failed to write the capture, which ends before its time and can be replayed \
                      as far as it goes; make room and record again";
        match self.over.take() {
            Some(Over::Failed(reason)) if self.alone => Err(reason).context(advice),
            Some(Over::Full) if self.alone => {
                eprintln!(
                    "the capture has its greatest size and ends here; --max-size allows more"
                );
                Ok(())
            }
            _ => flushed.context(advice),
        }
    }
}

impl Lines {
    /// Adds a line. False where it has no room.
    fn push(&mut self, value: &impl Serialize) -> io::Result<bool> {
        let before = self.buffer.len();
        serde_json::to_writer(&mut self.buffer, value)?;
        self.buffer.push(b'\n');
        if self.bytes() > self.size {
            self.buffer.truncate(before);
            return Ok(false);
        }
        self.lines += 1;
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(true)
    }

    fn bytes(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Writes the buffer. Where that fails in the middle of a line, the file ends before it.
    fn flush(&mut self) -> io::Result<()> {
        let mut done = 0;
        while done < self.buffer.len() {
            match self.file.write(&self.buffer[done..]) {
                Ok(bytes) if bytes > 0 => done += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                failed => {
                    let whole = self.buffer[..done].iter().rposition(|byte| *byte == b'\n');
                    self.written += whole.map_or(0, |at| at as u64 + 1);
                    // A pipe has no length.
                    let _ = self.file.set_len(self.written);
                    self.buffer.clear();
                    return Err(failed.err().unwrap_or(io::ErrorKind::WriteZero.into()));
                }
            }
        }
        self.written += done as u64;
        self.buffer.clear();
        Ok(())
    }

    fn told(&self, servers: usize) -> String {
        let plural = if servers == 1 { "" } else { "s" };
        let mib = self.bytes() as f64 / f64::from(1 << 20);
        // The header is no event.
        let events = self.lines.saturating_sub(1);
        format!("{events} events, {mib:.1} MiB, {servers} server{plural}")
    }
}

impl Agent {
    /// Keeps everything that the engine is told, for a replay.
    ///
    /// # Errors
    ///
    /// Where the header cannot be written.
    pub fn record(&mut self, file: File, bounds: Bounds) -> Result<()> {
        self.keep = Keep::begin(file, self.engine.settings(), bounds)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{capture, event::Instant, policy::rules::Restriction, process::ProcessKey};

    fn settings() -> Settings {
        Settings {
            restriction: Some(Restriction::On),
            ..Settings::default()
        }
    }

    const GONE: Input = Input::Gone(Instant(1), ProcessKey { pid: 1, start: 1 });

    fn fill(keep: &mut Keep) -> u32 {
        let mut asked = 0;
        for _ in 0..100_000 {
            keep.keep(|| {
                asked += 1;
                Some(GONE)
            });
        }
        asked
    }

    /// The device that is always full ends the capture and not the agent, unless it is for that.
    #[test]
    fn a_full_disk_ends_the_capture_only() {
        for alone in [false, true] {
            let full = File::options().write(true).open("/dev/full");
            let bounds = Bounds {
                size: u64::MAX,
                alone,
            };
            let mut keep =
                Keep::begin(full.expect("Linux has it"), &settings(), bounds).expect("a buffer");
            let asked = fill(&mut keep);
            assert!((1..100_000).contains(&asked), "{asked}");
            assert_eq!(keep.is_over(), alone);
            assert_eq!(keep.end().is_err(), alone);
        }
    }

    /// A file has whole lines and the size that was asked for.
    #[test]
    fn a_bound_is_kept() {
        let mut file = tempfile::tempfile().expect("a file");
        let bounds = Bounds {
            size: 100_000,
            alone: true,
        };
        let copy = file.try_clone().expect("a second handle");
        let mut keep = Keep::begin(copy, &settings(), bounds).expect("a buffer");
        fill(&mut keep);
        assert!(keep.is_over());
        keep.end().expect("a bound is no failure");
        let mut bytes = Vec::new();
        io::Seek::rewind(&mut file).expect("a file");
        io::Read::read_to_end(&mut file, &mut bytes).expect("a file");
        assert!((99_900..=100_000).contains(&bytes.len()), "{}", bytes.len());
        let capture = capture::read(&bytes).expect("a capture");
        assert_eq!(capture.cut, None);
        assert!(capture.events.len() > 1_000);
    }
}
