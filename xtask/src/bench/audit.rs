//! How long an audit of many files takes, beside two who read the same ones: ruff with all of its
//! default rules, on as many threads, and Python's own parser, on one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use sigblame_tests::{libraries::DIR, scratch::Scratch};

use super::spread::Spread;
use crate::{
    libraries, progress, setup,
    workspace::{cargo_run, target_dir},
};

/// Python files, copied from real packages.
const FILES: usize = 10_000;
/// Parses every file below a directory, and walks through its nodes.
const PYTHON: &str = "
import ast, pathlib, sys, warnings
warnings.simplefilter('ignore')
for path in pathlib.Path(sys.argv[1]).rglob('*.py'):
    try:
        for node in ast.walk(ast.parse(path.read_bytes())):
            pass
    except SyntaxError:
        pass
";

/// Seconds, one value per round.
#[derive(Debug, Default)]
pub(super) struct Audit {
    bytes: u64,
    parsed: u64,
    sigblame: Vec<f64>,
    ruff: Vec<f64>,
    python: Vec<f64>,
}

/// Reads the same files by turns.
pub(super) fn measure(rounds: u32) -> Result<Audit> {
    progress::perform(vec![setup::python_tools()?, libraries::step()?])?;
    cargo_run(&["build", "--release", "-p", "sigblame"], &[])?;
    let target = target_dir()?;
    let scratch = Scratch::new("audit-bench")?;
    let tree = scratch.path();
    copy(&target.join(DIR), tree)?;
    let mut audit = Audit::default();
    for round in 0..=rounds {
        let mut ours = Command::new(target.join("release/sigblame"));
        let (seconds, output) = timed(ours.args(["audit", "--json"]).arg(tree))?;
        let report: Value = serde_json::from_slice(&output).context("no JSON was printed")?;
        if report["read"]["python"] != json!(FILES) {
            bail!("failed to read all files: {}", report["read"]);
        }
        let mut ruff = Command::new(setup::python_dir()?.join("bin/ruff"));
        ruff.args([
            "check",
            "--isolated",
            "--no-cache",
            "--exit-zero",
            "--quiet",
        ]);
        let (ruff, _) = timed(ruff.arg(tree))?;
        let mut python = Command::new("/usr/bin/python3");
        let (python, _) = timed(python.args(["-c", PYTHON]).arg(tree))?;
        audit.bytes = report["read"]["bytes"].as_u64().unwrap_or_default();
        audit.parsed = report["read"]["parsed"].as_u64().unwrap_or_default();
        // The first round brings the files into memory.
        if round > 0 {
            audit.sigblame.push(seconds);
            audit.ruff.push(ruff);
            audit.python.push(python);
        }
    }
    Ok(audit)
}

fn timed(command: &mut Command) -> Result<(f64, Vec<u8>)> {
    let begin = Instant::now();
    let output = command
        .output()
        .with_context(|| format!("failed to start {command:?}"))?;
    let seconds = begin.elapsed().as_secs_f64();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed: {errors}");
    }
    Ok((seconds, output.stdout))
}

/// Copies the packages' files until there are enough, as often as that takes.
fn copy(packages: &Path, tree: &Path) -> Result<()> {
    let mut files = Vec::new();
    python_files(packages, &mut files).context("failed to list the packages' files")?;
    files.sort();
    if files.len() < 1_000 {
        bail!(
            "failed to find enough files below {}: `cargo xtask setup test` installs packages there",
            packages.display()
        );
    }
    for (at, file) in files.iter().cycle().take(FILES).enumerate() {
        let copy = tree.join(format!("{}", at / files.len()));
        let to = copy.join(file.strip_prefix(packages)?);
        let into = to.parent().context("a file without a directory")?;
        fs::create_dir_all(into)
            .and_then(|()| fs::copy(file, &to))
            .with_context(|| format!("failed to copy {}", file.display()))?;
    }
    Ok(())
}

fn python_files(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_dir() {
            python_files(&path, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|it| it == "py") {
            files.push(path);
        }
    }
    Ok(())
}

impl Audit {
    /// A table of it.
    pub(super) fn table(&self) -> String {
        let row =
            |title: &str, values: &[f64]| format!("{title:<37}{}\n", Spread::of(values).fine());
        let ratio = |other: &[f64]| -> Vec<f64> {
            let rounds = self.sigblame.iter().zip(other);
            rounds.map(|(ours, other)| ours / other).collect()
        };
        format!(
            "\nAn audit of {FILES} Python files, {} MB, {} of which speak of signals; seconds, median \
             (least–most) of {} rounds.\n",
            self.bytes / 1_000_000,
            self.parsed,
            self.sigblame.len()
        ) + &row("sigblame audit", &self.sigblame)
            + &row("ruff check", &self.ruff)
            + &row("Python's ast, one thread", &self.python)
            + &row("sigblame / ruff", &ratio(&self.ruff))
            + &row("sigblame / Python", &ratio(&self.python))
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "files": FILES, "bytes": self.bytes, "parsed": self.parsed, "unit": "seconds",
            "sigblame": self.sigblame, "ruff": self.ruff, "python": self.python,
        })
    }
}
