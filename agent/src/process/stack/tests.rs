//! Stacks as they are seen, joined; and whom they blame.

use super::*;
use crate::event::Reason;

/// A frame as `module!symbol`; the module's name says whose it is.
fn native_frame(text: &str) -> NativeFrame {
    let (module, symbol) = text.split_once('!').unwrap_or((text, ""));
    let code = match module {
        "libc" => Code::Module(ModuleKind::Libc),
        "libpython" => Code::Module(ModuleKind::Python),
        "mod_wsgi" => Code::Module(ModuleKind::ModWsgi),
        "httpd" => Code::Module(ModuleKind::Httpd),
        "libapr-1.so" | "mod_ssl" => Code::Module(ModuleKind::HttpdPart),
        "_ctypes" => Code::StandardLibrary,
        "libffi" => Code::Carrier,
        "[anonymous]" => Code::Anonymous,
        "unreadable" => Code::Unknown,
        _ => Code::Module(ModuleKind::Other),
    };
    NativeFrame {
        module: module.into(),
        code,
        symbol: (!symbol.is_empty()).then(|| symbol.into()),
        offset: 1,
    }
}

const EVAL: &str = "libpython!_PyEval_EvalFrameDefault";
const COLD: &str = "libpython!_PyEval_EvalFrameDefault.cold";
/// A part of the evaluation function in a file without local symbols.
const NAMELESS: &str = "libpython";

pub(crate) fn native(result: NativeResult, frames: &[&str]) -> NativeStack {
    NativeStack {
        result,
        frames: frames.iter().map(|frame| native_frame(frame)).collect(),
        ..NativeStack::default()
    }
}

fn whole(frames: &[&str]) -> NativeStack {
    native(NativeResult::Complete, frames)
}

/// Python frames by function; `>` before one says that it called native code.
fn python(functions: &[&str]) -> PythonStack {
    let crossed = (0..functions.len()).filter(|at| functions[*at].starts_with('>'));
    PythonStack {
        result: StackResult::Complete,
        version: Some(crate::python::Version::new(3, 11)),
        crossed: crossed.collect(),
        frames: functions
            .iter()
            .map(|function| {
                let function = function.trim_start_matches('>');
                let library = function.starts_with("std_");
                let folder = if library {
                    "/usr/lib/python3.11"
                } else {
                    "/srv"
                };
                Frame {
                    file: format!("{folder}/{function}.py"),
                    line: Some(1),
                    function: function.to_owned(),
                }
            })
            .collect(),
        ..PythonStack::default()
    }
}

