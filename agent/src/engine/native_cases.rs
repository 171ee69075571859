//! Whom the native stack blames, through the real process table and the rules.

use super::{
    Engine, Step,
    events::{LIBRARY, MASTER, MPM, PYTHON, WORKER, event, fork, found, modules, set},
};
use crate::{
    event::{
        Action, Code, Event, NativeFrame, NativeResult, NativeStack, Reason, Signal, StackResult,
        What,
    },
    policy::{Settings, finding::WallClock, rules::Restriction},
    process::{ModuleKind, origin::Origin},
};

/// Frames by whose code they run.
fn native(result: NativeResult, frames: &[&str]) -> NativeStack {
    let frame = |text: &&str| {
        let (module, symbol) = text.split_once('!').unwrap_or((text, ""));
        let kind = match module {
            "libc" => ModuleKind::Libc,
            "libpython" => ModuleKind::Python,
            "mod_wsgi" => ModuleKind::ModWsgi,
            "mod_ssl" => ModuleKind::HttpdPart,
            "httpd" => ModuleKind::Httpd,
            _ => ModuleKind::Other,
        };
        NativeFrame {
            module: module.into(),
            code: Code::Module(kind),
            symbol: (!symbol.is_empty()).then(|| symbol.into()),
            offset: 4,
        }
    };
    NativeStack {
        result,
        frames: frames.iter().map(frame).collect(),
        ..NativeStack::default()
    }
}

fn with(mut event: Event, stack: NativeStack) -> Event {
    if let What::Registration(registration) = &mut event.what {
        if registration.python.frames.is_empty() {
            registration.python.result = StackResult::None;
        }
        registration.native = stack;
    }
    event
}

/// What comes of one registration of a worker.
fn step(event_: Event) -> Step {
    let mut engine = Engine::new(Settings {
        restriction: Some(Restriction::On),
        clock: WallClock { offset: 0 },
        ..Settings::default()
    });
    engine.step(found(MASTER, None));
    engine.step(set(MASTER, Signal::TERM, Action::Default, MPM, &[]));
    engine.step(fork(MASTER, WORKER, false));
    engine.step(event(WORKER, What::Mapped(modules())));
    engine.step(event_)
}

const APP: &[&str] = &["/usr/lib/python3.11/ssl.py:read", "/srv/app.py:serve"];
const EVAL: &str = "libpython!_PyEval_EvalFrameDefault";

/// A bare default of a thread without Python, by who is on its stack.
#[test]
fn a_bare_default_goes_by_the_native_stack() {
    use NativeResult::{Complete, Failed, None, Truncated};
    let cases: [(NativeStack, Origin); 8] = [
        (
            native(Complete, &["libc", "libjvm", "libc"]),
            Origin::Application,
        ),
        (native(Complete, &["libc", "httpd", "libc"]), Origin::Server),
        (
            native(Complete, &["libc", "mod_wsgi", "httpd"]),
            Origin::Server,
        ),
        (
            native(Complete, &["libc", "libnss", "libc", "httpd"]),
            Origin::Server,
        ),
        (
            native(Complete, &["libc", "libcurl", "mod_ssl", "httpd"]),
            Origin::Server,
        ),
        (
            native(Complete, &["libc", "libpython", "mod_wsgi", "httpd"]),
            Origin::Interpreter,
        ),
        (
            native(Truncated(Reason::CopyEnded), &["libc", "libjvm"]),
            Origin::Server,
        ),
        (native(Failed(Reason::MapsUnknown), &[]), Origin::Server),
    ];
    for (stack, origin) in cases {
        let told = format!("{stack:?}");
        let event = set(WORKER, Signal::TERM, MPM, Action::Default, &[]);
        let step = step(with(event, stack));
        assert_eq!(
            step.change.as_ref().expect("a change").origin,
            origin,
            "{told}"
        );
        let module = step
            .found()
            .map(|finding| finding.evidence.blame.module.clone());
        let blamed = (origin == Origin::Application).then(|| Some("libjvm".to_owned()));
        assert_eq!(module, blamed, "{told}");
    }
    let event = set(WORKER, Signal::TERM, MPM, Action::Default, &[]);
    assert!(step(with(event, native(None, &[]))).found().is_none());
}

/// httpd's own call while Python waits for it is no takeover; a library's handler is one, whoever
/// made the call.
#[test]
fn httpds_call_inside_of_python_is_httpds() {
    let stack = || {
        native(
            NativeResult::Complete,
            &["libc", "mod_ssl", "httpd", "mod_wsgi", EVAL],
        )
    };
    let event = set(WORKER, Signal::PIPE, Action::Ignore, Action::Default, APP);
    assert!(step(with(event, stack())).found().is_none());
    let event = set(WORKER, Signal::TERM, MPM, LIBRARY, APP);
    assert!(step(with(event, stack())).found().is_some());
}

/// The library on the stack is blamed; the owner of the handler where the stack is not known, and
/// nobody else where it is.
#[test]
fn the_owner_is_blamed_where_the_stack_does_not_tell() {
    let complete = NativeResult::Complete;
    let cut = NativeResult::Truncated(Reason::Unreadable);
    let cases = [
        (
            LIBRARY,
            native(complete, &["libc", "libsetter", EVAL]),
            Some("libsetter"),
        ),
        (LIBRARY, native(complete, &["libc", EVAL]), None),
        (LIBRARY, native(cut, &["libc"]), Some("takeover.so")),
        (
            LIBRARY,
            native(cut, &["libc", "libsetter"]),
            Some("libsetter"),
        ),
        (LIBRARY, NativeStack::default(), Some("takeover.so")),
        (PYTHON, NativeStack::default(), None),
    ];
    for (handler, stack, expected) in cases {
        let told = format!("{stack:?}");
        let event = set(WORKER, Signal::TERM, MPM, handler, APP);
        let finding = step(with(event, stack))
            .found()
            .cloned()
            .expect("a finding");
        let blame = finding.evidence.blame;
        assert_eq!(blame.module.as_deref(), expected, "{told}");
        assert_eq!(blame.function.as_deref(), Some("serve"), "{told}");
        let through = finding.message.contains("app.py:42 through ");
        assert_eq!(through, expected.is_some(), "{}", finding.message);
    }
}
