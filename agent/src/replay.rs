//! `sigblame replay`: judges a capture again, offline and without a privilege.
//!
//! The capture is read once, line by line, whatever its length. What was told live is told again, to
//! the letter; where something else is asked, only what differs.

pub mod judge;
mod text;

use std::{
    fs::OpenOptions,
    io::{self, BufRead, BufReader, BufWriter, IsTerminal as _, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use rustix::fs::OFlags;

use self::judge::{Asked, Judge, Said};
use crate::{
    capture::{CaptureError, Reader},
    cli::{REACHED, ReplayArgs},
    run,
    sink::{log, text as sink_text},
};

/// Read at once.
const BUFFER: usize = 1 << 20;

/// Replays what the arguments name.
///
/// # Errors
///
/// Where the configuration is wrong, the capture cannot be read as a whole, or the output is closed.
pub fn replay(args: &ReplayArgs, colour: bool) -> Result<ExitCode> {
    let config = args.load()?;
    let context = || format!("failed to replay {}", args.file.display());
    let mut reader = Reader::new(open(&args.file).with_context(context)?)
        .map_err(advised)
        .with_context(context)?;
    let clock = reader.header().clock;
    let asked = Asked {
        settings: config.map(|config| run::settings(&config, clock)),
        restriction: args.restrict_signal,
    };
    let is_asked = asked.is_something();
    let mut judge = Judge::new(reader.header().settings(), asked);
    let mut out = BufWriter::new(io::stdout().lock());
    let mut end = Ok(());
    for told in &mut reader {
        let told = match told {
            Ok(told) => told,
            Err(error) => {
                end = Err(advised(error)).with_context(context);
                break;
            }
        };
        match judge.hear(told) {
            None => {}
            Some(Said::Told(step)) => {
                for finding in step.told() {
                    if args.json {
                        log::json_line(&mut out, finding)?;
                    } else {
                        out.write_all(sink_text::finding(finding, colour).as_bytes())?;
                    }
                }
            }
            Some(Said::Differs(differences)) => {
                for difference in &differences {
                    if args.json {
                        log::json_line(&mut out, difference)?;
                    } else {
                        out.write_all(text::difference(difference, colour).as_bytes())?;
                    }
                }
            }
        }
    }
    out.flush()?;
    let summary = text::summary(&judge, is_asked);
    if args.json {
        eprint!("{summary}");
    } else {
        out.write_all(summary.as_bytes())?;
        out.flush()?;
    }
    end?;
    if let Some(line) = reader.cut() {
        eprintln!(
            "sigblame: {} ends in the middle of line {line}: what came after it was not recorded",
            args.file.display()
        );
    }
    let worst = judge.asked().worst;
    Ok(match args.fail_on {
        Some(least) if worst >= Some(least) => {
            let count = judge.asked().reach(least).max(1);
            eprintln!(
                "sigblame: findings reach --fail-on {}: {count}",
                least.name()
            );
            ExitCode::from(REACHED)
        }
        _ => ExitCode::SUCCESS,
    })
}

/// Opens a capture: a file, a pipe, or `-` for standard input.
fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            anyhow::bail!("standard input is a terminal: pipe a capture into it");
        }
        return Ok(Box::new(BufReader::with_capacity(BUFFER, io::stdin())));
    }
    // A pipe that nobody writes to would hold us up for ever.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(nonblocking).open(path)?;
    if file.metadata()?.is_dir() {
        anyhow::bail!("it is a directory: name a file that `sigblame record` wrote");
    }
    // One that somebody writes to is waited for.
    rustix::fs::fcntl_setfl(&file, OFlags::empty()).map_err(io::Error::from)?;
    Ok(Box::new(BufReader::with_capacity(BUFFER, file)))
}

/// What to do about it.
fn advised(error: CaptureError) -> anyhow::Error {
    let advice = match &error {
        CaptureError::Empty
        | CaptureError::Line { line: 1, .. }
        | CaptureError::Long { line: 1, .. } => "name a file that `sigblame record` wrote",
        CaptureError::Line { .. } | CaptureError::Long { .. } | CaptureError::Record { .. } => {
            "it was damaged after it was written: record again; what stands before that line was \
             judged"
        }
        CaptureError::Compressed | CaptureError::Format { .. } | CaptureError::Io(_) => {
            return error.into();
        }
    };
    anyhow::anyhow!("{error}; {advice}")
}