/// The joined stack in one line.
fn joined(python: &PythonStack, native: &NativeStack) -> String {
    let merged = merged(python, native);
    let words = merged.iter().map(|frame| match frame {
        Merged::Native(frame) => frame.module.to_string(),
        Merged::Python(frame) => frame.function.clone(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// `module<function`: who is blamed, and which Python frame called it.
fn blame(python: &PythonStack, native: &NativeStack) -> String {
    let blamed = blamed(python, native);
    let module = blamed.native.map_or("", |frame| &frame.module);
    let function = blamed.python.map_or("", |frame| &frame.function);
    format!("{module}<{function}")
}

/// Each evaluation takes the Python frames up to the next that called native code.
#[test]
fn each_evaluation_runs_its_own_frames() {
    let frames = python(&["set", "callback", ">start", "serve"]);
    let stack = whole(&[
        "libc!sigaction",
        "libffi",
        "_ctypes",
        EVAL,
        "libevent",
        COLD,
        "mod_wsgi",
        "httpd",
    ]);
    assert_eq!(
        joined(&frames, &stack),
        "libc libffi _ctypes libpython set callback libevent libpython start serve mod_wsgi httpd"
    );
    // The library is outside the callback that made the call.
    assert_eq!(blame(&frames, &stack), "<set");
    // And inside, where the callback is the standard library's.
    let frames = python(&["std_signal", ">start", "serve"]);
    assert_eq!(blame(&frames, &stack), "libevent<start");
}

/// Up to Python 3.10 each Python frame is an evaluation of its own.
#[test]
fn old_interpreters_evaluate_each_frame_by_itself() {
    let frames = python(&["set", ">callback", ">start"]);
    let stack = whole(&[
        "libc",
        EVAL,
        "libpython",
        EVAL,
        "libevent",
        EVAL,
        "mod_wsgi",
    ]);
    assert_eq!(
        joined(&frames, &stack),
        "libc libpython set libpython libpython callback libevent libpython start mod_wsgi"
    );
}

/// Where an evaluation has no name, only what is inside of any interpreter's frame is certain: a
/// library further out must not be blamed.
#[test]
fn without_names_only_the_innermost_is_certain() {
    let frames = python(&["std_set", ">app"]);
    let stack = whole(&[
        "libc",
        "libtakeover",
        NAMELESS,
        "libevent",
        EVAL,
        "mod_wsgi",
    ]);
    assert_eq!(
        joined(&frames, &stack),
        "libc libtakeover std_set app libpython libevent libpython mod_wsgi"
    );
    assert_eq!(blame(&frames, &stack), "libtakeover<app");
    let stack = whole(&["libc", NAMELESS, "libevent", EVAL, "mod_wsgi"]);
    assert_eq!(blame(&frames, &stack), "<app");
    // No evaluation has a name at all: a static interpreter without symbols.
    let stack = whole(&["libc", "libtakeover", "mod_wsgi", "httpd"]);
    assert_eq!(blame(&frames, &stack), "libtakeover<app");
}

/// A stack that ends early joins as far as it goes.
#[test]
fn a_cut_stack_joins_from_the_inner_end() {
    let cut = |frames| native(NativeResult::Truncated(Reason::CopyEnded), frames);
    let frames = python(&["set", ">start", ">serve"]);
    let stack = cut(&["libc", "libffi", EVAL, "libevent", EVAL]);
    assert_eq!(
        joined(&frames, &stack),
        "libc libffi libpython set libevent libpython start serve"
    );
    assert!(!blamed(&frames, &stack).has_gap);
    let stack = cut(&["libc", "[anonymous]"]);
    assert_eq!(blame(&frames, &stack), "[anonymous]<set");
    assert!(blamed(&frames, &stack).has_gap);
    assert_eq!(blame(&python(&[]), &NativeStack::default()), "<");
}

/// More evaluations than Python knows of: the frames of one are not another's.
#[test]
fn what_does_not_fit_is_not_forced() {
    let frames = python(&["set"]);
    let stack = whole(&["libc", "libtakeover", EVAL, "libevent", EVAL]);
    assert_eq!(
        joined(&frames, &stack),
        "libc libtakeover set libpython libevent libpython"
    );
}

/// What the call went through is not to blame; who made it is.
#[test]
fn blame_passes_over_carriers_and_parts() {
    let frames = python(&["std_ctypes", "app"]);
    for (inner, expected) in [
        (&["libc", "libffi", "_ctypes"][..], "<app"),
        (&["libc", "libcurl", "libffi", "_ctypes"], "libcurl<app"),
        (&["libc", "libffi", "_cffi_backend"], "_cffi_backend<app"),
        (&["libc", "libapr-1.so", "libsvn"], "libsvn<app"),
        (&["libc", "unreadable"], "<app"),
        (&["[anonymous]"], "[anonymous]<app"),
    ] {
        let stack = whole(&[inner, &[EVAL, "mod_wsgi", "httpd"]].concat());
        assert_eq!(blame(&frames, &stack), expected, "{inner:?}");
    }
    // A thread without Python.
    assert_eq!(
        blame(&python(&[]), &whole(&["libc", "libjvm", "libc"])),
        "libjvm<"
    );
}

/// httpd's own call inside a Python function is httpd's; an interpreter inside mod_wsgi, or one
/// whose evaluation has no name, must not pass for httpd.
#[test]
fn the_server_may_be_called_by_python() {
    let own = "mod_wsgi!_PyEval_EvalFrameDefault";
    for (frames, expected) in [
        (
            &["libc", "libapr-1.so", "mod_ssl", "httpd", "mod_wsgi", EVAL][..],
            true,
        ),
        (&["libc", "libpython", EVAL, "mod_wsgi"], false),
        (&["libc", "libtakeover", EVAL, "mod_wsgi"], false),
        (&["libc", "mod_wsgi", own, "mod_wsgi"], false),
        (&["libc", "libtakeover", "mod_wsgi", "httpd"], false),
    ] {
        assert_eq!(server_within_python(&whole(frames)), expected, "{frames:?}");
    }
}

/// Who made the call, where no Python frame tells.
#[test]
fn the_caller_is_the_first_that_is_not_neutral() {
    let told = |frames: &[&str]| caller(&whole(frames));
    for (frames, expected) in [
        (
            &["libc", "libapr-1.so", "httpd", "libc"][..],
            Caller::Server,
        ),
        // Something that was loaded before httpd's own `main`.
        (&["libc", "mod_wsgi", "httpd", "libpreload"], Caller::Server),
        // The name service, and what another module of httpd brings with it.
        (&["libc", "libnss_ldap", "libc", "httpd"], Caller::Server),
        (&["libc", "libcurl", "mod_ssl", "httpd"], Caller::Server),
        (
            &["libc", "libpython", "mod_wsgi", "httpd"],
            Caller::Interpreter,
        ),
        (&["libc", "libpython", "libc"], Caller::Interpreter),
        // An extension's clean-up while the interpreter ends.
        (
            &["libc", "libfoo", "libpython", "mod_wsgi"],
            Caller::Application,
        ),
        (
            &["libc", "libpython", "libfoo", "libc"],
            Caller::Application,
        ),
        (
            &["libc", "libapr-1.so", "libsvn", "libc"],
            Caller::Application,
        ),
        (&["[anonymous]", "libc"], Caller::Application),
    ] {
        assert_eq!(told(frames), Some(expected), "{frames:?}");
    }
    assert_eq!(told(&["libc"]), None);
    let cut = native(
        NativeResult::Truncated(Reason::NoUnwindInfo),
        &["libc", "libfoo"],
    );
    assert_eq!(caller(&cut), None, "who called it is not known");
}
