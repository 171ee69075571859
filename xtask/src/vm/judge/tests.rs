//! A machine's words, whole and with one thing amiss.

use serde_json::json;

use super::*;

fn frames() -> Value {
    let frame = |line: u32| json!({"file": "/a.wsgi", "line": line, "function": "f"});
    (1..=5).map(frame).collect()
}

fn event() -> Value {
    let modules = [
        "libc.so.6",
        "libffi.so.8",
        "libpython3.13.so.1.0",
        "mod_wsgi.so-3.13",
    ];
    let native: Vec<Value> = modules.map(|module| json!({"module": module})).to_vec();
    json!({
        "signal": {"name": "SIGUSR2"},
        "change": {"new": {"kind": "ignore"}},
        "python": {"version": "3.13", "result": "complete", "frames": frames()},
        "native": {"result": "complete", "frames": native},
    })
}

fn doctor(rung: &str, by: &str, cost: u64) -> Value {
    let report = json!({
        "ok": true,
        "checks": [{"name": "hook registration", "state": "found", "seen": format!("by {by}")}],
        "programs": [
            {"name": "upper", "loaded": rung == "fexit", "verified_instructions": null, "budget": 9},
            {"name": "both", "loaded": true, "verified_instructions": cost, "budget": 9},
        ],
    });
    json!({"what": "doctor", "rung": rung, "code": 0, "output": report.to_string()})
}

fn trace(rung: &str, event: &Value) -> Value {
    let mut attempt = event.clone();
    attempt["signal"]["name"] = json!("SIGALRM");
    attempt["change"]["new"]["kind"] = json!("handler");
    let native = attempt["native"]["frames"].as_array_mut();
    native.unwrap().drain(..2);
    json!({
        "what": "trace", "rung": rung, "code": 0, "problem": null, "errors": "",
        "expected": [frames()], "lines": [event.to_string()],
        "blocked": [frames()], "attempts": [attempt.to_string()],
    })
}

/// What process 7 and others did.
fn reload(readings: &[u32]) -> Value {
    let record = |kind: Kind, pid: u32| {
        let mut bytes = [0; size_of::<RawHeader>()];
        bytes[offset_of!(RawHeader, kind)] = kind.0.to_le_bytes()[0];
        bytes[offset_of!(RawHeader, tgid)] = pid.to_le_bytes()[0];
        bytes.map(|byte| format!("{byte:02x}")).concat()
    };
    let mut records: Vec<String> = readings
        .iter()
        .map(|pid| record(Kind::RELOAD, *pid))
        .collect();
    records.push(record(Kind::EXEC, 7));
    records.extend(signals());
    json!({
        "what": "reload", "code": 0, "problem": null, "server": 7, "records": records, "errors": "",
    })
}

/// What a server that restarts and stops sends and is sent.
fn signals() -> [String; 4] {
    let record = |kind: Kind, [sender, target]: [u8; 2], [signal, result, handler]: [u8; 3]| {
        let mut bytes = [0; size_of::<RawSignal>()];
        for (at, value) in [
            (offset_of!(RawHeader, kind), kind.0.to_le_bytes()[0]),
            (offset_of!(RawHeader, tgid), sender),
            (offset_of!(RawSignal, target), target),
            (offset_of!(RawSignal, target_start), 1),
            (offset_of!(RawSignal, group), 1),
            (offset_of!(RawSignal, signal), signal),
            (offset_of!(RawSignal, result), result),
            (offset_of!(RawSignal, handler), handler),
        ] {
            bytes[at] = value;
        }
        bytes.map(|byte| format!("{byte:02x}")).concat()
    };
    [
        record(Kind::SENT, [1, 7], [10, 0, 0]),
        record(Kind::DELIVERED, [7, 7], [10, 0, 16]),
        record(Kind::SENT, [1, 7], [15, 0, 0]),
        record(Kind::SENT, [7, 8], [15, 1, 0]),
    ]
}

/// A server of which one of these is missing.
fn without(number: usize) -> Value {
    let mut line = reload(&[7, 7, 7]);
    let records = line["records"].as_array_mut().unwrap();
    let at = records.len() - 4 + number;
    records.remove(at);
    line
}

fn said() -> Vec<Value> {
    let mut lines = vec![json!({"what": "begin", "release": "6.1.0"})];
    for rung in RUNGS {
        lines.extend([doctor(rung, rung, 7), trace(rung, &event())]);
    }
    lines.push(reload(&[7, 7, 7]));
    lines.push(json!({"what": "end"}));
    lines
}

#[test]
fn a_kernel_that_has_all_has_no_fault() {
    let verdict = Verdict::of(&said());
    assert_eq!(verdict.faults, Vec::<String>::new());
    assert_eq!(
        (verdict.release.as_str(), verdict.stacks.len()),
        ("6.1.0", 4)
    );
    let costs: Vec<_> = verdict
        .programs
        .iter()
        .map(|p| (p.attached, p.cost))
        .collect();
    assert_eq!(costs, [(true, None), (true, Some(7))]);
}

#[test]
fn whatever_is_amiss_is_a_fault() {
    let changed = |pointer: &str, value: Value| {
        let mut event = event();
        *event.pointer_mut(pointer).unwrap() = value;
        trace("fexit", &event)
    };
    let faults = [
        (
            1,
            doctor("fexit", "tracepoint", 7),
            "hook registration is by tracepoint",
        ),
        (
            1,
            doctor("fexit", "fexit", 10),
            "both costs 10 instructions, 9 are allowed",
        ),
        (1, json!({"what": "other"}), "the doctor was not heard"),
        (
            3,
            json!({"what": "other"}),
            "tracepoint: the doctor was not heard",
        ),
        (2, json!({"what": "other"}), "the trace was not heard"),
        (
            2,
            changed("/python/result", json!("truncated")),
            "the stack is \"truncated\"",
        ),
        (
            2,
            changed("/python/frames/4/line", json!(6)),
            "the interpreter's own",
        ),
        (
            2,
            changed("/change/new/kind", json!("handler")),
            "the new handler",
        ),
        (
            2,
            changed("/native/result", json!("failed")),
            "the native stack",
        ),
        (
            2,
            changed("/native/frames/1/module", json!("x.so")),
            "the native stack",
        ),
        (
            2,
            {
                let mut line = trace("fexit", &event());
                line["attempts"] = json!([]);
                line
            },
            "1 blocked attempts, 0 were told",
        ),
        (5, reload(&[7, 7, 8]), "2 readings of a configuration"),
        (5, json!({"what": "other"}), "reload: it was not heard"),
        (5, without(0), "SIGUSR1 sent to the server was not"),
        (5, without(1), "SIGUSR1 handled by the server"),
        (5, without(2), "SIGTERM sent to the server was not"),
        (5, without(3), "SIGTERM ignored by its worker"),
        (6, json!({"what": "other"}), "it did not reach its end"),
    ];
    for (place, line, words) in faults {
        let mut lines = said();
        lines[place] = line;
        let found = Verdict::of(&lines).faults;
        assert!(
            found.iter().any(|fault| fault.contains(words)),
            "{words}: {found:#?}"
        );
    }
    assert!(!Verdict::of(&[]).faults.is_empty());
}
