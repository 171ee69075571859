//! Records what the walk reads of a real CPython, and what that CPython says of its stack: the
//! fixtures of `python::model`.
//!
//! `stacks OUTPUT COMMAND…` starts app.py with `COMMAND…` in `tests/fixtures/stacks`, reads its memory
//! while it waits, and compares; whatever is read goes into OUTPUT, which the tests read again.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::FileExt as _,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use sigblame::{
    process::{facts::facts, proc, python_file::PythonFile},
    python::{
        layout,
        model::{Heads, Memory, walk},
        reading::Reading,
    },
};

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let (Some(output), Some(program)) = (arguments.next(), arguments.next()) else {
        bail!("usage: stacks OUTPUT COMMAND…");
    };
    let mut child = Command::new(program)
        .args(arguments)
        // From 3.9 on a script's name is its whole path, which is nobody's matter.
        .args([
            "-c",
            "exec(compile(open('app.py', encoding='utf-8').read(), 'app.py', 'exec'))",
        ])
        .current_dir(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/stacks"
        ))
        .env("PYTHONIOENCODING", "utf-8")
        .env("PYTHONUTF8", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to start the interpreter")?;
    let outcome = record(&mut child);
    let _ = child.kill();
    child.wait()?;
    fs::write(output, outcome?).context("failed to write the recording")
}

fn record(child: &mut Child) -> Result<String> {
    let mut stdout = BufReader::new(child.stdout.take().context("no standard output")?);
    let mut stdin = child.stdin.take().context("no standard input")?;
    let mut moments = Vec::new();
    let mut known = BTreeMap::new();
    let mut head = Value::Null;
    for _ in 0..2 {
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line).context("failed to understand the app")?;
        // It is about to read.
        std::thread::sleep(std::time::Duration::from_millis(200));
        let python = interpreter(child.id())?;
        let Reading::Row(index) = python.reading else {
            bail!("no row: {python:?}");
        };
        let raw = layout::ROWS[usize::try_from(index)?].raw;
        let heads = Heads {
            interpreters: python.interpreters,
            current: python.current,
            thread: said["thread"].as_u64().context("no thread")?,
        };
        let mut memory = Recorder {
            file: File::open(format!("/proc/{}/mem", child.id()))?,
            read: BTreeMap::new(),
        };
        let frames = walk(&mut memory, &raw, heads).context("failed to walk")?;
        let found: Vec<Value> = (frames.iter())
            .map(|frame| json!([frame.file, frame.line, frame.function]))
            .collect();
        ensure!(
            said["stack"].as_array() == Some(&found),
            "Python says {}, the walk {found:?}",
            said["stack"]
        );
        head = json!({
            "version": python.version.context("no version")?.to_string(),
            "interpreters": heads.interpreters,
            "current": heads.current,
            "thread": heads.thread,
        });
        // What did not change since the moment before is not said again.
        let fresh: BTreeMap<String, String> = (memory.read.into_iter())
            .filter(|(at, bytes)| known.insert(*at, bytes.clone()).as_ref() != Some(bytes))
            .map(|(at, bytes)| (format!("{at:x}"), hex(&bytes)))
            .collect();
        moments.push(json!({"how": said["how"], "stack": found, "memory": fresh}));
        stdin.write_all(b".")?;
    }
    head["moments"] = moments.into();
    Ok(format!("{head}\n"))
}

/// The interpreter that the process maps.
fn interpreter(pid: u32) -> Result<PythonFile> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    for mapping in proc::mappings(&maps).filter(|m| m.executable && m.file.is_some()) {
        let Ok(bytes) = fs::read(&mapping.path) else {
            continue;
        };
        let Ok(facts) = facts(bytes.as_slice()) else {
            continue;
        };
        let bias = facts.image.bias(mapping.start, mapping.end, mapping.offset);
        if let Some((python, bias)) = facts.python.zip(bias) {
            return Ok(python.loaded(bias));
        }
    }
    bail!("failed to find an interpreter in process {pid}")
}

struct Recorder {
    file: File,
    read: BTreeMap<u64, Vec<u8>>,
}

impl Memory for Recorder {
    fn read(&mut self, address: u64, size: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; size];
        self.file.read_exact_at(&mut bytes, address).ok()?;
        let known = self.read.entry(address).or_default();
        if known.len() < size {
            known.clone_from(&bytes);
        }
        Some(bytes)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
