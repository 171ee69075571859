//! What stands in workers though nobody was seen to set it.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sigblame_tests::{
    agent::Agent,
    demo::{self, DAEMON_MOUNT},
    httpd::{Httpd, Mpm},
    skip, wait_for,
};

use crate::support::{HARD_DAEMON, PATIENCE, ask, builder, findings, hard};

const RULE: &str = "disposition-drift";

/// Role, signal and owner of each finding, which all have to be drifts.
fn told(found: &[Value]) -> Vec<[String; 3]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut told: Vec<_> = found
        .iter()
        .map(|finding| {
            assert_eq!(finding["rule"], RULE, "{finding:#}");
            [
                text(&finding["worker"]["role"]),
                text(&finding["signal"]["name"]),
                text(&finding["change"]["new"]["owner"]),
            ]
        })
        .collect();
    told.sort();
    told
}

fn workers(agent: &Agent, server: &Httpd) -> Vec<Value> {
    let answer: Value = serde_json::from_str(&agent.get("/api/v1/workers").unwrap().body).unwrap();
    let children = server.children().unwrap();
    let is_ours = |worker: &&Value| {
        children
            .iter()
            .any(|child| worker["pid"].as_u64() == Some(u64::from(*child)))
    };
    let workers = answer["workers"].as_array().unwrap().iter();
    workers.filter(is_ours).cloned().collect()
}

fn on<'a>(worker: &'a Value, signal: &str) -> &'a Value {
    let signals = worker["signals"].as_array().unwrap();
    signals.iter().find(|on| on["name"] == signal).unwrap()
}

/// SIGTERM and SIGHUP in a library, the crash signals in `faulthandler`, SIGPIPE at its default: in a
/// daemon and in an embedded worker, all of it before the agent. Nothing of a clean server beside it.
#[test]
fn handlers_set_before_the_agent_starts() {
    let library = hard(Mpm::Event).start().unwrap();
    let site = demo::without_billing(Mpm::Prefork)
        .unwrap()
        .start()
        .unwrap();
    let clean = demo::without_billing(Mpm::Worker).unwrap().start().unwrap();
    for mount in ["", DAEMON_MOUNT] {
        ask(&clean, &format!("{mount}/clean/?json"));
        ask(&site, &format!("{mount}/faulthandler/?json"));
        ask(&site, &format!("{mount}/ctypes/?json"));
    }
    for signal in [1, 15] {
        ask(&library, &format!("{HARD_DAEMON}/cdll/{signal}"));
        ask(&library, &format!("/cdll/{signal}"));
    }
    let began = Instant::now();
    let agent = Agent::start().unwrap();
    let found = findings(&agent, &library, "a library", |all| all.len() == 4);
    let expected = ["daemon", "embedded"].map(|role| {
        ["SIGHUP", "SIGTERM"].map(|signal| [role, signal, "libhard.so"].map(str::to_owned))
    });
    assert_eq!(told(&found), expected.as_flattened());
    // A second after the first look, not a minute; the machine may be busy.
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    for finding in &found {
        let also = json!(["reserved-signal", "restricted-registration"]);
        assert_eq!(finding["also"], also, "{finding:#}");
        assert_eq!(finding["source"], "inventory");
        assert_eq!(finding["route"], "unknown");
        assert_eq!(finding["thread"], Value::Null);
        assert_eq!(finding["change"]["old"]["kind"], "unknown");
        assert_eq!(finding["change"]["new"]["symbol"], "on_signal");
        assert_eq!(finding["blame"]["module"], "libhard.so");
        assert_eq!(finding["drift"]["seen"], "start");
        assert_eq!(finding["drift"]["by_32_bit_call"], false);
        let address = finding["drift"]["address"].as_str().unwrap();
        let pid = finding["worker"]["pid"].as_u64().unwrap();
        assert_eq!(mapped_at(pid, address), "libhard.so", "{finding:#}");
    }
    let found = findings(&agent, &site, "the site", |all| all.len() == 12);
    let mut expected = Vec::new();
    for role in ["daemon", "embedded"] {
        for signal in [
            "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGPIPE", "SIGSEGV",
        ] {
            let owner = match signal {
                "SIGPIPE" => "",
                _ => found[0]["change"]["new"]["owner"].as_str().unwrap(),
            };
            expected.push([role, signal, owner].map(str::to_owned));
        }
    }
    assert_eq!(told(&found), expected);
    assert_eq!(agent.findings(clean.pid()).unwrap(), Vec::<Value>::new());
    // They end with their workers.
    library.graceful().unwrap();
    findings(&agent, &library, "resolved", |all| {
        all.iter().all(|finding| finding["state"] == "resolved")
    });
}

/// The file that is mapped at an address of a process.
fn mapped_at(pid: u64, address: &str) -> String {
    let hexadecimal = |digits: &str| u64::from_str_radix(digits, 16).unwrap();
    let address = hexadecimal(address.strip_prefix("0x").unwrap());
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let is_there = |line: &&str| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        (hexadecimal(start)..hexadecimal(end)).contains(&address)
    };
    let line = maps.lines().find(is_there).unwrap_or_default();
    line.rsplit('/').next().unwrap().to_owned()
}

