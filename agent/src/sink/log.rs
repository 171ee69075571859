//! Lines for a log: findings on standard output, everything else on standard error.

use std::io::{self, Write};

use serde::Serialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;

use crate::{
    config::{Log, LogFormat, LogLevel},
    escape,
};

/// Writes a finding, or a line of `trace`, as one line of JSON, and flushes: a log that is a pipe
/// is read live.
///
/// # Errors
///
/// Where the line cannot be written.
pub fn json_line<T, W>(writer: &mut W, object: &T) -> io::Result<()>
where
    T: Serialize + ?Sized,
    W: Write + ?Sized,
{
    let mut line = escape::json(object)?;
    line.push('\n');
    // One call, so that a line stays whole where several processes write to one file.
    writer.write_all(line.as_bytes())?;
    writer.flush()
}

/// Sends the agent's own messages to standard error, as the configuration says.
///
/// # Errors
///
/// Where the process has a logger already.
pub fn start(log: Log, colour: bool) -> Result<(), String> {
    let base = fmt()
        .with_max_level(level(log.level))
        .with_writer(io::stderr)
        .with_ansi(colour)
        .with_target(false);
    let result = match log.format {
        LogFormat::Text => base.try_init(),
        LogFormat::Json => base.json().flatten_event(true).try_init(),
    };
    result.map_err(|error| format!("failed to start the log: {error}"))
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        escape::tests::{HOSTILE, is_quiet},
        policy::{Finding, sample},
    };

    #[test]
    fn a_finding_is_one_line_whatever_it_names() {
        let mut finding = sample::finding();
        finding.evidence.blame.file = Some(HOSTILE.to_owned());
        let mut out = Vec::new();
        json_line(&mut out, &finding).unwrap();
        let text = String::from_utf8(out).unwrap();
        let line = text.strip_suffix('\n').unwrap();
        assert!(is_quiet(line), "{line:?}");
        assert_eq!(serde_json::from_str::<Finding>(line).unwrap(), finding);
    }

    #[test]
    fn a_closed_pipe_is_an_error_and_no_panic() {
        struct Closed;

        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let error = json_line(&mut Closed, &sample::finding()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
