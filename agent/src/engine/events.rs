//! Events for the cases of the policy: one server with one worker, and what stands in them.

use std::sync::Arc;

use crate::{
    event::{
        Action, Attempt, Disposition, Event, Frame, Instant, NativeStack, PythonStack,
        Registration, Signal, Source, StackResult, Wanted, What,
    },
    httpd::Configuration,
    process::{Found, Module, ModuleKind, Modules, ProcessKey, ServerFacts},
    python::Version,
};

pub(super) const MASTER: ProcessKey = ProcessKey { pid: 100, start: 1 };
pub(super) const WORKER: ProcessKey = ProcessKey { pid: 200, start: 2 };
pub(super) const CHILD: ProcessKey = ProcessKey { pid: 300, start: 3 };

/// Handlers, by the module that owns them (see `modules`).
pub(super) const HTTPD: Action = Action::Handler(0x1000);
pub(super) const MPM: Action = Action::Handler(0x2000);
pub(super) const MOD_WSGI: Action = Action::Handler(0x3000);
pub(super) const PYTHON: Action = Action::Handler(0x4000);
pub(super) const LIBRARY: Action = Action::Handler(0x5000);

pub(super) fn modules() -> Modules {
    let kinds = [
        ("apache2", ModuleKind::Httpd),
        ("mod_mpm_event.so", ModuleKind::Mpm),
        ("mod_wsgi.so", ModuleKind::ModWsgi),
        ("libpython3.11.so.1.0", ModuleKind::Python),
        ("takeover.so", ModuleKind::Other),
    ];
    let list = (1_u64..).zip(kinds).map(|(slot, (name, kind))| Module {
        start: slot * 0x1000,
        end: (slot + 1) * 0x1000,
        path: Arc::from(format!("/usr/lib/{name}")),
        kind,
    });
    Modules(list.collect())
}

pub(super) fn event(process: ProcessKey, what: What) -> Event {
    Event {
        when: Instant(5_000_000_000),
        process,
        tid: process.pid,
        what,
    }
}

pub(super) fn found(key: ProcessKey, parent: Option<ProcessKey>) -> Event {
    let found = Found {
        parent,
        ns_pid: key.pid,
        modules: modules(),
        server: ServerFacts {
            program: "apache2".to_owned(),
            mpm: Some("event".to_owned()),
            mod_wsgi: Some("4.9.4".to_owned()),
            ..ServerFacts::default()
        },
        container: None,
        command: String::new(),
        daemon: None,
    };
    event(key, What::Found(Box::new(found)))
}

/// A registration on the main thread; `frames` innermost first, as `file:function`.
pub(super) fn set(
    process: ProcessKey,
    signal: Signal,
    old: Action,
    new: Action,
    frames: &[&str],
) -> Event {
    let frames: Vec<Frame> = frames
        .iter()
        .filter_map(|frame| frame.split_once(':'))
        .map(|(file, function)| Frame {
            file: file.to_owned(),
            line: Some(42),
            function: function.to_owned(),
        })
        .collect();
    let disposition = |action| Disposition {
        action,
        flags: 0,
        mask: 0,
    };
    let registration = Registration {
        signal: Some(signal),
        number: u32::from(signal.number()),
        old: disposition(old),
        new: disposition(new),
        errno: 0,
        contested: false,
        folded: 0,
        python: PythonStack {
            result: StackResult::Complete,
            version: Some(Version::new(3, 11)),
            interpreter: Some(0),
            thread_known: !frames.is_empty(),
            frames,
            ..PythonStack::default()
        },
        native: NativeStack::default(),
    };
    event(process, What::Registration(Box::new(registration)))
}

/// The same at another time, in milliseconds after the first.
pub(super) fn at(milliseconds: u64, event: Event) -> Event {
    Event {
        when: Instant(event.when.0 + milliseconds * 1_000_000),
        ..event
    }
}

/// Nothing but that time has passed.
pub(super) fn overdue(milliseconds: u64) -> Event {
    at(milliseconds, event(ProcessKey::NONE, What::Overdue))
}

pub(super) fn on_thread(mut event: Event, tid: u32) -> Event {
    event.tid = tid;
    event
}

pub(super) fn fork(parent: ProcessKey, child: ProcessKey, shares_handlers: bool) -> Event {
    event(
        parent,
        What::Forked {
            child,
            shares_handlers,
        },
    )
}

/// A call of `signal.signal` that was blocked.
pub(super) fn attempt(process: ProcessKey, signal: Signal, frames: &[&str]) -> Event {
    let What::Registration(set) =
        set(process, signal, Action::Default, Action::Default, frames).what
    else {
        unreachable!("it is one");
    };
    let attempt = Attempt {
        signal: Some(signal),
        number: i64::from(signal.number()),
        handler: Wanted::Ignore,
        folded: 0,
        python: set.python,
        native: NativeStack::default(),
        source: Source::Probe,
    };
    event(process, What::Attempted(Box::new(attempt)))
}

/// What the server's configuration says, from a reading on.
pub(super) fn configured(generation: u32, configuration: Configuration) -> Event {
    event(
        MASTER,
        What::Configured {
            generation,
            configuration: Arc::new(configuration),
        },
    )
}
