//! `sigblame replay` as users run it: without a privilege and without a network.

use std::{
    env,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;
use sigblame::policy::Severity;
use sigblame_tests::{
    agent::{Said, run_to_end},
    agent_program, package_dir,
    scratch::Scratch,
};

use crate::{capture, fixture, told::replay};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs it as nobody, in a network of its own, where we may; else as whoever we are.
fn command(arguments: &[&str]) -> Result<Command> {
    let program = agent_program()?;
    let mut command = if rustix::process::getuid().is_root() {
        let mut command = Command::new("unshare");
        command.args(["--net", "setpriv", "--reuid=65534", "--regid=65534"]);
        command.args(["--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
        command.arg("--no-new-privs").arg(program);
        command
    } else {
        Command::new(program)
    };
    command.arg("replay").args(arguments);
    Ok(command)
}

fn run(arguments: &[&str]) -> Result<Said> {
    run_to_end(&mut command(arguments)?, LIMIT)
}

/// A place that nobody may read, too.
fn place(name: &str) -> Result<(Scratch, PathBuf)> {
    let scratch = Scratch::new("replay")?;
    let path = scratch.path().join(name);
    Ok((scratch, path))
}

fn write(bytes: impl AsRef<[u8]>) -> Result<(Scratch, String)> {
    let (scratch, path) = place("capture.jsonl")?;
    fs::write(&path, bytes)?;
    Ok((scratch, path.to_string_lossy().into_owned()))
}

/// The program prints what an agent in this process tells, line by line, and counts it.
#[test]
fn it_tells_what_was_told() -> Result<()> {
    let (_scratch, path) = write(fixture()?)?;
    let capture = capture()?;
    let mut engine = sigblame::engine::Engine::new(capture.header.settings());
    let mut expected = Vec::new();
    for event in capture.events.clone() {
        expected.extend(engine.step(event).told().cloned());
    }
    let said = run(&[&path, "--json"])?;
    assert_eq!(said.code, Some(0), "{}", said.errors);
    let lines: Result<Vec<sigblame::policy::Finding>, _> =
        said.output.lines().map(serde_json::from_str).collect();
    assert_eq!(lines?, expected);
    let (_, told) = replay(capture.header.settings(), capture.events);
    let of = |severity| {
        let findings = told.findings.iter();
        findings
            .filter(|finding| finding.severity == severity)
            .count()
    };
    let counts = format!(
        "{} findings ({} critical, {} warning, {} notice)",
        told.findings.len(),
        of(Severity::Critical),
        of(Severity::Warning),
        of(Severity::Notice)
    );
    assert!(said.errors.contains(&counts), "{}", said.errors);

    let text = run(&[&path])?;
    assert!(
        text.output.ends_with(&format!("{counts}\n")),
        "{}",
        text.output
    );
    let heads = text.output.lines().filter(|line| line.starts_with("20"));
    assert_eq!(heads.count(), expected.len());
    Ok(())
}

/// The difference under the other value, as text, is read like code when it changes (`BLESS=1`).
#[test]
fn the_difference_is_the_golden_one() -> Result<()> {
    let (_scratch, path) = write(fixture()?)?;
    let said = run(&[&path, "--restrict-signal", "off"])?;
    assert_eq!(said.code, Some(0), "{}", said.errors);
    let golden = package_dir().join("golden/demo-event.off.txt");
    if env::var_os("BLESS").is_some() {
        fs::write(golden, said.output)?;
        return Ok(());
    }
    let expected = fs::read_to_string(golden).context("failed to read the golden difference")?;
    for (number, (now, then)) in (1..).zip(said.output.lines().zip(expected.lines())) {
        assert_eq!(now, then, "line {number}");
    }
    assert_eq!(said.output.len(), expected.len());
    Ok(())
}

/// A configuration that forces Off, the flag, and both: the flag wins, and what is the same shows in
/// no line.
#[test]
fn a_configuration_is_asked_and_a_flag_beats_it() -> Result<()> {
    let (scratch, path) = write(fixture()?)?;
    let config = scratch.path().join("sigblame.yaml");
    fs::write(&config, "policy: { restrict_signal: \"off\" }\n")?;
    let config = config.to_string_lossy().into_owned();
    let kinds = |arguments: &[&str]| -> Result<(usize, usize, usize)> {
        let said = run(&[&[&*path, "--json"], arguments].concat())?;
        assert_eq!(said.code, Some(0), "{}", said.errors);
        let lines: Result<Vec<Value>, _> = said.output.lines().map(serde_json::from_str).collect();
        let lines = lines?;
        for line in &lines {
            let has = |side: &str| !line[side].is_null();
            let expected = match line["difference"].as_str() {
                Some("appears") => (false, true),
                Some("vanishes") => (true, false),
                _ => (true, true),
            };
            assert_eq!((has("was"), has("is")), expected, "{line:#}");
        }
        let of = |kind: &str| {
            lines
                .iter()
                .filter(|line| line["difference"] == kind)
                .count()
        };
        Ok((of("appears"), of("vanishes"), of("changes")))
    };
    assert_eq!(kinds(&["--config", &config])?, (0, 6, 16));
    assert_eq!(kinds(&["--restrict-signal", "off"])?, (0, 6, 16));
    assert_eq!(
        kinds(&["--config", &config, "--restrict-signal", "on"])?,
        (0, 0, 0)
    );
    assert_eq!(kinds(&["--restrict-signal", "on"])?, (0, 0, 0));
    Ok(())
}

/// What is asked decides, not what was recorded.
#[test]
fn a_severity_that_is_reached_has_its_code() -> Result<()> {
    let (_scratch, path) = write(fixture()?)?;
    for severity in Severity::ALL {
        let said = run(&[&path, "--fail-on", severity.name()])?;
        assert_eq!(said.code, Some(2), "{}", severity.name());
        assert!(said.errors.contains("reach --fail-on"), "{}", said.errors);
    }
    // A server that only starts has none.
    let text = String::from_utf8(fixture()?)?;
    let start: String = text.split_inclusive('\n').take(20).collect();
    let (_scratch, path) = write(start)?;
    let said = run(&[&path, "--fail-on", "notice"])?;
    assert_eq!((said.code, &*said.errors), (Some(0), ""));
    Ok(())
}

/// Whatever is named: one sentence that says what is wrong and what to do, and the promised code.
#[test]
fn what_is_no_capture_is_one_sentence() -> Result<()> {
    let text = String::from_utf8(fixture()?)?;
    let (scratch, good) = write(&text)?;
    let file = |name: &str, bytes: &[u8]| -> Result<String> {
        let path = scratch.path().join(name);
        fs::write(&path, bytes)?;
        Ok(path.to_string_lossy().into_owned())
    };
    let folder = scratch.path().to_string_lossy().into_owned();
    let pipe = scratch.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status()?.success());
    let pipe = pipe.to_string_lossy().into_owned();
    let secret = file("secret", text.as_bytes())?;
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o000))?;
    let future = text.replacen("\"sigblame_capture\":4", "\"sigblame_capture\":5", 1);
    let damaged = text.replacen("\"record\":\"", "\"record\":\"zz", 1);
    let unknown = text.replacen("\"record\"", "\"rekord\"", 1);
    let bad = file("bad.yaml", b"policy: { restrict: 1 }\n")?;
    let cases: &[(&[&str], i32, &str)] = &[
        (&["/nowhere"], 1, "No such file"),
        (&[&folder], 1, "it is a directory: name a file that"),
        (&[&pipe], 1, "the capture is empty; name a file"),
        (&[&secret], 1, "Permission denied"),
        (&["/dev/zero"], 1, "longer than 65536 bytes; name a file"),
        (&["/dev/null"], 1, "the capture is empty; name a file"),
        (
            &[&file("empty", b"")?],
            1,
            "the capture is empty; name a file",
        ),
        (
            &[&file("log", b"Nov 23 00:00:00 host\n")?],
            1,
            "line 1 is not a line",
        ),
        (
            &[&file("gz", b"\x1f\x8b\x08\x00rest")?],
            1,
            "zcat FILE | sigblame replay -",
        ),
        (
            &[&file("future", future.as_bytes())?],
            1,
            "format 5, this sigblame reads 2 to 4",
        ),
        (&[&file("damaged", damaged.as_bytes())?], 1, "record again"),
        (&[&file("unknown", unknown.as_bytes())?], 1, "rekord"),
        (
            &[&good, "--config", "/nowhere"],
            64,
            "failed to read /nowhere",
        ),
        (&[&good, "--config", &bad], 64, "bad.yaml:1"),
        (
            &[&good, "--restrict-signal", "maybe"],
            64,
            "[possible values: on, off]",
        ),
        (
            &[&good, "--fail-on", "bad"],
            64,
            "notice, warning, critical",
        ),
        (&[], 64, "<FILE>"),
    ];
    for (arguments, code, sentence) in cases {
        let said = run(arguments)?;
        assert_eq!(said.code, Some(*code), "{arguments:?}: {}", said.errors);
        assert!(
            said.errors.contains(sentence),
            "{arguments:?}: {}",
            said.errors
        );
        if *code == 1 {
            assert_eq!(said.errors.lines().count(), 1, "{}", said.errors);
            assert!(said.errors.starts_with("sigblame: failed to replay"));
        }
    }
    Ok(())
}

