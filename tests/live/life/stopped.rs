//! The agent is stopped while it reads a configuration.

use std::fs;

use rustix::process::Signal;
use sigblame_tests::{agent::Agent, demo, httpd::Mpm, wait_for};

use crate::support::PATIENCE;

/// What happened before the agent was stopped is told, also where it waits for a configuration, and
/// the server has begun to read that once more meanwhile.
#[test]
fn what_waits_is_told_at_the_end() {
    let agent = Agent::start().unwrap();
    let builder = demo::builder(Mpm::Event).unwrap();
    let many = builder.app_dir().join("many");
    fs::create_dir(&many).unwrap();
    for number in 0..3_000 {
        fs::write(
            many.join(format!("{number}.conf")),
            "# nothing\n".repeat(200),
        )
        .unwrap();
    }
    let line = format!("IncludeOptional \"{}/*.conf\"", many.display());
    let server = builder.directive(line).start().unwrap();
    let before = agent.output().matches("critical").count();
    for _ in 0..3 {
        server.graceful().unwrap();
    }
    assert_eq!(server.get("/ctypes/").unwrap().status, 200);
    agent.signal(Signal::TERM).unwrap();
    let ended = wait_for(PATIENCE, || agent.has_ended().then_some(()));
    assert!(ended.is_some(), "{}", agent.log());
    let output = agent.output();
    let told = output.matches("critical").count() > before;
    assert!(told, "{output}\n{}", agent.log());
    server.stop().unwrap();
}
