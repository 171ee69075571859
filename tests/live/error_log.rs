//! A mod_wsgi whose intercept cannot be found: the error log tells of blocked attempts instead, and
//! the agent says that it is so.
//!
//! Up to 5.x the line has the level `warn`, which is there by default; from 6.0 on `info`.

use std::{fs, path::Path};

use anyhow::Result;
use serde_json::Value;
use sigblame_tests::{
    agent::Agent,
    httpd::{Builder, Httpd, Installation, Mpm},
    skip, wait_for,
};

use crate::{
    restriction::{ALONE, CLEAN, DAEMON, EMBEDDED, pip, site, stripped, system},
    support::{PATIENCE, ask, findings},
};

/// Another name for the intercept's type, which the loader's hash of names cannot tell from the
/// real one (`dl_new_hash` of glibc: 33 times what was before, and the next byte): the module refers
/// to itself by it.
const NAMES: [&[u8; 15]; 2] = [b"SignalIntercept", b"SihMalIntercept"];

/// Leaves nothing by which the intercept could be found.
fn hidden(file: &Path) -> Result<()> {
    stripped(file)?;
    let mut bytes = fs::read(file)?;
    let mut at = 0;
    let mut changed = 0;
    while let Some(found) = bytes[at..].windows(15).position(|name| name == NAMES[0]) {
        at += found;
        bytes[at..at + 15].copy_from_slice(NAMES[1]);
        changed += 1;
    }
    assert!(changed > 0, "{} has the type", file.display());
    fs::write(file, bytes)?;
    Ok(())
}

fn builder(installation: &Installation) -> Builder {
    site(installation, hidden, Mpm::Event, "")
}

/// Attempts in each kind of worker, as the error log has them.
fn attempts_are_told(agent: &Agent, server: &Httpd) {
    for mount in [EMBEDDED, DAEMON, ALONE] {
        attempt_is_told(agent, server, mount);
    }
    ask(server, CLEAN);
}

fn attempt_is_told(agent: &Agent, server: &Httpd, mount: &str) {
    let answer = ask(server, &format!("{mount}/one"));
    assert_eq!(answer["intercepted"], true);
    let call = &answer["calls"][0];
    let is_it = |finding: &&Value| {
        finding["worker"]["pid"] == answer["pid"]
            && finding["blame"]["line"] == call["frames"][0]["line"]
    };
    let all = findings(agent, server, mount, |all| all.iter().any(|f| is_it(&f)));
    let finding = all.iter().find(is_it).unwrap();
    assert_eq!(finding["rule"], "blocked-attempt");
    assert_eq!(finding["source"], "error-log", "{finding:#}");
    assert_eq!(finding["route"], "intercept");
    assert_eq!(finding["outcome"], "blocked");
    assert_eq!(finding["signal"]["number"], call["signals"][0]);
    assert_eq!(finding["server"]["restrict_signal"], "on");
    assert_eq!(finding["server"]["restrict_signal_from"], "default");
    assert_eq!(finding["server"]["mod_wsgi"], answer["mod_wsgi"]);
    let role = if mount == EMBEDDED {
        "embedded"
    } else {
        "daemon"
    };
    assert_eq!(finding["worker"]["role"], role);
    assert_eq!(finding["blame"]["file"], call["frames"][0]["file"]);
    let lines = |frames: &Value| -> Vec<(Value, Value)> {
        let frames = frames.as_array().unwrap().iter();
        frames
            .map(|f| (f["file"].clone(), f["line"].clone()))
            .collect()
    };
    assert_eq!(lines(&finding["python"]["frames"]), lines(&call["frames"]));
}

