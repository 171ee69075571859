//! Keeps what the engine is told, where somebody asked for a capture.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tracing::error;

use crate::{
    capture::{Header, Input},
    policy::Settings,
};

/// Where it is kept, if anywhere.
#[derive(Default)]
pub(super) struct Keep(Option<BufWriter<File>>);

impl Keep {
    /// Begins a capture.
    pub(super) fn begin(file: File, settings: &Settings) -> Result<Self> {
        let mut writer = BufWriter::new(file);
        line(&mut writer, &Header::new(settings)).context("failed to write the capture")?;
        Ok(Self(Some(writer)))
    }

    /// Keeps one more. Watching goes on where that fails: the capture ends there, and only the
    /// first failure is told, because a full disk would fail each time.
    pub(super) fn keep(&mut self, input: impl FnOnce() -> Option<Input>) {
        let Some(writer) = &mut self.0 else { return };
        let Some(input) = input() else { return };
        if let Err(reason) = line(writer, &input) {
            error!(%reason, "failed to write the capture, which ends here");
            self.0 = None;
        }
    }

    /// Writes out what is left.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.0.take() {
            Some(mut writer) => writer.flush().context("failed to write the capture"),
            None => Ok(()),
        }
    }
}

fn line(writer: &mut BufWriter<File>, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, value)?;
    writer.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Instant,
        policy::{finding::WallClock, rules::Restriction},
        process::ProcessKey,
    };

    /// The device that is always full ends the capture and not the agent.
    #[test]
    fn a_full_disk_ends_the_capture_only() {
        let full = File::options().write(true).open("/dev/full");
        let settings = Settings {
            restriction: Some(Restriction::On),
            clock: WallClock { offset: 0 },
            exceptions: std::sync::Arc::default(),
        };
        let mut keep = Keep::begin(full.expect("Linux has it"), &settings).expect("a buffer");
        let mut asked = 0;
        for _ in 0..100_000 {
            keep.keep(|| {
                asked += 1;
                Some(Input::Gone(Instant(1), ProcessKey { pid: 1, start: 1 }))
            });
        }
        assert!((1..100_000).contains(&asked), "{asked}");
        keep.end().expect("it was told already");
    }
}
