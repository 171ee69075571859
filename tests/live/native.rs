//! The native stack: which library made the call, and who had called that.

use std::{path::Path, process::Command};

use serde_json::{Value, json};
use sigblame_tests::{
    agent::{Agent, Trace},
    demo,
    httpd::{Builder, Httpd, Mpm, Place},
    package_dir,
    scratch::make_readable,
    wait_for,
};

use crate::support::{PATIENCE, ask, assert_frames, builder, call_for, is_about};

const LIBRARIES: [&str; 3] = ["libouter.so", "libinner.so", "libfresh.so"];
const SIGUSR2: u32 = 12;

fn server() -> Httpd {
    let builder: Builder = builder(Mpm::Event);
    let source = package_dir().join("apps/live/native.c");
    for library in LIBRARIES {
        demo::compile(&source, &builder.app_dir().join(library)).unwrap();
    }
    separate(&builder.app_dir().join("libinner.so"));
    builder
        .script("/", "native.py", &Place::embedded("native"))
        .start()
        .unwrap()
}

/// Moves a library's names into a debug file beside it, as distributions do.
fn separate(library: &Path) {
    let name = library.file_name().unwrap().to_str().unwrap();
    let folder = library.with_file_name(".debug");
    std::fs::create_dir(&folder).unwrap();
    let debug = folder.join(format!("{name}.debug"));
    let objcopy = |arguments: &[&std::ffi::OsStr]| {
        let status = Command::new("objcopy").args(arguments).status();
        assert!(status.unwrap().success(), "{arguments:?}");
    };
    objcopy(&[
        "--only-keep-debug".as_ref(),
        library.as_ref(),
        debug.as_ref(),
    ]);
    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&debug);
    objcopy(&["--strip-unneeded".as_ref(), &link, library.as_ref()]);
    make_readable(&folder).unwrap();
    make_readable(&debug).unwrap();
    make_readable(library).unwrap();
}

/// What one request had traced, and what Python said about it.
fn traced(server: &Httpd, name: &str) -> (Value, Value) {
    let trace = Trace::start(&[]).unwrap();
    let answer = ask(server, &format!("/{name}/{SIGUSR2}"));
    let mut lines = trace.finish(server.pid()).unwrap();
    assert_eq!(lines.len(), 1, "{name}: {lines:#?}");
    (lines.remove(0), answer)
}

/// The native frames of libraries, as `module!symbol`, with how many Python frames are inside.
fn libraries(line: &Value) -> Vec<(String, u64)> {
    let frames = line["native"]["frames"].as_array().unwrap();
    let is_library = |frame: &&Value| frame["code"] == "application";
    let text = |frame: &Value| {
        let symbol = frame["symbol"].as_str().unwrap_or("?");
        (
            format!("{}!{symbol}", frame["module"].as_str().unwrap()),
            frame["python_inside"].as_u64().unwrap(),
        )
    };
    frames.iter().filter(is_library).map(text).collect()
}

fn at(frame: &str, inside: u64) -> (String, u64) {
    (frame.to_owned(), inside)
}

/// The blame of a line: module, and the function of the innermost Python frame that called it.
fn blame(line: &Value) -> [&Value; 2] {
    [&line["blame"]["module"], &line["blame"]["function"]]
}

/// Libraries without frame pointers, called by Python and calling it: each stands between the
/// right Python frames, down to the thread's first function, and the one that made the call is
/// blamed, not the one that had called Python.
#[test]
fn libraries_stand_between_the_python_frames() {
    let server = server();
    let (line, answer) = traced(&server, "take");
    assert_frames(&line, call_for(&answer, &SIGUSR2.into()));
    assert_eq!(line["native"]["result"], "complete", "{line:#}");
    assert_eq!(
        libraries(&line),
        [
            at("libinner.so!native_install", 0),
            at("libinner.so!native_take", 0)
        ]
    );
    assert_eq!(blame(&line), ["libinner.so", "take"]);
    assert_eq!(line["change"]["new"]["symbol"], "native_on_signal");

    let (line, answer) = traced(&server, "interleave");
    assert_frames(&line, call_for(&answer, &SIGUSR2.into()));
    assert_eq!(line["native"]["result"], "complete", "{line:#}");
    assert_eq!(
        libraries(&line),
        [
            at("libinner.so!native_install", 0),
            at("libinner.so!native_take", 0),
            at("libouter.so!native_dispatch", 1),
        ]
    );
    assert_eq!(
        blame(&line),
        ["libinner.so", "interleave.<locals>.called_back"]
    );

    let (line, _) = traced(&server, "by_itself");
    assert_eq!(libraries(&line), [at("libouter.so!native_dispatch", 1)]);
    assert_eq!(
        blame(&line),
        [&Value::Null, &json!("by_itself.<locals>.called_back")]
    );
}

/// An ignore without a handler, from a thread without Python: the stack alone tells who. `ignore`
/// is no exported function: its name is in the debug file only.
#[test]
fn a_thread_without_python_is_its_librarys() {
    let agent = Agent::start().unwrap();
    let server = server();
    let (line, _) = traced(&server, "thread");
    assert_eq!(line["origin"], "application");
    assert_eq!(line["python"]["result"], "none");
    assert_eq!(line["native"]["result"], "complete", "{line:#}");
    assert_eq!(
        libraries(&line),
        [
            at("libinner.so!native_install", 0),
            at("libinner.so!ignore", 0)
        ]
    );
    assert_eq!(
        line["blame"],
        json!({"file": null, "line": null, "function": null, "module": "libinner.so"})
    );
    let found = wait_for(PATIENCE, || {
        let all = agent.findings(server.pid()).unwrap();
        all.into_iter().find(|finding| is_about(finding, "SIGUSR2"))
    });
    let found = found.unwrap();
    assert_eq!(found["rule"], "restricted-registration");
    assert_eq!(found["blame"], line["blame"]);
}

/// A library that was mapped a moment before it made the call, after every look at the process.
#[test]
fn a_library_loaded_by_the_same_request_is_known() {
    let server = server();
    traced(&server, "take");
    let (line, answer) = traced(&server, "load");
    assert_frames(&line, call_for(&answer, &SIGUSR2.into()));
    assert_eq!(line["native"]["result"], "complete", "{line:#}");
    assert_eq!(
        libraries(&line),
        [
            at("libfresh.so!native_install", 0),
            at("libfresh.so!native_take", 0),
            at("libouter.so!native_load", 0),
        ]
    );
    assert_eq!(blame(&line), ["libfresh.so", "load"]);
    assert_eq!(line["change"]["new"]["owner"], "libfresh.so");
    assert_eq!(line["change"]["new"]["symbol"], "native_on_signal");
}

/// Code that was made at run time has no tables: the stack ends there, and says so. No frame is
/// made up, and the application is blamed all the same.
#[test]
fn a_stack_ends_at_code_made_at_run_time() {
    let server = server();
    let (line, answer) = traced(&server, "made");
    assert_frames(&line, call_for(&answer, &SIGUSR2.into()));
    assert_eq!(line["origin"], "application");
    assert_eq!(line["native"]["result"], "truncated(no_unwind_info)");
    assert_eq!(libraries(&line), [at("[anonymous]!?", 0)]);
    assert_eq!(blame(&line), ["[anonymous]", "made"]);
}
