//! `WSGIRestrictSignal Off`: what the policy allows is no finding, what the server needs is one.

use std::fs;

use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Builder, Mpm, Place},
    scratch::Scratch,
    wait_for,
};

use crate::support::{PATIENCE, builder, findings, is_about};

/// A server that imports `importer.py` on the main thread of its main interpreter, embedded and in
/// a daemon. Not under a threaded MPM: its workers take SIGTERM back once they are up.
fn importing() -> Builder {
    builder(Mpm::Prefork)
        .daemon("importing", "processes=1 threads=1")
        .import_script("importer.py", &Place::embedded("%{GLOBAL}"))
        .import_script("importer.py", &Place::daemon("importing", "%{GLOBAL}"))
}

/// Off, and sigblame told so: `signal.signal` at import gives a finding for SIGTERM, which is the
/// server's, and none for SIGUSR2.
#[test]
fn import_script_may_take_what_the_server_does_not_need() {
    let scratch = Scratch::new("policy").unwrap();
    let config = scratch.path().join("sigblame.yaml");
    fs::write(&config, "policy:\n  restrict_signal: off\n").unwrap();
    let config = config.to_str().unwrap();
    let agent = Agent::with(&["--config", config]).unwrap();
    let mut trace = Trace::start(&["--config", config]).unwrap();
    let server = importing().restrict(false).start().unwrap();

    let found = findings(&agent, &server, "two workers", |all| all.len() >= 2);
    let mut roles: Vec<_> = found.iter().map(|f| f["worker"]["role"].clone()).collect();
    roles.sort_by_key(|role| role.to_string());
    assert_eq!(roles, ["daemon", "embedded"]);
    let script = server.app_file("importer.py");
    for finding in &found {
        assert!(is_about(finding, "SIGTERM"), "{finding:#}");
        assert_eq!(finding["rule"], "reserved-signal");
        assert_eq!(finding["also"].as_array().unwrap().len(), 0, "{finding:#}");
        assert_eq!(finding["route"], "signal.signal");
        assert_eq!(finding["server"]["restrict_signal"], "off");
        assert_eq!(finding["application"]["interpreter"], 0);
        assert_eq!(finding["application"]["group"], "%{GLOBAL}");
        assert_eq!(finding["application"]["script"], script.to_str().unwrap());
        assert_eq!(finding["thread"]["main"], true);
        assert_eq!(finding["blame"]["file"], script.to_str().unwrap());
        assert_eq!(finding["blame"]["line"], 15, "{finding:#}");
    }
    // SIGUSR2 was seen, and nothing was said about it.
    wait_for(PATIENCE, || {
        let lines = trace.lines(server.pid()).unwrap();
        let usr2 = lines.iter().filter(|l| is_about(l, "SIGUSR2")).count();
        (usr2 >= 2).then_some(())
    })
    .unwrap();
    assert_eq!(agent.findings(server.pid()).unwrap().len(), 2);
}

/// On, the default: mod_wsgi swallows the very same calls, so there is nothing to see.
#[test]
fn import_script_is_swallowed_under_the_restriction() {
    let trace = Trace::start(&[]).unwrap();
    let server = importing().start().unwrap();
    let ignored = |log: String| {
        log.matches("Callback registration for signal 15 ignored")
            .count()
    };
    wait_for(PATIENCE, || {
        (ignored(server.error_log()) >= 2).then_some(())
    })
    .unwrap();
    let lines = trace.finish(server.pid()).unwrap();
    assert!(lines.is_empty(), "{lines:#?}");
}
