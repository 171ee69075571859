//! Records what the agent hears of the demo site: the fixture that a replay judges again.
//!
//! Whatever else runs on this host is left out, so that the fixture names nobody's programs.

use std::{
    collections::BTreeSet,
    fs,
    mem::offset_of,
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use probe_abi::record::{Kind, RawHeader, RawLifecycle, RawSignal};
use serde_json::Value;
use sigblame_tests::{
    demo::{self, DAEMON_MOUNT},
    httpd::Mpm,
    package_dir,
    scratch::Scratch,
};

use crate::{
    packages::Group,
    run::{agent::Agent, click_through},
    setup, stop,
    workspace::{cargo_run, is_root, target_dir},
};

/// The fixture's name below `tests/fixtures/captures`, without its extension.
const NAME: &str = "demo-event";
/// Longer than the agent takes to look at all that is left in the ring.
const SETTLE: Duration = Duration::from_secs(2);
/// More would weigh on every clone for ever.
const LIMIT: usize = 1 << 20;

/// Records the fixture anew.
pub(crate) fn record() -> Result<ExitCode> {
    if !is_root() {
        bail!("failed to record: the agent needs root to load its programs");
    }
    setup::setup(&[Group::Demo])?;
    cargo_run(&["build", "-p", "sigblame"], &[])?;

    let scratch = Scratch::new("record")?;
    let capture = scratch.path().join("capture.jsonl");
    let flag = format!("--capture={}", capture.display());
    let _deferred = stop::defer();
    let mut agent = Agent::start(&target_dir()?.join("debug/sigblame"), &[flag])?;
    if !agent.wait_until_ready()? {
        return agent.exit_code();
    }
    let server = demo::start(Mpm::Event)?;
    let master = server.pid();
    click_through(&server)?;
    stop::check()?;
    server.graceful()?;
    for mount in ["", DAEMON_MOUNT] {
        server.get(&format!("{mount}/clean/"))?;
    }
    server.stop()?;
    stop::check()?;
    thread::sleep(SETTLE);
    agent.stop()?;

    let all = fs::read_to_string(&capture).context("failed to read the capture")?;
    let kept = keep(&all, master)?;
    if kept.len() > LIMIT {
        bail!(
            "failed to keep {} bytes: a fixture has at most {LIMIT}",
            kept.len()
        );
    }
    let folder = package_dir().join("fixtures/captures");
    fs::create_dir_all(&folder).context("failed to make the folder of captures")?;
    write(&folder.join(format!("{NAME}.jsonl")), &kept)?;
    write(&folder.join(format!("{NAME}.md")), &facts())?;
    eprintln!(
        "recorded {} lines, {} bytes; now run `BLESS=1 cargo test -p sigblame-tests --test replay` \
         and read what changed",
        kept.lines().count(),
        kept.len()
    );
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}

/// On what it was recorded.
fn facts() -> String {
    let ask = |program: &str, arguments: &[&str]| -> String {
        let output = Command::new(program).args(arguments).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        text.ok()
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| "unknown".to_owned())
    };
    let package = |name: &str| ask("dpkg-query", &["-W", "-f", "${Version}", name]);
    format!(
        "# What `{NAME}.jsonl` was recorded on\n\n\
         | what | version |\n|---|---|\n\
         | kernel | {} on {} |\n\
         | httpd (`apache2-bin`) | {} |\n\
         | mod_wsgi (`libapache2-mod-wsgi-py3`) | {} |\n\
         | Python (`python3`) | {} |\n\
         | C library (`libc6`) | {} |\n",
        ask("uname", &["-r"]),
        ask("uname", &["-m"]),
        package("apache2-bin"),
        package("libapache2-mod-wsgi-py3"),
        ask(
            "/usr/bin/python3",
            &["-c", "import platform; print(platform.python_version())"]
        ),
        package("libc6"),
    )
}

/// A process: its id and its start in clock ticks, as the capture has them.
type Key = (u64, u64);

