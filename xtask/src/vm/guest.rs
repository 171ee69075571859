//! A virtual machine, emulated: it runs on any host, whatever that host itself is.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sigblame_tests::{process::Scoped, scratch::Scratch};

use crate::stop;

/// The emulator's name.
pub(super) const EMULATOR: &str = "qemu-system-x86_64";
/// Ten times what it takes on an idle machine of two processors.
const LIMIT: Duration = Duration::from_secs(600);
/// How long the emulator may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(5);
/// How many of the console's last lines are shown.
const LAST_LINES: usize = 15;

/// What a machine said.
pub(super) struct Said {
    /// The lines of the second serial line.
    pub(super) lines: Vec<Value>,
    /// The end of its console.
    pub(super) console: String,
}

impl Said {
    /// It never got so far as to start a program: the kernel's fault, or the emulator's.
    pub(super) fn died_early(&self) -> bool {
        self.lines.is_empty()
    }
}

/// Boots a kernel and waits until it turns itself off.
pub(super) fn run(kernel: &Path, image: &Path) -> Result<Said> {
    let scratch = Scratch::new("vm")?;
    let console = scratch.path().join("console");
    let data = scratch.path().join("data");
    let file = |path: &Path| format!("file:{}", path.display());
    let mut command = Command::new(EMULATOR);
    command
        .args(["-accel", "tcg,thread=multi"])
        // QEMU 7.2 emulates cmpxchg16b wrongly now and then, and 6.12 panics.
        .args(["-cpu", "max,cx16=off", "-m", "2048", "-smp", "2"])
        .args(["-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-serial", &file(&console), "-serial", &file(&data)])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(image)
        .args(["-append", "console=ttyS0 panic=-1 quiet"])
        .stdin(Stdio::null());
    let machine = Scoped::spawn(&mut command, GRACE)?;
    let begin = Instant::now();
    while !machine.has_ended() {
        stop::check()?;
        if begin.elapsed() > LIMIT {
            bail!(
                "failed to see the machine end within {} s; its console ends with:\n{}",
                LIMIT.as_secs(),
                last_lines(&console)
            );
        }
        thread::sleep(Duration::from_millis(100));
    }
    let ended = machine.stop()?;
    if !ended.status.success() {
        bail!("failed to run {EMULATOR}: {}", ended.status);
    }
    let text = fs::read(&data).context("failed to read what the machine said")?;
    let text = String::from_utf8_lossy(&text);
    let lines = text
        .lines()
        .map(|line| {
            serde_json::from_str(line)
                .with_context(|| format!("failed to read a line of the machine: {line}"))
        })
        .collect::<Result<_>>()?;
    Ok(Said {
        lines,
        console: last_lines(&console),
    })
}

fn last_lines(console: &Path) -> String {
    let bytes = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
