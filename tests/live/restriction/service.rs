//! Service scripts: daemon processes without request threads, which mod_wsgi never restricts.

use serde_json::Value;
use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Installation, Mpm, Place},
    wait_for,
};

use super::{Edit, GLOBAL, builder, compare::callers, make_known};
use crate::support::PATIENCE;

mod_wsgis! { register_as_they_like }

/// What a service script registers is a registration, allowed whatever the configuration says; the
/// handler for SIGTERM that mod_wsgi gives it, by Python's own `signal.signal`, is nobody's.
fn register_as_they_like(installation: &Installation, edit: Edit) {
    let agent = Agent::start().unwrap();
    let mut trace = Trace::start(&[]).unwrap();
    make_known(&agent, &mut trace, installation, edit);
    let server = builder(installation, edit, Mpm::Event)
        .restrict(true)
        .daemon("service", "processes=1 threads=0")
        .import_script("service.py", &Place::daemon("service", GLOBAL))
        .start()
        .unwrap();
    let report = wait_for(PATIENCE, || {
        let log = server.error_log();
        let (_, report) = log.split_once("service: ")?;
        serde_json::from_str::<Value>(report.lines().next()?).ok()
    });
    let report = report.unwrap_or_else(|| panic!("{}", server.error_log()));
    assert_eq!(report["intercepted"], false);
    let master = server.pid();
    let script = server.app_file("service.py");
    wait_for(PATIENCE, || {
        (!trace.lines(master).unwrap().is_empty()).then_some(())
    });
    let ended = server.stop().unwrap();
    assert!(!ended.forced, "it heeds SIGTERM");

    let lines = trace.finish(master).unwrap();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let line = &lines[0];
    let frames = line["python"]["frames"].as_array().unwrap();
    assert_eq!(
        callers(frames),
        report["calls"][0]["frames"].as_array().unwrap()
    );
    assert_eq!(line["kind"], "registration");
    assert_eq!(line["route"], "signal.signal");
    assert_eq!(line["worker"]["pid"], report["pid"]);
    assert_eq!(line["worker"]["role"], "service-script");
    assert_eq!(line["worker"]["process_group"], "service");
    assert_eq!(line["application"]["group"], GLOBAL);
    assert_eq!(line["application"]["script"], script.to_str().unwrap());
    assert_eq!(line["server"]["restrict_signal"], "off");
    let found = agent.findings(master).unwrap();
    assert!(found.is_empty(), "{found:#?}");
}
