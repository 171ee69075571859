//! What mod_wsgi's intercept swallows, and when a server reads its configuration, as the probe has it.

use std::{fs::File, thread};

use sigblame::{
    event::{Attempt, Event, PythonStack, StackResult, Wanted, What, decode},
    process::files::FileCache,
};
use sigblame_tests::{
    httpd::{Builder, Httpd, Installation, Mpm, Place},
    wait_for,
};

use crate::{
    listener::Listener,
    support::{PATIENCE, ask, builder},
};

/// A server with `blocked.py` in a daemon process.
fn blocked(processes: u32) -> Builder {
    builder(Mpm::Event)
        .daemon(
            "blocked",
            &format!("processes={processes} threads=4 display-name=%{{GROUP}}"),
        )
        .script("/", "blocked.py", &Place::daemon("blocked", "%{GLOBAL}"))
}

/// Offset of the function in the system's mod_wsgi.
fn intercept() -> u64 {
    let file = File::open(Installation::find().unwrap().mod_wsgi).unwrap();
    let facts = FileCache::default().facts(&file).unwrap();
    facts.intercept.clone().unwrap().unwrap().offset
}

/// A listener that watches a server whose interpreters run.
fn listen(server: &Httpd, daemons: usize) -> Listener {
    let mut listener = Listener::start();
    let intercept = intercept();
    let mut watched = 0;
    let all = wait_for(PATIENCE, || {
        let looks = listener.looks(server.pid());
        let looks = looks.into_iter().filter(|look| look.python.is_some());
        watched = 0;
        for look in looks {
            listener.watch(&look, intercept);
            watched += usize::from(look.found.command.contains("blocked"));
        }
        (watched >= daemons).then_some(())
    });
    assert!(all.is_some(), "{watched} of {daemons}");
    listener
}

fn attempts(events: &[(Event, Vec<u8>)]) -> Vec<&Attempt> {
    let attempts = events.iter().filter_map(|(event, _)| match &event.what {
        What::Attempted(attempt) => Some(&**attempt),
        _ => None,
    });
    attempts.collect()
}

/// Every kind of number and handler, with the stack that Python has and the caller's own.
#[test]
fn attempt_has_its_number_its_handler_and_its_stacks() {
    let server = blocked(1).start().unwrap();
    ask(&server, "/refused");
    let mut listener = listen(&server, 1);
    let answer = ask(&server, "/swallowed");
    let calls = answer["calls"].as_array().unwrap();
    listener.wait("attempts", |events| attempts(events).len() >= calls.len());
    let kinds = answer["notes"].as_array().unwrap();
    let attempts = attempts(&listener.events);
    assert_eq!(attempts.len(), calls.len());
    for (attempt, (call, kind)) in attempts.iter().zip(calls.iter().zip(kinds)) {
        assert_eq!(call["signals"][0], attempt.number);
        let is_signal = (1..=64).contains(&attempt.number);
        assert_eq!(attempt.signal.is_some(), is_signal, "{attempt:?}");
        assert_eq!(attempt.folded, 0);
        assert_eq!(
            serde_json::to_value(&attempt.python.frames).unwrap(),
            call["frames"]
        );
        assert_eq!(attempt.python.result, StackResult::Complete);
        let file = server.app_file("blocked.py").display().to_string();
        let told = match &attempt.handler {
            Wanted::Default => "default".to_owned(),
            Wanted::Ignore => "ignore".to_owned(),
            Wanted::Function(frame) if frame.function.contains("lambda") => "function".to_owned(),
            Wanted::Function(frame) => {
                assert_eq!(frame.file, file);
                format!("function {} {}", frame.line.unwrap(), frame.function)
            }
            Wanted::Object(name) => format!("object {name}"),
            Wanted::Unknown => "unknown".to_owned(),
        };
        assert_eq!(kind, &told, "{attempt:?}");
    }
    for (event, record) in &listener.events {
        if let What::Attempted(_) = event.what {
            let stack = decode::stack_copy(record).unwrap();
            assert!(stack.bytes.len() > 1_000, "{}", stack.bytes.len());
            assert_ne!(stack.ip, 0);
        }
    }
    assert_eq!(listener.lost, 0);

    let before = listener.miss("intercept_arguments");
    let refused = ask(&server, "/refused");
    let notes = refused["notes"].as_array().unwrap();
    assert!(notes.iter().all(|note| note == "refused"), "{notes:?}");
    listener.drain();
    assert_eq!(
        listener.miss("intercept_arguments") - before,
        notes.len() as u64
    );
    assert_eq!(self::attempts(&listener.events).len(), calls.len());

    // A file that nobody has at two looks in a row is let go of.
    let gone = [true, false, true, false, false];
    let gone = gone.map(|is_used| listener.controls.retain_intercepts(|_| is_used));
    assert_eq!((gone, listener.controls.intercepts()), ([0, 0, 0, 0, 1], 0));
    ask(&server, "/swallowed");
    listener.drain();
    assert_eq!(self::attempts(&listener.events).len(), calls.len());
}

