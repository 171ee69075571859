//! Each lack has its row, its cost and its remedy.

use super::*;

const STATUS: &str = "Name:\tx\nCapEff:\t";

fn healthy() -> Facts {
    Facts {
        status: Ok(format!("{STATUS}000001ffffffffff\n")),
        uid_map: Ok("         0          0 4294967295\n".to_owned()),
        limits: Ok("Max locked memory  8388608  8388608  bytes\n".to_owned()),
        release: Ok("6.1.0-18-amd64".to_owned()),
        btf: Ok(()),
        tracefs: Ok("/sys/kernel/tracing".into()),
        lockdown: Some("none [integrity] confidentiality\n".to_owned()),
        proc_root: "/proc".into(),
        sees_host: Ok(true),
    }
}

fn row<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks.iter().find(|check| check.name == name).unwrap()
}

fn hook(mechanism: &str, attached: bool) -> HookRow {
    HookRow {
        hook: "registration".to_owned(),
        mechanism: mechanism.to_owned(),
        required: true,
        attached,
        error: (!attached).then(|| "Operation not permitted".to_owned()),
    }
}

#[test]
fn a_healthy_host_lacks_nothing() {
    let checks = checks(&healthy(), &Ok(2), &[hook("fexit", true)]);
    for check in &checks {
        assert_eq!(check.state, State::Found, "{check:?}");
        assert_eq!((&check.cost, &check.mend), (&None, &None));
    }
    assert!(is_well(&checks));
    assert!(
        render(&checks, &[], LogFormat::Text).ends_with("\nsigblame can do its main job here.\n")
    );
}

#[test]
fn every_lack_is_named_with_its_cost_and_remedy() {
    let no = || Err("failed to read x: No such file".to_owned());
    let cases: [(&str, State, Facts); 13] = [
        (
            "kernel",
            State::Missing,
            Facts {
                release: Ok("5.4.0".into()),
                ..healthy()
            },
        ),
        (
            "kernel",
            State::Degraded,
            Facts {
                release: Ok("5.8".into()),
                ..healthy()
            },
        ),
        (
            "kernel",
            State::Missing,
            Facts {
                release: Ok("next".into()),
                ..healthy()
            },
        ),
        (
            "BTF",
            State::Missing,
            Facts {
                btf: Err("x".into()),
                ..healthy()
            },
        ),
        (
            "tracefs",
            State::Missing,
            Facts {
                tracefs: Err("x".into()),
                ..healthy()
            },
        ),
        (
            "lockdown",
            State::Missing,
            Facts {
                lockdown: Some("none integrity [confidentiality]".into()),
                ..healthy()
            },
        ),
        (
            "CAP_BPF",
            State::Missing,
            Facts {
                status: no(),
                ..healthy()
            },
        ),
        (
            "CAP_BPF",
            State::Missing,
            Facts {
                uid_map: Ok("0 1000 1".into()),
                ..healthy()
            },
        ),
        (
            "CAP_PERFMON",
            State::Missing,
            Facts {
                status: Ok(format!("{STATUS}0000008000000000")),
                ..healthy()
            },
        ),
        (
            "CAP_SYS_PTRACE",
            State::Missing,
            Facts {
                status: Ok(format!("{STATUS}000001fffff7ffff")),
                ..healthy()
            },
        ),
        (
            "locked memory",
            State::Missing,
            Facts {
                release: Ok("5.10.0-28".into()),
                status: Ok(format!("{STATUS}000001fffeffffff")),
                ..healthy()
            },
        ),
        (
            "host's processes",
            State::Missing,
            Facts {
                sees_host: Ok(false),
                ..healthy()
            },
        ),
        (
            "host's processes",
            State::Degraded,
            Facts {
                sees_host: Err("x".into()),
                ..healthy()
            },
        ),
    ];
    for (name, state, facts) in cases {
        let checks = checks(&facts, &Ok(1), &[]);
        let check = row(&checks, name);
        assert_eq!(check.state, state, "{check:?}");
        assert!(check.cost.is_some() && check.mend.is_some(), "{check:?}");
        assert_eq!(is_well(&checks), state != State::Missing, "{name}");
    }
}

#[test]
fn the_great_capability_stands_for_the_small_ones() {
    let admin = Facts {
        status: Ok(format!("{STATUS}0000000000280000\n")),
        ..healthy()
    };
    let checks = checks(&admin, &Ok(1), &[]);
    assert_eq!(
        row(&checks, "CAP_BPF").seen,
        "effective as part of CAP_SYS_ADMIN"
    );
    assert_eq!(row(&checks, "CAP_DAC_READ_SEARCH").state, State::Missing);
    assert!(is_well(&checks), "that one is not required");
}

#[test]
fn an_old_kernel_counts_locked_memory() {
    let old = Facts {
        release: Ok("5.10.0".to_owned()),
        status: Ok(format!("{STATUS}000001fffeffffff")),
        limits: Ok("Max locked memory  unlimited  unlimited  bytes\n".to_owned()),
        ..healthy()
    };
    assert_eq!(
        row(&checks(&old, &Ok(1), &[]), "locked memory").state,
        State::Found
    );
}

#[test]
fn a_hook_is_as_good_as_its_rung() {
    let state = |rows: &[HookRow]| {
        let checks = checks(&healthy(), &Ok(1), rows);
        let check = row(&checks, "hook registration").clone();
        (check.state, check.seen, is_well(&checks))
    };
    let (fexit, tracepoint) = (hook("fexit", false), hook("tracepoint", true));
    assert_eq!(
        state(&[fexit.clone(), tracepoint]),
        (
            State::Degraded,
            "by tracepoint (fexit: Operation not permitted)".to_owned(),
            true
        )
    );
    let (none, _, well) = state(&[fexit]);
    assert_eq!((none, well), (State::Missing, false));
}

#[test]
fn no_server_is_no_failure() {
    let checks = checks(&healthy(), &Ok(0), &[]);
    assert_eq!(row(&checks, "httpd with mod_wsgi").state, State::Missing);
    assert!(is_well(&checks));
}

#[test]
fn both_renderings_say_the_same() {
    let facts = Facts {
        btf: Err("failed to read \u{1b}[2J".to_owned()),
        ..healthy()
    };
    let checks = checks(&facts, &Err("x".to_owned()), &[]);
    let text = render(&checks, &[], LogFormat::Text);
    assert!(text.contains("MISSING   BTF"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(text.ends_with("mend each MISSING above (1).\n"), "{text}");
    let program = ProgramRow {
        name: "inventory".to_owned(),
        loaded: true,
        verified_instructions: None,
        budget: 7,
    };
    let line = render(&checks, &[program], LogFormat::Json);
    let report: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(report["programs"][0]["budget"], 7);
    assert!(report["programs"][0]["verified_instructions"].is_null());
    assert_eq!(report["ok"], false);
    assert_eq!(report["checks"].as_array().unwrap().len(), checks.len());
    assert_eq!(report["checks"][1]["state"], "missing");
}

#[test]
fn this_host_can_be_looked_at() {
    let facts = Facts::gather(std::path::Path::new("/proc"));
    assert!(facts.status.is_ok() && facts.release.is_ok(), "{facts:?}");
    let nowhere = Facts::gather(std::path::Path::new("/nowhere"));
    assert!(nowhere.sees_host.is_err(), "{nowhere:?}");
}