/// The hook's row, and the agent's log, name the file in which it was not found.
fn row_says_so(agent: &Agent, server: &Httpd) {
    let module = server.dir().join("modules/mod_wsgi.so");
    let module = module.to_str().unwrap();
    let mut hooks = Value::Null;
    let said = wait_for(PATIENCE, || {
        let status: Value =
            serde_json::from_str(&agent.get("/api/v1/status").unwrap().body).unwrap();
        hooks = status["hooks"].clone();
        let mut rows = hooks.as_array().unwrap().iter();
        let is_it = |row: &Value| {
            row["hook"] == "intercept"
                && row["reason"]
                    .as_str()
                    .is_some_and(|why| why.contains(module))
        };
        rows.any(is_it).then_some(())
    });
    assert!(said.is_some(), "{hooks:#}");
    assert!(agent.log().contains(module), "{}", agent.log());
}

/// The system's mod_wsgi, whose level is `warn`; the log is rotated meanwhile, as `logrotate` does.
#[test]
fn blocked_attempt_is_told_by_the_log_through_a_rotation() {
    let agent = Agent::start().unwrap();
    let server = builder(&system().unwrap()).start().unwrap();
    attempts_are_told(&agent, &server);
    row_says_so(&agent, &server);
    let log = server.dir().join("error.log");
    fs::rename(&log, log.with_extension("log.1")).unwrap();
    // The workers have the old file open until they go.
    attempts_are_told(&agent, &server);
    server.control("graceful").unwrap();
    wait_for(PATIENCE, || log.exists().then_some(())).unwrap();
    attempts_are_told(&agent, &server);
    // `copytruncate`.
    fs::copy(&log, log.with_extension("log.2")).unwrap();
    fs::File::options()
        .write(true)
        .open(&log)
        .unwrap()
        .set_len(0)
        .unwrap();
    attempts_are_told(&agent, &server);
}

/// mod_wsgi 6, whose level is `info`.
#[test]
fn blocked_attempt_of_mod_wsgi_6_is_told_where_the_log_has_it() {
    let test = "error_log::blocked_attempt_of_mod_wsgi_6_is_told_where_the_log_has_it";
    let installation = match pip(11) {
        Ok(installation) => installation,
        Err(why) => return skip(test, &why),
    };
    let agent = Agent::start().unwrap();
    let server = builder(&installation)
        .directive("LogLevel info")
        .start()
        .unwrap();
    attempts_are_told(&agent, &server);
    row_says_so(&agent, &server);
}

/// Where the intercept is found nothing is told twice, and nothing is the log's.
#[test]
fn log_is_not_the_source_where_the_intercept_is_found() {
    let agent = Agent::start().unwrap();
    let server = site(&system().unwrap(), stripped, Mpm::Event, "")
        .start()
        .unwrap();
    for _ in 0..3 {
        ask(&server, &format!("{DAEMON}/one"));
    }
    let count = |all: &[Value]| all.iter().filter_map(|f| f["count"].as_u64()).sum::<u64>();
    let all = findings(&agent, &server, "three", |all| count(all) >= 3);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(count(&agent.findings(server.pid()).unwrap()), 3);
    assert!(all.iter().all(|f| f["source"] != "error-log"), "{all:#?}");
}

/// A log that goes to a program cannot be read afterwards: the status and the agent's log say so.
#[test]
fn log_of_a_program_is_named_as_unreadable() {
    let agent = Agent::start().unwrap();
    let server = builder(&system().unwrap());
    let log = server.app_dir().join("piped.log");
    let server = server.directive(format!("ErrorLog \"|/usr/bin/tee {}\"", log.display()));
    let server = server.start().unwrap();
    ask(&server, &format!("{DAEMON}/one"));
    let mut last = Value::Null;
    let said = wait_for(PATIENCE, || {
        let status: Value =
            serde_json::from_str(&agent.get("/api/v1/status").unwrap().body).unwrap();
        let servers = status["servers"].as_array().unwrap().iter();
        let mut ours = servers.filter(|s| s["pid"] == server.pid());
        last = ours.next().cloned().unwrap_or_default();
        last["problems"]
            .to_string()
            .contains("/usr/bin/tee")
            .then_some(())
    });
    assert!(said.is_some(), "{last:#}");
    assert!(agent.log().contains("/usr/bin/tee"), "{}", agent.log());
}
