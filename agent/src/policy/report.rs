//! Turns what the table knows into what users see. Pure.

use std::sync::Arc;

use crate::{
    event::{Disposition, Frame, NativeStack, PythonStack, Signal},
    policy::{
        finding::{
            ApplicationRef, Blame, ChangeRef, DispositionRef, Evidence, NativeFrame, NativeRef,
            Outcome, PythonRef, ServerRef, SignalRef, ThreadRef, WorkerRef, flag_names,
        },
        rules::Restriction,
    },
    process::{
        origin::{Origin, Owner},
        stack::{self, Merged},
        table::Change,
    },
};

/// The evidence of one registration; `None` where its number is no signal.
#[must_use]
pub fn evidence(change: &Change, restriction: Restriction) -> Option<Evidence> {
    let signal = change.registration.signal?;
    let process = &change.process;
    let python = &change.registration.python;
    let frames = &python.frames;
    Some(Evidence {
        signal: SignalRef::from(signal),
        route: change.route,
        outcome: if change.registration.errno == 0 {
            Outcome::Applied
        } else {
            Outcome::Failed
        },
        server: ServerRef {
            name: change.server.name.clone(),
            pid: Some(change.server.master.pid),
            config: change.server.facts.config.clone(),
            restrict_signal: restriction.name().to_owned(),
            restrict_signal_from: "configuration".to_owned(),
            mod_wsgi: change.server.facts.mod_wsgi.clone(),
        },
        worker: WorkerRef {
            pid: process.key.pid,
            ns_pid: process.ns_pid,
            role: process.role.name().to_owned(),
            mpm: change.server.facts.mpm.clone(),
            process_group: process.process_group(),
        },
        application: ApplicationRef {
            group: application_group(python.interpreter.filter(|_| !frames.is_empty())),
            interpreter: python.interpreter,
            script: script(frames),
        },
        thread: ThreadRef {
            tid: change.tid,
            main: change.tid == process.key.pid,
        },
        change: ChangeRef {
            old: side(
                &change.registration.old,
                change.old_owner.as_ref(),
                change.registration.native.old_symbol.as_deref(),
            ),
            new: side(
                &change.registration.new,
                change.new_owner.as_ref(),
                change.registration.native.new_symbol.as_deref(),
            ),
            flags: flag_names(change.registration.new.flags),
            contested: change.registration.contested,
        },
        python: PythonRef {
            version: python.version.map(|version| version.to_string()),
            result: python.result.to_string(),
            frames: frames.clone(),
            left_out: python.left_out,
        },
        native: native_ref(python, &change.registration.native),
        blame: blame(change),
        container: process
            .found
            .as_ref()
            .and_then(|found| found.container.clone()),
    })
}

fn side(disposition: &Disposition, owner: Option<&Owner>, symbol: Option<&str>) -> DispositionRef {
    DispositionRef::new(disposition, owner.and_then(Owner::name), symbol)
}

fn native_ref(python: &PythonStack, native: &NativeStack) -> NativeRef {
    let mut python_inside = 0;
    let mut frames = Vec::with_capacity(native.frames.len());
    for frame in stack::merged(python, native) {
        match frame {
            Merged::Python(_) => python_inside += 1,
            Merged::Native(frame) => frames.push(NativeFrame {
                module: Arc::clone(&frame.module),
                symbol: frame.symbol.clone(),
                offset: frame.offset,
                code: frame.code.label().into(),
                python_inside,
            }),
        }
    }
    NativeRef {
        result: native.result.to_string(),
        frames,
    }
}

/// The foreign module that made the call, and the Python frame that made it or called that. Where
/// it is not known what lies between them, the module is the one that owns the new handler.
fn blame(change: &Change) -> Blame {
    let registration = &change.registration;
    let blamed = stack::blamed(&registration.python, &registration.native);
    let called = blamed.native.map(|frame| frame.module.to_string());
    let owner = change.new_owner.as_ref().filter(|owner| owner.is_foreign());
    let owned = || owner.and_then(Owner::name).map(str::to_owned);
    let module = match change.origin {
        Origin::Application if blamed.has_gap => called.or_else(owned),
        Origin::Application => called,
        // What the server or the interpreter did, no library did.
        Origin::Server | Origin::Interpreter => None,
    };
    Blame {
        file: blamed.python.map(|frame| frame.file.clone()),
        line: blamed.python.and_then(|frame| frame.line),
        function: blamed.python.map(|frame| frame.function.clone()),
        module,
    }
}

/// mod_wsgi calls the main interpreter `%{GLOBAL}`; the names of the others are known to its
/// configuration only.
fn application_group(interpreter: Option<i64>) -> Option<String> {
    (interpreter == Some(0)).then(|| "%{GLOBAL}".to_owned())
}

/// The WSGI script, where the outermost frame shows it: mod_wsgi runs a script's module level
/// itself, and calls its `application` directly.
fn script(frames: &[Frame]) -> Option<String> {
    let outermost = frames.last()?;
    let is_script = outermost.function == "<module>" || outermost.file.ends_with(".wsgi");
    is_script.then(|| outermost.file.clone())
}

/// The finding's sentence.
#[must_use]
pub fn message(evidence: &Evidence, signal: Signal, sentence: &str) -> String {
    let Blame {
        file, line, module, ..
    } = &evidence.blame;
    let place = file.as_ref().map(|file| match line {
        Some(line) => format!("{file}:{line}"),
        None => file.clone(),
    });
    let who = match (place, module) {
        (Some(place), Some(module)) => format!("{place} through {module}"),
        (Some(place), None) => place,
        (None, Some(module)) => module.clone(),
        (None, None) => "an unknown caller".to_owned(),
    };
    format!(
        "{signal} {sentence}; done by {who} in {} worker {} of {}.",
        evidence.worker.role, evidence.worker.pid, evidence.server.name
    )
}
