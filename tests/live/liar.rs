//! A process that lies about its interpreter: each lie costs a bounded read and a named miss.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use sigblame_tests::{
    agent::{Agent, Trace},
    demo,
    httpd::Mpm,
    package_dir,
    process::Scoped,
    scratch::Scratch,
    wait_for,
};

use crate::support::{PATIENCE, ask, assert_frames, call_for, hard};

/// A lie and what is told of it.
struct Lie {
    name: &'static str,
    result: &'static str,
    frames: usize,
    left_out: u64,
    miss: Option<&'static str>,
}

const fn lie(
    name: &'static str,
    result: &'static str,
    frames: usize,
    left_out: u64,
    miss: Option<&'static str>,
) -> Lie {
    Lie {
        name,
        result,
        frames,
        left_out,
        miss,
    }
}

/// Three frames are there, unless the lie is about them.
const LIES: [Lie; 16] = [
    lie("truth", "complete", 3, 0, None),
    lie("deep", "truncated", 128, 896, None),
    lie(
        "cyclic-interpreters",
        "failed(node_bound)",
        0,
        0,
        Some("node_bound"),
    ),
    lie(
        "cyclic-threads",
        "failed(node_bound)",
        0,
        0,
        Some("node_bound"),
    ),
    lie("cyclic-frames", "truncated", 127, 4_096, Some("link_bound")),
    lie(
        "unmapped-interpreters",
        "failed(interpreters_unreadable)",
        0,
        0,
        Some("interpreters_unreadable"),
    ),
    lie(
        "unreadable-runtime",
        "failed(interpreters_unreadable)",
        0,
        0,
        Some("interpreters_unreadable"),
    ),
    lie(
        "unmapped-frame",
        "truncated",
        2,
        0,
        Some("frame_unreadable"),
    ),
    lie("kernel-frame", "truncated", 2, 0, Some("frame_unreadable")),
    lie("odd-frame", "truncated", 2, 0, Some("frame_unreadable")),
    lie("hidden-code", "complete", 3, 0, Some("code_unreadable")),
    lie("kernel-code", "complete", 3, 0, Some("code_unreadable")),
    lie("long-file", "complete", 3, 0, None),
    lie("negative-lengths", "complete", 3, 0, None),
    lie(
        "unmapped-strings",
        "complete",
        3,
        0,
        Some("text_unreadable"),
    ),
    lie("not-compact", "complete", 3, 0, Some("text_unreadable")),
];

/// Each lie ends in the result and the miss of its row, no name is longer than the copy, and an
/// honest server beside them has its own stacks all the while.
#[test]
fn lies_cost_a_bounded_read_and_a_named_miss() {
    let programs = Programs::compile("0x030b02f0");
    let mut liars: Vec<Scoped> = LIES.iter().map(|lie| programs.start(lie.name)).collect();
    let agent = Agent::start().unwrap();
    let mut trace = Trace::start(&["--all"]).unwrap();
    for (lie, liar) in LIES.iter().zip(&mut liars) {
        let miss = || {
            let labels = lie.miss.map(|miss| ("reason", miss));
            let metrics = agent.metrics().unwrap();
            metrics.sum(
                "sigblame_probe_misses_total",
                &labels.into_iter().collect::<Vec<_>>(),
            )
        };
        let before = miss();
        let line = told(&mut trace, liar);
        let (name, python) = (lie.name, &line["python"]);
        assert_eq!(python["result"], lie.result, "{name}: {python:#}");
        let frames = python["frames"].as_array().unwrap();
        assert_eq!(frames.len(), lie.frames, "{name}: {python:#}");
        assert_eq!(python["left_out"], lie.left_out, "{name}");
        for text in frames.iter().flat_map(|f| [&f["file"], &f["function"]]) {
            assert!(text.as_str().unwrap().len() <= 255 + "…".len(), "{name}");
        }
        let counted = wait_for(PATIENCE, || {
            (lie.miss.is_none() == (miss() == before)).then_some(())
        });
        assert!(counted.is_some(), "{name}: {:?} is not counted", lie.miss);
        if lie.name == "truth" {
            let all = frames.iter().all(|frame| {
                frame["file"] == "/srv/liar.py" && frame["line"] == 7 && frame["function"] == "lie"
            });
            assert!(all, "{frames:#?}");
        }
    }
    honest();
}

/// A version that nobody knows is named, and its stacks are not read with another one's layout.
#[test]
fn unknown_python_is_named_and_not_walked() {
    let programs = Programs::compile("0x036300f0");
    let mut liar = programs.start("truth");
    let agent = Agent::start().unwrap();
    let mut trace = Trace::start(&["--all"]).unwrap();
    let line = told(&mut trace, &mut liar);
    assert_eq!(
        line["python"]["result"], "failed(python_unsupported)",
        "{line:#}"
    );
    assert_eq!(line["python"]["frames"], Value::Array(Vec::new()));
    assert!(agent.log().contains("Python 3.99"), "{}", agent.log());
}