/// Uprobes can be preempted, and a record is built in many steps: what belongs to one call stays
/// together, whoever else makes a record meanwhile.
#[test]
fn records_that_are_made_at_once_are_not_mixed_up() {
    const PROCESSES: usize = 4;
    let server = blocked(PROCESSES as u32).start().unwrap();
    let mut listener = listen(&server, PROCESSES);
    let answers: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..PROCESSES)
            .map(|_| scope.spawn(|| ask(&server, "/many")))
            .collect();
        while !clients.iter().all(thread::ScopedJoinHandle::is_finished) {
            listener.drain();
        }
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    assert_eq!(answers.len(), PROCESSES);
    listener.drain();
    let innermost = |stack: &PythonStack| {
        assert_eq!(stack.result, StackResult::Complete, "{stack:?}");
        stack.frames[0].function.clone()
    };
    let (mut swallowed, mut registered) = (0, 0);
    for (event, _) in &listener.events {
        match &event.what {
            What::Attempted(attempt) => {
                let ways = ["first", "second", "third"];
                let way = ways[usize::try_from(attempt.number - 40).unwrap()];
                assert_eq!(innermost(&attempt.python), way, "{attempt:?}");
                let Wanted::Function(handler) = &attempt.handler else {
                    panic!("{attempt:?}");
                };
                assert_eq!(handler.function, "on_signal");
                swallowed += 1 + attempt.folded;
            }
            What::Registration(registration) if registration.number == 50 => {
                assert_eq!(innermost(&registration.python), "fourth");
                registered += 1 + registration.folded;
            }
            _ => {}
        }
    }
    let misses = listener.misses();
    let calls = |answer: &serde_json::Value, at: usize| answer["notes"][at].as_u64().unwrap();
    let all = |at| answers.iter().map(|answer| calls(answer, at)).sum::<u64>();
    let folded = listener.miss("rate_limited");
    let without = listener.miss("no_scratch");
    assert!(
        swallowed + without + folded >= all(0),
        "{swallowed}, {misses:?}"
    );
    assert!(swallowed > 0 && registered > 0);
    assert!(registered + folded >= all(1), "{registered}, {misses:?}");
    assert_eq!(listener.lost, 0, "{misses:?}");
}

/// Twice when it starts, and once when it restarts, from the master itself.
#[test]
fn server_that_reads_its_configuration_is_heard() {
    let mut listener = Listener::start();
    let server = blocked(1).start().unwrap();
    let master = server.pid();
    let reloads = |events: &[(Event, Vec<u8>)]| {
        let reloads = events
            .iter()
            .map(|(event, _)| event)
            .filter(|event| event.process.pid == master && event.what == What::Reloads);
        reloads.count()
    };
    listener.wait("two readings at the start", |events| reloads(events) == 2);
    for expected in 3..5 {
        server.graceful().unwrap();
        listener.wait("one more for a restart", |events| {
            reloads(events) == expected
        });
    }
    server.stop().unwrap();
    listener.drain();
    assert_eq!(reloads(&listener.events), 4);
    assert_eq!(listener.lost, 0);
}
