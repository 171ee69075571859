//! `sigblame doctor` on this host, which can run the agent: else no live test could.

use std::process::Command;

use serde_json::Value;
use sigblame_tests::{
    agent::{Said, run_to_end},
    agent_program, demo,
    httpd::Mpm,
};

use crate::support::PATIENCE;

fn doctor(arguments: &[&str]) -> Said {
    let mut command = Command::new(agent_program().unwrap());
    command.arg("doctor").args(arguments);
    run_to_end(&mut command, PATIENCE).unwrap()
}

/// All is well, and still the row of a hook that had to step down shows what was refused. The text
/// and the JSON say the same.
#[test]
fn doctor_finds_this_host_fit_and_shows_what_was_refused() {
    let server = demo::start(Mpm::Event).unwrap();
    let (text, json) = (doctor(&[]), doctor(&["--json"]));
    for said in [&text, &json] {
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(said.errors, "", "{said:?}");
    }
    assert!(
        text.output.contains("sigblame can do its main job here."),
        "{text:?}"
    );
    let report: Value = serde_json::from_str(&json.output).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
    let checks = report["checks"].as_array().unwrap();
    for check in checks {
        let name = check["name"].as_str().unwrap();
        assert!(text.output.contains(name), "{name} is in the text, too");
    }
    let named = |name: &str| {
        let check = checks.iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("a row for {name}: {report:#}"))
    };
    assert_eq!(named("httpd with mod_wsgi")["state"], "found", "{report:#}");
    let registration = named("hook registration");
    let seen = registration["seen"].as_str().unwrap();
    match registration["state"].as_str().unwrap() {
        "found" => assert_eq!(seen, "by fexit"),
        "degraded" => {
            assert!(seen.starts_with("by tracepoint (fexit: "), "{seen}");
            assert!(registration["cost"].is_string(), "{registration:#}");
            assert!(registration["mend"].is_string(), "{registration:#}");
        }
        other => panic!("{other}: {registration:#}"),
    }
    drop(server);
}

/// A program that outgrew its budget may be more than another kernel takes.
#[test]
fn every_program_keeps_its_budget() {
    for rung in ["fexit", "tracepoint"] {
        let said = doctor(&["--json", "--registration-rung", rung]);
        let report: Value = serde_json::from_str(&said.output).unwrap();
        let programs = report["programs"].as_array().unwrap();
        // The lifecycle's three, the interpreter's and the inventory's are there in any case.
        let loaded = programs.iter().filter(|row| row["loaded"] == true);
        assert!(loaded.count() >= 5, "{report:#}");
        for program in programs {
            let budget = program["budget"].as_u64();
            // Kernels before 5.16 do not tell.
            let cost = program["verified_instructions"].as_u64();
            assert!(cost <= budget, "{program:#}");
        }
        let checks = report["checks"].as_array().unwrap();
        let named = |check: &&Value| check["name"] == "hook registration";
        let hook = checks.iter().find(named).unwrap();
        // Never the other one.
        let seen = hook["seen"].as_str().unwrap();
        let right = seen.starts_with(&format!("by {rung}")) || hook["state"] == "missing";
        assert!(right, "{hook:#}");
    }
}