/// The lines of a capture that are about one server: its master and what descends from it.
fn keep(capture: &str, master: u32) -> Result<String> {
    let mut ours = BTreeSet::new();
    let mut kept = String::new();
    for (number, line) in (1..).zip(capture.lines()) {
        let value: Value = serde_json::from_str(line)
            .with_context(|| format!("failed to read line {number} of the capture"))?;
        if number == 1 || is_ours(&value, master, &mut ours).context("a line of another shape")? {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    if ours.is_empty() {
        bail!("failed to find process {master} in the capture: the agent did not see the server");
    }
    Ok(kept)
}

/// A number in a record's digits: where it is, and how many bytes it has.
pub(crate) fn number(digits: &str, at: usize, size: usize) -> Option<u64> {
    let digits = digits.get(2 * at..2 * (at + size))?;
    let bytes = u64::from_str_radix(digits, 16).ok()?;
    Some(bytes.swap_bytes() >> (64 - 8 * size))
}

/// Whether a line is about a process that is ours; a child of one becomes ours, too.
fn is_ours(line: &Value, master: u32, ours: &mut BTreeSet<Key>) -> Option<bool> {
    // The digits of a registration and of an attempt have their native stack behind them.
    let digits = line["record"].as_str();
    let digits = digits.or(line["registration"][0].as_str());
    if let Some(digits) = digits.or(line["attempt"][0].as_str()) {
        let number = |at, size| number(digits, at, size);
        let ticks = |at: usize| Some(number(at, 8)? / 10_000_000);
        let key = (
            number(offset_of!(RawHeader, tgid), 4)?,
            ticks(offset_of!(RawHeader, start))?,
        );
        let mut is_ours = ours.contains(&key);
        let kind = number(offset_of!(RawHeader, kind), 2)?;
        // A signal is its target's, whoever sends it.
        if kind == u64::from(Kind::SENT.0) {
            is_ours = ours.contains(&(
                number(offset_of!(RawSignal, target), 4)?,
                ticks(offset_of!(RawSignal, target_start))?,
            ));
        }
        if is_ours && kind == u64::from(Kind::FORK.0) {
            ours.insert((
                number(offset_of!(RawLifecycle, other), 4)?,
                ticks(offset_of!(RawLifecycle, other_start))?,
            ));
        }
        return Some(is_ours);
    }
    // `{"found": [when, process, …]}`, and the like.
    let (kind, values) = line.as_object()?.iter().next()?;
    // Of no process: what the engine waited for, and by what it judged.
    if matches!(kind.as_str(), "overdue" | "settings") {
        return Some(true);
    }
    let key = |value: &Value| Some((value["pid"].as_u64()?, value["start"].as_u64()?));
    let process = key(values.get(1)?)?;
    if kind == "found" {
        let parent = values.get(2).and_then(|found| key(&found["parent"]));
        if process.0 == u64::from(master) || parent.is_some_and(|parent| ours.contains(&parent)) {
            ours.insert(process);
        }
    }
    Some(ours.contains(&process))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record's head and the other process of a fork, as hexadecimal digits.
    fn record(kind: Kind, tgid: u8, other: u8) -> String {
        let mut bytes = [0; size_of::<RawLifecycle>()];
        // Start 256 ms after boot, which is tick 25.
        let start = 256_000_000_u64.to_le_bytes();
        for at in [
            offset_of!(RawHeader, start),
            offset_of!(RawLifecycle, other_start),
        ] {
            bytes[at..at + 8].copy_from_slice(&start);
        }
        bytes[offset_of!(RawHeader, kind)] = kind.0.to_le_bytes()[0];
        bytes[offset_of!(RawHeader, tgid)] = tgid;
        bytes[offset_of!(RawLifecycle, other)] = other;
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{{\"record\":\"{digits}\"}}")
    }

    /// The same digits as a registration, with a native stack.
    fn registration(record: &str) -> String {
        let digits = record.replace("{\"record\":", "").replace('}', "");
        format!("{{\"registration\":[{digits},{{\"result\":\"none\"}}]}}")
    }

    fn attempt(record: &str) -> String {
        registration(record).replace("registration", "attempt")
    }

    fn configured(pid: u8) -> String {
        format!("{{\"configured\":[1,{{\"pid\":{pid},\"start\":25}},2,{{\"main_file\":\"/x\"}}]}}")
    }

    fn found(pid: u8, parent: &str) -> String {
        format!("{{\"found\":[1,{{\"pid\":{pid},\"start\":25}},{{\"parent\":{parent}}}]}}")
    }

    /// Other servers, other programs and a process with an id of ours from before are left out.
    #[test]
    fn a_server_and_its_descendants_are_kept() {
        let parent = "{\"pid\":7,\"start\":25}";
        let lines = [
            ("{\"sigblame_capture\":3}".to_owned(), true),
            (record(Kind::EXEC, 7, 0), false),
            (found(5, "null"), false),
            (found(6, "{\"pid\":5,\"start\":25}"), false),
            (found(7, "null"), true),
            (configured(7), true),
            (configured(6), false),
            (record(Kind::FORK, 7, 8), true),
            (record(Kind::FORK, 6, 9), false),
            (record(Kind::FORK, 8, 10), true),
            (registration(&record(Kind::REGISTRATION, 8, 0)), true),
            (registration(&record(Kind::REGISTRATION, 9, 0)), false),
            (attempt(&record(Kind::INTERCEPT, 8, 0)), true),
            (attempt(&record(Kind::INTERCEPT, 9, 0)), false),
            (record(Kind::EXEC, 10, 0), true),
            (record(Kind::EXEC, 9, 0), false),
            (found(11, parent), true),
            ("{\"gone\":[1,{\"pid\":11,\"start\":25}]}".to_owned(), true),
            ("{\"gone\":[1,{\"pid\":11,\"start\":26}]}".to_owned(), false),
            ("{\"overdue\":5}".to_owned(), true),
            ("{\"settings\":[5,{}]}".to_owned(), true),
        ];
        let text = |kept: fn(&bool) -> bool| -> String {
            let lines = lines.iter().filter(|(_, ours)| kept(ours));
            lines.map(|(line, _)| format!("{line}\n")).collect()
        };
        assert_eq!(keep(&text(|_| true), 7).unwrap(), text(|ours| *ours));
        assert!(keep(&text(|_| true), 99).is_err());
    }
}
