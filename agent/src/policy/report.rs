//! Turns what the table knows into what users see. Pure.

use std::sync::Arc;

use crate::{
    event::{Disposition, NativeStack, PythonStack, Signal, Source, Wanted},
    httpd::InForce,
    policy::{
        finding::{
            ApplicationRef, Blame, ChangeRef, DispositionRef, Evidence, NativeFrame, NativeRef,
            Outcome, PythonRef, Route, ServerRef, SignalRef, ThreadRef, WorkerRef, flag_names,
        },
        rules::Restriction,
    },
    process::{
        origin::{Origin, Owner},
        stack::{self, Blamed, Merged},
        table::{Blocked, Change, Context},
    },
};

/// The evidence of one registration; `None` where its number is no signal.
#[must_use]
pub fn evidence(change: &Change, forced: Option<Restriction>) -> Option<Evidence> {
    let signal = change.registration.signal?;
    let registration = &change.registration;
    let changed = ChangeRef {
        old: side(
            &registration.old,
            change.old_owner.as_ref(),
            registration.native.old_symbol.as_deref(),
        ),
        new: side(
            &registration.new,
            change.new_owner.as_ref(),
            registration.native.new_symbol.as_deref(),
        ),
        flags: flag_names(registration.new.flags),
        contested: registration.contested,
    };
    let outcome = if registration.errno == 0 {
        Outcome::Applied
    } else {
        Outcome::Failed
    };
    let seen = Seen {
        context: &change.context,
        restricted: in_force(change.context.restriction.as_ref(), forced),
        python: &registration.python,
        native: &registration.native,
        blame: blame(change),
    };
    Some(seen.evidence(signal, (change.route, outcome, Source::Probe), changed))
}

/// The evidence of a blocked attempt; `None` where its number is no signal.
#[must_use]
pub fn blocked(blocked: &Blocked, forced: Option<Restriction>) -> Option<Evidence> {
    let attempt = &blocked.attempt;
    let signal = attempt.signal?;
    let changed = ChangeRef {
        old: side(
            &blocked.stands,
            blocked.owner.as_ref(),
            attempt.native.old_symbol.as_deref(),
        ),
        new: wanted(&attempt.handler),
        flags: Vec::new(),
        contested: false,
    };
    let (_, from) = in_force(blocked.context.restriction.as_ref(), forced);
    let blamed = stack::blamed(&attempt.python, &attempt.native);
    let seen = Seen {
        context: &blocked.context,
        // The attempt was blocked: that is an answer that no configuration can contradict.
        restricted: (Restriction::On, from),
        python: &attempt.python,
        native: &attempt.native,
        blame: Blame {
            module: blamed.native.map(|frame| frame.module.to_string()),
            ..python_blame(&blamed)
        },
    };
    let how = (Route::Intercept, Outcome::Blocked, attempt.source);
    Some(seen.evidence(signal, how, changed))
}

/// What evidence of any kind has.
struct Seen<'a> {
    context: &'a Context,
    restricted: (Restriction, String),
    python: &'a PythonStack,
    native: &'a NativeStack,
    blame: Blame,
}

impl Seen<'_> {
    fn evidence(
        self,
        signal: Signal,
        (route, outcome, source): (Route, Outcome, Source),
        change: ChangeRef,
    ) -> Evidence {
        let context = self.context;
        let (process, server) = (&context.process, &context.server);
        let found = process.found.as_ref();
        let (restriction, from) = self.restricted;
        Evidence {
            signal: SignalRef::from(signal),
            route,
            outcome,
            source: source.name().to_owned(),
            server: ServerRef {
                name: server.name.clone(),
                pid: Some(server.master.pid),
                config: server.config().map(str::to_owned),
                restrict_signal: restriction.name().to_owned(),
                restrict_signal_from: from,
                mod_wsgi: server.facts.mod_wsgi.clone(),
            },
            worker: WorkerRef {
                pid: process.key.pid,
                ns_pid: process.ns_pid,
                role: process.role.name().to_owned(),
                mpm: server.facts.mpm.clone(),
                process_group: context.process_group.clone(),
            },
            application: ApplicationRef {
                group: context.application.group.clone(),
                interpreter: self.python.interpreter,
                script: context.application.script.clone(),
            },
            thread: Some(ThreadRef {
                tid: context.tid,
                main: context.tid == process.key.pid,
            }),
            change,
            python: PythonRef {
                version: self.python.version.map(|version| version.to_string()),
                result: self.python.result.to_string(),
                frames: self.python.frames.clone(),
                left_out: self.python.left_out,
            },
            native: native_ref(self.python, self.native),
            blame: self.blame,
            container: found.and_then(|found| found.container.clone()),
        }
    }
}

/// The restriction that counts, and where it is said: `file:line`, `default`, `configuration` for
/// our own, or `assumed` while the server's is not known.
#[must_use]
pub fn in_force(said: Option<&InForce>, forced: Option<Restriction>) -> (Restriction, String) {
    if let Some(forced) = forced {
        return (forced, "configuration".to_owned());
    }
    match said {
        Some(InForce { on, place }) => {
            let restriction = if *on {
                Restriction::On
            } else {
                Restriction::Off
            };
            let from = place.as_ref().map(ToString::to_string);
            (restriction, from.unwrap_or_else(|| "default".to_owned()))
        }
        None => (Restriction::On, "assumed".to_owned()),
    }
}

/// What a blocked call wanted to stand on the signal.
fn wanted(handler: &Wanted) -> DispositionRef {
    let (kind, owner, symbol) = match handler {
        Wanted::Default => ("default", None, None),
        Wanted::Ignore => ("ignore", None, None),
        Wanted::Function(frame) => (
            "handler",
            Some(frame.file.clone()),
            Some(frame.function.clone()),
        ),
        Wanted::Object(name) => ("handler", None, Some(name.clone())),
        Wanted::Unknown => ("unknown", None, None),
    };
    DispositionRef {
        kind: kind.to_owned(),
        owner,
        symbol,
    }
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
        module,
        ..python_blame(&blamed)
    }
}

fn python_blame(blamed: &Blamed<'_>) -> Blame {
    Blame {
        file: blamed.python.map(|frame| frame.file.clone()),
        line: blamed.python.and_then(|frame| frame.line),
        function: blamed.python.map(|frame| frame.function.clone()),
        module: None,
    }
}

/// The finding's sentence.
#[must_use]
pub fn message(evidence: &Evidence, sentence: &str) -> String {
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
        "{} {sentence}; done by {who} in {} worker {} of {}.",
        evidence.signal.name, evidence.worker.role, evidence.worker.pid, evidence.server.name
    )
}
