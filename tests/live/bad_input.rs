//! What can be wrong around the agent: one sentence that tells what to do, the right exit code, and
//! no panic.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use sigblame_tests::{
    agent::{Agent, Said, run_to_end},
    agent_program, demo,
    httpd::Mpm,
    scratch::{self, Scratch},
    wait_for,
};

use crate::support::PATIENCE;

/// Nobody's user and group.
pub(crate) const NOBODY: u32 = 65534;

/// A copy of the agent that everybody can run: the original may lie in a private directory.
pub(crate) fn public_agent(scratch: &Scratch) -> PathBuf {
    let copy = scratch.path().join("sigblame");
    fs::copy(agent_program().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(agent_program().unwrap());
    command.args(arguments);
    command
}

/// The same in a mount namespace in which these directories are empty.
fn agent_without(hidden: &[&str], arguments: &[&str]) -> Command {
    let mounts: String = hidden
        .iter()
        .map(|path| format!("if [ -d {path} ]; then mount -t tmpfs tmpfs {path} || exit 99; fi; "))
        .collect();
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", &format!("{mounts}exec \"$@\""), "sh"])
        .arg(agent_program().unwrap())
        .args(arguments);
    command
}

fn run(command: &mut Command) -> Said {
    run_to_end(command, PATIENCE).unwrap()
}

/// Asserts that an agent ended with one sentence that holds all of `parts`, after nothing but
/// lines of its log.
#[track_caller]
fn assert_ended(said: &Said, code: i32, parts: &[&str]) {
    assert_eq!(said.code, Some(code), "{said:?}");
    assert_eq!(said.output, "", "{said:?}");
    let sentence = said.errors.lines().last().unwrap_or_default();
    assert!(sentence.starts_with("sigblame: "), "{said:?}");
    for part in parts {
        assert!(sentence.contains(part), "{part:?} in {sentence:?}");
    }
    assert!(!said.errors.contains("panicked"), "{said:?}");
    assert!(
        sentence.matches("os error").count() <= 1,
        "the cause is told once: {said:?}"
    );
    let others = said.errors.lines().filter(|line| !line.contains(" INFO "));
    assert_eq!(others.count(), 1, "one sentence: {said:?}");
}

/// Without root: 69, and which privilege would do.
#[test]
fn without_privilege_it_says_which() {
    let scratch = Scratch::new("unprivileged").unwrap();
    let program = public_agent(&scratch);
    for arguments in [
        &["run", "--web.listen-address", "127.0.0.1:0"][..],
        &["trace"],
    ] {
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .uid(NOBODY)
            .gid(NOBODY)
            .current_dir("/");
        assert_ended(&run(&mut command), 69, &["failed to", "run as root"]);
    }
}

/// A kernel without its types, and a host without tracefs: 69, and how to mend it.
#[test]
fn without_btf_or_tracefs_it_says_how_to_mend_that() {
    let tracefs = ["/sys/kernel/tracing", "/sys/kernel/debug"];
    let cases: [(&[&str], &[&str]); 2] = [
        (
            &["/sys/kernel/btf"],
            &["/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF"],
        ),
        (&tracefs, &["mount -t tracefs tracefs /sys/kernel/tracing"]),
    ];
    for (hidden, parts) in cases {
        for arguments in [
            &["run", "--web.listen-address", "127.0.0.1:0"][..],
            &["trace"],
        ] {
            assert_ended(&run(&mut agent_without(hidden, arguments)), 69, parts);
        }
        let doctor = run(&mut agent_without(hidden, &["doctor"]));
        assert_eq!(doctor.code, Some(1), "{doctor:?}");
        assert!(doctor.output.contains("MISSING"), "{doctor:?}");
    }
}

/// A port that somebody has: 1, and which flag chooses another.
#[test]
fn port_in_use_is_said() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let said = run(&mut agent(&["run", "--web.listen-address", &address]));
    assert!(!said.errors.contains("os error"), "{said:?}");
    assert_ended(
        &said,
        1,
        &["address already in use", &address, "--web.listen-address"],
    );
}