/// On the tracepoint rung nobody sees the call; the kernel marks what it left.
#[test]
fn a_32_bit_call_that_the_tracepoint_cannot_see() {
    let test = "a_32_bit_call_that_the_tracepoint_cannot_see";
    let agent = Agent::with(&["--registration-rung", "tracepoint"]).unwrap();
    let server = hard(Mpm::Event).start().unwrap();
    ask(&server, &format!("{HARD_DAEMON}/busy/0"));
    workers(&agent, &server);
    let answer = ask(&server, &format!("{HARD_DAEMON}/entry32/1"));
    if answer["notes"][0] != "result: 0" {
        skip(test, "the kernel takes no 32-bit calls");
        return;
    }
    let pid = answer["pid"].clone();
    // The agent looks by itself within the minute; whoever asks need not wait.
    let found = wait_for(PATIENCE, || {
        workers(&agent, &server);
        let found = agent.findings(server.pid()).unwrap();
        (!found.is_empty()).then_some(found)
    });
    let found = found.unwrap_or_else(|| panic!("{}", agent.log()));
    assert_eq!(told(&found), [["daemon", "SIGHUP", ""].map(str::to_owned)]);
    let finding = &found[0];
    assert_eq!(finding["worker"]["pid"], pid);
    assert_eq!(finding["drift"]["by_32_bit_call"], true, "{finding:#}");
    assert_eq!(finding["drift"]["seen"], "later");
    assert_eq!(finding["change"]["new"]["kind"], "ignore");
    let message = finding["message"].as_str().unwrap();
    assert!(message.contains("a 32-bit system call set it"), "{message}");
    // A call that is seen ends what was not.
    ask(&server, &format!("{HARD_DAEMON}/reset/1"));
    let taken = workers(&agent, &server);
    let worker = taken.iter().find(|worker| worker["pid"] == pid).unwrap();
    let hangup = on(worker, "SIGHUP");
    assert_eq!(
        (&hangup["kind"], &hangup["seen_by"]),
        (&json!("default"), &json!("event"))
    );
}

/// Without the iterator the masks say that there is a handler, and no more.
#[test]
fn masks_stand_in_where_the_kernel_refuses_the_iterator() {
    let server = hard(Mpm::Event).start().unwrap();
    ask(&server, &format!("{HARD_DAEMON}/cdll/12"));
    let agent = Agent::with(&["--inventory-rung", "masks"]).unwrap();
    let found = findings(&agent, &server, "by masks", |all| all.len() == 1);
    let finding = &found[0];
    assert_eq!(told(&found), [["daemon", "SIGUSR2", ""].map(str::to_owned)]);
    assert_eq!(finding["source"], "masks");
    assert_eq!(finding["change"]["new"]["kind"], "handler");
    assert_eq!(finding["drift"]["address"], Value::Null);
    let status: Value = serde_json::from_str(&agent.get("/api/v1/status").unwrap().body).unwrap();
    let hooks = status["hooks"].as_array().unwrap().iter();
    let rungs: Vec<_> = hooks
        .filter(|hook| hook["hook"] == "inventory")
        .map(|hook| {
            (
                hook["mechanism"].as_str().unwrap(),
                hook["attached"] == true,
            )
        })
        .collect();
    assert_eq!(rungs, [("iter", false), ("masks", true)]);
    // What is seen is told as ever, and no mask contradicts it.
    ask(&server, &format!("{HARD_DAEMON}/cdll/1"));
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(1_200));
        workers(&agent, &server);
    }
    let rules: Vec<_> = agent.findings(server.pid()).unwrap();
    let rules: Vec<_> = rules
        .iter()
        .map(|finding| finding["rule"].clone())
        .collect();
    assert_eq!(rules, [RULE, "reserved-signal"]);
}

/// One daemon of four ignores a signal that the others do not: it is named, with how many differ.
#[test]
fn a_worker_that_differs_from_its_siblings_is_named() {
    let server = builder(Mpm::Event)
        .daemon("hard", "processes=4 threads=1")
        .script(
            "/",
            "hard.py",
            &sigblame_tests::httpd::Place::daemon("hard", "hard"),
        )
        .start()
        .unwrap();
    let pid = ask(&server, "/ignore/12")["pid"].clone();
    let agent = Agent::start().unwrap();
    let found = findings(&agent, &server, "the odd one", |all| all.len() == 1);
    assert_eq!(told(&found), [["daemon", "SIGUSR2", ""].map(str::to_owned)]);
    let finding = &found[0];
    assert_eq!(finding["worker"]["pid"], pid);
    assert_eq!(finding["drift"]["differs_from"], 3);
    assert_eq!(finding["drift"]["agrees_with"], 0);
    let message = finding["message"].as_str().unwrap();
    assert!(message.ends_with("1 of 4 workers."), "{message}");
    for worker in workers(&agent, &server) {
        let expected = match worker["pid"] == pid {
            true => json!(["SIGUSR2"]),
            false => json!([]),
        };
        assert_eq!(worker["differs"], expected, "{}", worker["pid"]);
        let ignored = on(&worker, "SIGUSR2");
        assert_eq!(ignored["seen_by"], "inventory");
        assert!(ignored["since"].is_string());
    }
}

/// Three looks and a graceful restart: what the server sets by itself explains itself.
#[test]
fn a_clean_server_is_silent() {
    for mpm in Mpm::ALL {
        let server = demo::without_billing(mpm).unwrap().start().unwrap();
        let agent = Agent::start().unwrap();
        for round in 0..4 {
            for mount in ["", DAEMON_MOUNT] {
                ask(&server, &format!("{mount}/clean/?json"));
            }
            std::thread::sleep(Duration::from_millis(1_100));
            for worker in workers(&agent, &server) {
                assert_eq!(worker["differs"], json!([]), "{mpm:?}, round {round}");
            }
            if round == 1 {
                server.graceful().unwrap();
            }
        }
        let found = agent.findings(server.pid()).unwrap();
        assert_eq!(found, Vec::<Value>::new(), "{mpm:?}");
    }
}