/// What a crash left is judged as far as it goes, and a pipe is as good as a file.
#[test]
fn half_a_capture_and_a_pipe_are_read() -> Result<()> {
    let bytes = fixture()?;
    let (_scratch, half) = write(&bytes[..bytes.len() / 2])?;
    let said = run(&[&half])?;
    assert_eq!(said.code, Some(0));
    assert!(
        said.errors.contains("ends in the middle of line"),
        "{}",
        said.errors
    );
    let (_whole, path) = write(&bytes)?;
    let mut shell = Command::new("sh");
    let program = agent_program()?;
    let script = "cat \"$1\" | \"$2\" replay -";
    shell.args(["-c", script, "sh", &path]).arg(program);
    let piped = run_to_end(&mut shell, LIMIT)?;
    assert_eq!(piped.output, run(&[&path])?.output);
    Ok(())
}

/// A capture may be longer than memory: what is read is let go.
#[test]
fn a_long_capture_needs_little_memory() -> Result<()> {
    let text = String::from_utf8(fixture()?)?;
    let (header, rest) = text.split_once('\n').context("a header")?;
    let (_scratch, path) = place("long.jsonl")?;
    let mut file = BufWriter::new(File::create(&path)?);
    writeln!(file, "{header}")?;
    // The same server again and again: it goes each time.
    for _ in 0..200 {
        file.write_all(rest.as_bytes())?;
    }
    file.flush()?;
    assert!(fs::metadata(&path)?.len() > 70 << 20);
    // The address space is the bound, in KiB: beyond it the program ends with an error.
    let script = "ulimit -v 48000; exec \"$2\" replay \"$1\" --restrict-signal off";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, "sh"])
        .arg(path)
        .arg(agent_program()?);
    let said = run_to_end(&mut shell, LIMIT)?;
    assert_eq!(said.code, Some(0), "{}", said.errors);
    assert!(said.output.contains("37800 events"), "{}", said.output);
    Ok(())
}