/// A key that nobody knows: 64, the file, the line and the nearest key. The same from `check-config`.
#[test]
fn unknown_key_is_named_with_its_line_and_the_nearest() {
    let scratch = Scratch::new("config").unwrap();
    let file = scratch.path().join("sigblame.yaml");
    scratch::write(
        &file,
        "log:\n  level: info\npolicy:\n  restrict_signals: on\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let place = format!("{file}:4:");
    for arguments in [&["run", "--config", file][..], &["check-config", file]] {
        let said = run(&mut agent(arguments));
        assert_ended(
            &said,
            64,
            &[&place, "restrict_signals", "\"restrict_signal\"?"],
        );
    }
    let said = run(&mut agent(&["run", "--config", "/nowhere/sigblame.yaml"]));
    assert_ended(&said, 64, &["/nowhere/sigblame.yaml", "--config"]);
}

/// A state directory that cannot be written, because a file is in its place or the file system is
/// the kernel's own: 1, and which flag chooses another.
#[test]
fn state_directory_that_cannot_be_written_is_said() {
    let scratch = Scratch::new("state").unwrap();
    let file = scratch.path().join("file");
    scratch::write(&file, "").unwrap();
    for directory in [file.to_str().unwrap(), "/proc/sigblame"] {
        let arguments = [
            "run",
            "--web.listen-address",
            "127.0.0.1:0",
            "--state-dir",
            directory,
        ];
        assert_ended(&run(&mut agent(&arguments)), 1, &[directory, "--state-dir"]);
    }
}

/// Two agents, two ports, each ready; each ends with 0 within two seconds of SIGTERM.
#[test]
fn second_agent_works_beside_the_first_and_both_end_at_once() {
    let agents = [Agent::start().unwrap(), Agent::start().unwrap()];
    for agent in agents {
        assert_eq!(agent.get("/-/healthy").unwrap().status, 200);
        let start = Instant::now();
        let ended = agent.stop().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
    }
}

/// SIGHUP with a broken file changes nothing and is logged with file and line; with a good one it
/// takes effect.
#[test]
fn broken_reload_keeps_what_was() {
    let scratch = Scratch::new("reload").unwrap();
    let file = scratch.path().join("sigblame.yaml");
    scratch::write(&file, "policy:\n  restrict_signal: off\n").unwrap();
    let agent = Agent::with(&["--config", file.to_str().unwrap()]).unwrap();
    let says = |sentence: &str| {
        let said = wait_for(PATIENCE, || agent.log().contains(sentence).then_some(()));
        assert!(said.is_some(), "{sentence}: {}", agent.log());
    };
    scratch::write(&file, "policy:\n  restrict_signal: perhaps\n").unwrap();
    agent.signal(Signal::HUP).unwrap();
    says("configuration kept as it was");
    says(&format!("{}:2:", file.display()));
    assert_eq!(agent.get("/-/ready").unwrap().status, 200);
    scratch::write(&file, "policy:\n  restrict_signal: on\n").unwrap();
    agent.signal(Signal::HUP).unwrap();
    says("configuration read again");
}

/// A reader who has seen enough, like `head`, is no reason to panic: the agent ends with 0.
#[test]
fn closed_output_is_no_failure() {
    let mut command = Command::new("bash");
    let script = "\"$0\" run \"$@\" | head -n 1; echo \"code ${PIPESTATUS[0]}\"";
    command.args(["-c", script]).arg(agent_program().unwrap());
    let agent = Agent::run(&mut command).unwrap();
    let server = demo::start(Mpm::Event).unwrap();
    // The first finding ends `head`, the next one the agent.
    let ended = wait_for(PATIENCE, || {
        server.get("/ctypes/").unwrap();
        server.get("/ctypes/restore").unwrap();
        agent.has_ended().then_some(())
    });
    assert!(ended.is_some(), "{}", agent.log());
    let output = agent.output();
    // The line is the first finding's, which may be another server's.
    assert_eq!(output.lines().count(), 2, "{output}");
    assert!(output.ends_with("code 0\n"), "{output}\n{}", agent.log());
    assert!(!agent.log().contains("panicked"), "{}", agent.log());
}
