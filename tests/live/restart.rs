//! The agent is killed and started again: what is open is the same afterwards.

use std::{collections::BTreeMap, fs};

use rustix::process::Signal;
use serde_json::Value;
use sigblame_tests::{
    agent::{Agent, run_to_end},
    agent_program,
    demo::{self, DAEMON_MOUNT},
    httpd::Mpm,
    scratch::Scratch,
    wait_for,
};

use crate::{
    life::{kill, wait_until_gone},
    support::{PATIENCE, blocked_at_start},
};

/// The open findings about a server, by what names them for ever.
fn open(agent: &Agent, master: u32) -> BTreeMap<String, Value> {
    let all = agent.findings(master).unwrap();
    let open = all.into_iter().filter(|finding| finding["state"] == "open");
    open.map(|finding| (finding["id"].as_str().unwrap().to_owned(), finding))
        .collect()
}

fn start(state: &str, capture: &str) -> Agent {
    let flags = [
        "--state-dir",
        state,
        "--capture",
        capture,
        "--log.format",
        "json",
    ];
    Agent::with(&flags).unwrap()
}

fn kill_agent(agent: &Agent) {
    // What is open reaches the disk behind the loop.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    kill(u64::from(agent.pid()), Signal::KILL);
    let ended = wait_for(PATIENCE, || agent.has_ended().then_some(()));
    assert!(ended.is_some());
}

/// Takeovers and attempts of embedded workers and daemons are the same after `kill -9`. What is given
/// back is then heard as ever; what was given back, or went with its worker, while no agent was there
/// is over. A replay of what the later agent heard tells what that one told.
#[test]
fn what_is_open_survives_a_killed_agent() {
    let scratch = Scratch::new("state").unwrap();
    let state = scratch.path().join("state");
    let captures = ["first", "second", "third"].map(|name| scratch.path().join(name));
    let [state, first, second, third] =
        [&state, &captures[0], &captures[1], &captures[2]].map(|path| path.to_str().unwrap());
    let agent = start(state, first);
    let server = demo::start(Mpm::Event).unwrap();
    let master = server.pid();
    let get = |path: &str| assert_eq!(server.get(path).unwrap().status, 200, "{path}");
    blocked_at_start(&agent, &server);
    for mount in ["", DAEMON_MOUNT] {
        for path in ["/library/", "/ctypes/", "/faulthandler/", "/alarm/"] {
            get(&format!("{mount}{path}"));
        }
    }
    // Attempts, SIGTERM, SIGPIPE, five of faulthandler, SIGALRM; in either role.
    let are_there = || (open(&agent, master).len() == 22).then_some(());
    assert!(
        wait_for(PATIENCE, are_there).is_some(),
        "{}",
        agent.output()
    );
    let before = open(&agent, master);
    kill_agent(&agent);

    let agent = start(state, second);
    assert_eq!(open(&agent, master), before, "{}", agent.log());
    let told = agent.output();
    assert_eq!(told, "", "nobody is told what was told");
    get("/ctypes/restore");
    let is_over = || (open(&agent, master).len() == 21).then_some(());
    assert!(wait_for(PATIENCE, is_over).is_some(), "{}", agent.output());
    kill_agent(&agent);

    get("/alarm/restore");
    let daemon = before
        .values()
        .find(|finding| finding["worker"]["role"] == "daemon")
        .and_then(|finding| finding["worker"]["pid"].as_u64())
        .unwrap();
    kill(daemon, Signal::KILL);
    wait_until_gone(daemon, "killed");
    // The next one has been up for a while.
    get(&format!("{DAEMON_MOUNT}/clean/"));
    let agent = start(state, third);
    let left = open(&agent, master);
    let is_of_old = |id: &&String| before.contains_key(*id);
    // The new daemon is another cause of nothing: it was not asked for anything.
    let old: Vec<&String> = left.keys().filter(is_of_old).collect();
    assert_eq!(old.len(), 9, "{left:#?}");
    for id in old {
        assert_eq!(left[id]["worker"]["role"], "embedded");
        assert_eq!(left[id], before[id]);
    }
    let told: Vec<Value> = agent
        .output()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let over = told.iter().filter(|finding| finding["state"] == "resolved");
    assert_eq!(over.count(), 12, "{}", agent.output());
    agent.signal(Signal::TERM).unwrap();
    let ended = wait_for(PATIENCE, || agent.has_ended().then_some(()));
    assert!(ended.is_some());
    let mut replay = std::process::Command::new(agent_program().unwrap());
    replay.args(["replay", third, "--json"]);
    let replayed = run_to_end(&mut replay, PATIENCE).unwrap();
    assert_eq!(replayed.output, agent.output());
    assert!(fs::metadata(format!("{state}/sigblame.db")).unwrap().len() > 0);
    server.stop().unwrap();
}