/// A runtime that is loaded and called at once is in the kernel's hands only after its first call:
/// that one is named and counted, the next one has its stack.
#[test]
fn window_before_an_interpreter_is_known_is_counted() {
    let programs = Programs::late("0x030b02f0");
    let mut liar = programs.start("truth");
    let agent = Agent::start().unwrap();
    let mut trace = Trace::start(&["--all"]).unwrap();
    let unknown = || {
        let metrics = agent.metrics().unwrap();
        metrics.sum(
            "sigblame_probe_misses_total",
            &[("reason", "interpreter_unknown")],
        )
    };
    let line = told(&mut trace, &mut liar);
    assert_eq!(
        line["python"]["result"], "failed(interpreter_unknown)",
        "{line:#}"
    );
    assert!(wait_for(PATIENCE, || (unknown() == 1.0).then_some(())).is_some());
    let lines = told_so_far(&mut trace, &mut liar, 2);
    assert_eq!(lines[1]["python"]["result"], "complete", "{:#}", lines[1]);
    assert_eq!(
        lines[1]["python"]["frames"].as_array().map(Vec::len),
        Some(3)
    );
    assert_eq!(unknown(), 1.0);
}

/// A runtime that lies elsewhere than the probe was told, as after a restart: the first call fails by
/// name, the next one has its stack.
#[test]
fn interpreter_that_moved_is_found_again() {
    let programs = Programs::late("0x030b02f0");
    let mut liar = programs.start("moved");
    let _agent = Agent::start().unwrap();
    let mut trace = Trace::start(&["--all"]).unwrap();
    let line = told(&mut trace, &mut liar);
    let result = line["python"]["result"].as_str().unwrap();
    assert!(result.starts_with("failed(interpreter"), "{line:#}");
    let lines = told_so_far(&mut trace, &mut liar, 2);
    assert_eq!(lines[1]["python"]["result"], "complete", "{:#}", lines[1]);
}

/// An honest server's stack.
fn honest() {
    let trace = Trace::start(&[]).unwrap();
    let server = hard(Mpm::Event).start().unwrap();
    let answer = ask(&server, "/cdll/12");
    let lines = trace.finish(server.pid()).unwrap();
    assert_frames(&lines[0], call_for(&answer, &12.into()));
}

/// Lets a liar make its registration, and gives the line about it.
fn told(trace: &mut Trace, liar: &mut Scoped) -> Value {
    told_so_far(trace, liar, 1).remove(0)
}

/// The same for its `count`th registration: gives all lines.
fn told_so_far(trace: &mut Trace, liar: &mut Scoped, count: usize) -> Vec<Value> {
    let pid = liar.pid();
    liar.child()
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"x\n")
        .unwrap();
    let mut lines = Vec::new();
    wait_for(PATIENCE, || {
        lines = trace.lines(pid).unwrap().into_iter().cloned().collect();
        (lines.len() >= count).then_some(())
    });
    assert_eq!(lines.len(), count, "one registration, one line: {lines:#?}");
    lines
}

/// The program that lies, and what passes for its mod_wsgi.
struct Programs {
    scratch: Scratch,
}

impl Programs {
    /// `version`: what it calls `Py_Version`.
    fn compile(version: &str) -> Self {
        let programs = Self::without();
        programs.cc("liar", &[&format!("-DVERSION={version}")]);
        programs
    }

    /// A program that loads its runtime when it is called.
    fn late(version: &str) -> Self {
        let programs = Self::without();
        let library = format!("-DVERSION={version}");
        programs.cc("liblate.so", &["-shared", "-fPIC", "-DLIBRARY", &library]);
        programs.cc("liar", &["-DLATE"]);
        programs
    }

    fn without() -> Self {
        let scratch = Scratch::new("liar").unwrap();
        let module = scratch.path().join("wsgi.c");
        fs::write(&module, "int wsgi_module;\n").unwrap();
        demo::compile(&module, &scratch.path().join("libwsgi.so")).unwrap();
        Self { scratch }
    }

    fn cc(&self, name: &str, arguments: &[&str]) {
        let dir = self.scratch.path();
        let mut command = Command::new("cc");
        command
            .args(["-O1", "-g", "-rdynamic", "-Wall", "-Wextra", "-pthread"])
            .args(arguments)
            .arg("-o")
            .arg(dir.join(name))
            .arg(package_dir().join("apps/live/liar.c"));
        if !arguments.contains(&"-DLIBRARY") {
            command.arg(dir.join("libwsgi.so"));
        }
        command.arg(format!("-Wl,-rpath,{}", dir.display()));
        assert!(command.status().unwrap().success());
    }

    fn start(&self, lie: &str) -> Scoped {
        let mut command = Command::new(self.scratch.path().join("liar"));
        command.arg(lie).stdin(Stdio::piped());
        Scoped::spawn(&mut command, Duration::from_secs(2)).unwrap()
    }
}
