//! What the user sees while things are installed: a line per step, with a running clock on a
//! terminal. What the installers say goes to a log, whose end is shown when one of them fails.

use std::{
    fs::{self, File},
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{stop, workspace};

/// How many of a log's last lines are shown.
const LAST_LINES: usize = 30;

/// How a step does its work.
pub(crate) type Install = Box<dyn FnOnce(&Installer) -> Result<()>>;

/// Something to install, or to find that it is there.
pub(crate) struct Step {
    /// What, as the user reads it.
    pub(crate) title: String,
    /// Nothing is to be done.
    pub(crate) there: bool,
    /// What is to be done otherwise.
    pub(crate) install: Install,
    /// Whether something can be done without it.
    pub(crate) optional: bool,
}

/// Takes the steps in order and says how each went.
pub(crate) fn perform(steps: Vec<Step>) -> Result<()> {
    let total = steps.len();
    for (index, step) in steps.into_iter().enumerate() {
        stop::check()?;
        let line = format!("[{}/{total}] {} …", index + 1, step.title);
        if step.there {
            eprintln!("{line} already there");
            continue;
        }
        let installer = Installer {
            line,
            terminal: io::stderr().is_terminal(),
            start: Instant::now(),
            log: workspace::log_dir()?.join(format!("setup-{}.log", index + 1)),
        };
        let _absent = fs::remove_file(&installer.log);
        let _deferred = stop::defer();
        installer.show("installing", "\n");
        let outcome = (step.install)(&installer);
        let seconds = installer.start.elapsed().as_secs().max(1);
        match outcome {
            Ok(()) => installer.show(&format!("installed in {seconds} s"), "\n"),
            Err(error) if step.optional && !stop::asked() => {
                installer.show("failed; what needs it is left out", "\n");
                eprintln!("{error:#}");
            }
            Err(error) => {
                installer.show("failed", "\n");
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Runs the commands of one step.
pub(crate) struct Installer {
    line: String,
    terminal: bool,
    start: Instant,
    log: PathBuf,
}

impl Installer {
    /// On a terminal the line is written over itself.
    fn show(&self, state: &str, end: &str) {
        let mut out = io::stderr().lock();
        let line = &self.line;
        let _closed = if self.terminal {
            // Erases what was there; the last state alone keeps its line.
            let end = if state == "installing" { "" } else { end };
            write!(out, "\r\x1b[K{line} {state}{end}")
        } else {
            write!(out, "{line} {state}{end}")
        };
        let _closed = out.flush();
    }

    /// Runs a command to its end, which has to be a good one.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        if self.try_run(command)? {
            return Ok(());
        }
        stop::check()?;
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        bail!(
            "failed to run {command:?}; the end of {}:\n{}",
            self.log.display(),
            lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
        );
    }

    /// Runs a command to its end and tells whether it was a good one.
    pub(crate) fn try_run(&self, command: &mut Command) -> Result<bool> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("failed to open {}", self.log.display()))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {}", command.get_program().display()))?;
        let mut told = false;
        let mut shown = 0;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            if stop::asked() && !told {
                told = true;
                // A Ctrl-C at the terminal has reached the child already; SIGTERM came to us alone.
                let _gone = kill_process(Pid::from_child(&child), Signal::TERM);
            }
            let seconds = self.start.elapsed().as_secs();
            if self.terminal && seconds > shown {
                shown = seconds;
                self.show(&format!("{seconds} s"), "");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}
