//! A replay of a recording tells what was told live.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use sigblame_tests::{
    agent::{Agent, Said, run_to_end},
    agent_program,
    demo::{self, DAEMON_MOUNT, ROUTES},
    httpd::{Httpd, Mpm},
    process::Scoped,
    scratch::Scratch,
    wait_for,
};

use crate::support::{PATIENCE, blocked_at_start};

/// A `sigblame record`.
struct Recorder {
    process: Scoped,
    scratch: Scratch,
}

impl Recorder {
    fn start(arguments: &[&str]) -> Self {
        let scratch = Scratch::new("record").unwrap();
        let said = File::create(scratch.path().join("said")).unwrap();
        let mut command = Command::new(agent_program().unwrap());
        command.arg("record").arg(scratch.path().join("capture"));
        command.args(arguments).stdin(Stdio::null()).stderr(said);
        let process = Scoped::spawn(&mut command, Duration::from_secs(5)).unwrap();
        let recorder = Self { process, scratch };
        let records = || recorder.said().contains("recording").then_some(());
        assert!(wait_for(PATIENCE, records).is_some(), "{}", recorder.said());
        recorder
    }

    fn said(&self) -> String {
        fs::read_to_string(self.scratch.path().join("said")).unwrap()
    }

    fn stop(&self) {
        self.process.signal(Signal::TERM).unwrap();
        let ended = wait_for(PATIENCE, || self.process.has_ended().then_some(()));
        assert!(ended.is_some(), "{}", self.said());
    }

    fn replay(&self) -> Said {
        replay(&self.scratch.path().join("capture"))
    }
}

fn replay(capture: &Path) -> Said {
    let mut command = Command::new(agent_program().unwrap());
    command.arg("replay").arg(capture).arg("--json");
    let said = run_to_end(&mut command, PATIENCE).unwrap();
    assert_eq!(said.code, Some(0), "{}", said.errors);
    said
}

/// Every link of the demo site, in both mounts.
fn click(server: &Httpd) {
    for mount in ["", DAEMON_MOUNT] {
        for route in ROUTES {
            let page = server.get(&format!("{mount}{}", route.path)).unwrap();
            assert_eq!(page.status, 200, "{}", page.body);
        }
    }
}

/// What of a server's findings does not depend on when an agent was started, or stopped: a cause that
/// comes and goes is told at a pace.
fn told_of(output: &str, master: u32) -> Vec<String> {
    let lines = output.lines().map(serde_json::from_str);
    let lines: Vec<Value> = lines.collect::<Result<_, _>>().unwrap();
    let own = lines.iter().filter(|line| line["server"]["pid"] == master);
    let mut told: Vec<String> = own
        .map(|line| {
            let parts = ["rule", "fingerprint", "signal", "worker", "python"];
            parts.map(|part| line[part].to_string()).join(" ")
        })
        .collect();
    told.sort_unstable();
    told.dedup();
    told
}

/// One agent told, another one recorded: a server's life with takeovers, attempts, a graceful restart, a
/// worker that is killed, and a configuration that changes under it. The replay of what the first one
/// heard is what it had said, byte for byte, and what the second one heard comes to the same.
#[test]
fn a_replay_tells_what_was_told() {
    let scratch = Scratch::new("replay").unwrap();
    let capture = scratch.path().join("capture");
    let config = scratch.path().join("sigblame.yaml");
    fs::write(&config, "policy: { restrict_signal: auto }\n").unwrap();
    let files = [capture.to_str().unwrap(), config.to_str().unwrap()];
    let flags = [
        "--log.format",
        "json",
        "--capture",
        files[0],
        "--config",
        files[1],
    ];
    let agent = Agent::with(&flags).unwrap();
    let recorder = Recorder::start(&[]);

    let server = demo::start(Mpm::Event).unwrap();
    let master = server.pid();
    blocked_at_start(&agent, &server);
    click(&server);
    server.graceful().unwrap();
    click(&server);
    let worker = server.children().unwrap()[0];
    crate::life::kill(u64::from(worker), Signal::KILL);
    click(&server);
    server.stop().unwrap();
    let is_over = || {
        let open = agent.findings(master).unwrap();
        let open = open.iter().filter(|finding| finding["state"] == "open");
        (open.count() == 0).then_some(())
    };
    assert!(wait_for(PATIENCE, is_over).is_some(), "{}", agent.log());
    recorder.stop();

    // From here on it is judged by other words.
    fs::write(&config, "policy: { restrict_signal: \"off\" }\n").unwrap();
    agent.signal(Signal::HUP).unwrap();
    let read = || {
        agent
            .log()
            .contains("configuration read again")
            .then_some(())
    };
    assert!(wait_for(PATIENCE, read).is_some(), "{}", agent.log());
    let other = demo::start(Mpm::Prefork).unwrap();
    click(&other);
    let others = other.pid();
    agent.signal(Signal::TERM).unwrap();
    let ended = wait_for(PATIENCE, || agent.has_ended().then_some(()));
    assert!(ended.is_some(), "{}", agent.log());

    let live = agent.output();
    assert!(told_of(&live, master).len() > 20, "{live}");
    let off = told_of(&live, others);
    assert!(off.iter().any(|line| line.contains("sigalrm")), "{off:#?}");
    let again = replay(&capture).output;
    for (number, (then, now)) in (1..).zip(live.lines().zip(again.lines())) {
        assert_eq!(then, now, "line {number}");
    }
    assert_eq!(live.len(), again.len());

    let recorded = recorder.replay().output;
    assert_eq!(told_of(&live, master), told_of(&recorded, master));
    other.stop().unwrap();
}

/// A recording is its owner's, overwrites nothing, ends when it was told to, and has whole lines.
#[test]
fn a_recording_keeps_to_its_bounds() {
    use std::os::unix::fs::PermissionsExt as _;

    let server = demo::start(Mpm::Event).unwrap();
    let recorder = Recorder::start(&["--for", "2s"]);
    let ended = wait_for(PATIENCE, || recorder.process.has_ended().then_some(()));
    assert!(ended.is_some(), "{}", recorder.said());
    let said = recorder.said();
    assert!(
        said.contains("recorded ") && said.contains(" MiB, "),
        "{said}"
    );
    let capture = recorder.scratch.path().join("capture");
    let mode = fs::metadata(&capture).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    recorder.replay();

    let record = |arguments: &[&str]| {
        let mut command = Command::new(agent_program().unwrap());
        command.arg("record").arg(&capture).args(arguments);
        run_to_end(&mut command, PATIENCE).unwrap()
    };
    let said = record(&[]);
    assert_eq!(said.code, Some(1));
    assert!(
        said.errors.contains("it is there already"),
        "{}",
        said.errors
    );
    let said = record(&["--force", "--max-size", "4K"]);
    assert_eq!(said.code, Some(0), "{}", said.errors);
    assert!(
        said.errors.contains("--max-size allows more"),
        "{}",
        said.errors
    );
    assert!(fs::metadata(&capture).unwrap().len() <= 4096);
    assert!(!replay(&capture).errors.contains("ends in the middle"));

    // A disk that is full: one sentence, and the code of a failure.
    let mut command = Command::new(agent_program().unwrap());
    command.args(["record", "--force", "/dev/full"]);
    let said = run_to_end(&mut command, PATIENCE).unwrap();
    assert_eq!(said.code, Some(1), "{}", said.errors);
    let sentences = said
        .errors
        .lines()
        .filter(|line| line.contains("failed to write"));
    assert_eq!(sentences.count(), 1, "{}", said.errors);
    server.stop().unwrap();
}
