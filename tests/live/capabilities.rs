//! The capabilities that the systemd unit gives are enough.

use std::{fs, process::Command};

use sigblame_tests::{
    agent::Agent,
    demo::{self, DAEMON_MOUNT},
    httpd::Mpm,
    package_dir,
    scratch::Scratch,
    skip,
};

use crate::{
    bad_input::{NOBODY, public_agent},
    support::{ask, assert_frames, blocked_at_start, call_for, findings},
};

/// `AmbientCapabilities=` of the unit, as setpriv writes them: `+bpf,+perfmon`.
fn capabilities() -> String {
    let unit = package_dir().join("../deploy/systemd/sigblame.service");
    let text = fs::read_to_string(unit).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("AmbientCapabilities="));
    let names: Vec<String> = line
        .unwrap()
        .split_whitespace()
        .map(|name| name.replace("CAP_", "+").to_lowercase())
        .collect();
    names.join(",")
}

/// As nobody, with the unit's capabilities and no others, without a way to gain more: the agent finds
/// a server that is there already and one that starts later, roles and stacks included.
#[test]
fn capabilities_of_the_unit_are_enough() {
    if Command::new("setpriv").arg("--version").output().is_err() {
        skip(
            "capabilities_of_the_unit_are_enough",
            "no setpriv is installed",
        );
        return;
    }
    let scratch = Scratch::new("capabilities").unwrap();
    let (user, set) = (NOBODY.to_string(), format!("-all,{}", capabilities()));
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            &user,
            "--regid",
            &user,
            "--clear-groups",
            "--no-new-privs",
        ])
        .args([
            "--inh-caps",
            &set,
            "--ambient-caps",
            &set,
            "--bounding-set",
            &set,
        ])
        .arg(public_agent(&scratch))
        .args(["run"])
        .current_dir("/");
    let before = demo::start(Mpm::Event).unwrap();
    for mount in ["", DAEMON_MOUNT] {
        ask(&before, &format!("{mount}/clean/?json"));
    }
    let agent = Agent::run(&mut command).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    assert!(
        status.contains(&format!("Uid:\t{user}\t{user}")),
        "{status}"
    );

    let after = demo::start(Mpm::Prefork).unwrap();
    let at_start = blocked_at_start(&agent, &after).len();
    for (server, at_start) in [(&before, 0), (&after, at_start)] {
        for (count, (mount, role)) in (1..).zip([("", "embedded"), (DAEMON_MOUNT, "daemon")]) {
            let answer = ask(server, &format!("{mount}/library/?json"));
            let found = findings(&agent, server, mount, |all| all.len() == at_start + count);
            let finding = found.last().unwrap();
            assert_eq!(finding["worker"]["role"], role, "{finding:#}");
            assert_eq!(finding["blame"]["module"], demo::LIBRARY, "{finding:#}");
            assert_frames(finding, call_for(&answer, &finding["signal"]["number"]));
        }
    }
}
