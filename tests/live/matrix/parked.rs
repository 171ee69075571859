//! py-spy, another reader of Python's memory, sees the same stack while the thread is in the call.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command, thread};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use sigblame_tests::{
    agent::Trace,
    httpd::{Installation, Mpm, Place},
    skip, wait_for,
};

use super::{ALONE, PARKED, builder};
use crate::support::{PATIENCE, ask, assert_frames, is_about};

pythons! { pyenv: py_spy_agrees }

/// Only the main interpreter is there: py-spy 0.4.3 reads one interpreter of a process.
fn py_spy_agrees(installation: &Installation) {
    if Command::new("py-spy").arg("--version").output().is_err() {
        let name = thread::current().name().unwrap_or_default().to_owned();
        skip(
            &name,
            "py-spy is not on PATH; `cargo xtask test` installs it",
        );
        return;
    }
    let mut trace = Trace::start(&[]).unwrap();
    let server = builder(installation, Mpm::Event)
        .daemon("alone", "processes=1 threads=3")
        .script(ALONE, "matrix.py", &Place::daemon("alone", "%{GLOBAL}"))
        .start()
        .unwrap();
    let pipe = server.app_file("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::empty(), 0).unwrap();
    fs::set_permissions(&pipe, fs::Permissions::from_mode(0o644)).unwrap();

    let (spied, answer) = thread::scope(|scope| {
        let request = scope.spawn(|| ask(&server, &format!("{ALONE}/{PARKED}")));
        let worker = wait_for(PATIENCE, || {
            let lines = trace.lines(server.pid()).unwrap();
            let line = lines.into_iter().find(|line| is_it(line));
            line.map(|line| line["worker"]["pid"].clone())
        });
        let spied = worker.map(|worker| dump(&worker));
        release(&pipe);
        (spied, request.join().unwrap())
    });

    let lines = trace.finish(server.pid()).unwrap();
    let line = lines.iter().find(|line| is_it(line)).unwrap();
    let call = &answer["calls"][0];
    assert_frames(line, call);
    let spied = spied.expect("the call is seen while it lasts");
    let thread = spied.as_array().unwrap().iter();
    let mut thread = thread.filter(|thread| thread["thread_id"] == call["thread"]);
    let frames = thread.next().unwrap()["frames"].as_array().unwrap();
    let frames: Vec<[&Value; 3]> = frames
        .iter()
        .map(|frame| [&frame["filename"], &frame["line"], &frame["name"]])
        .collect();
    let told = line["python"]["frames"].as_array().unwrap();
    let told: Vec<[&Value; 3]> = told
        .iter()
        .map(|frame| [&frame["file"], &frame["line"], &frame["function"]])
        .collect();
    assert_eq!(frames, told, "what py-spy says, and sigblame");
}

/// Not the import.
fn is_it(line: &Value) -> bool {
    is_about(line, "SIGUSR2") && line["python"]["frames"][0]["function"] != "<module>"
}

fn dump(worker: &Value) -> Value {
    let output = Command::new("py-spy")
        .args(["dump", "--json", "--nonblocking", "--pid"])
        .arg(worker.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Ends the call: the worker reads one byte.
fn release(pipe: &Path) {
    fs::write(pipe, b"!").unwrap();
}
