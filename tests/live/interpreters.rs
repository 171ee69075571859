//! Many interpreters, many threads: each call has the stack of its own thread and interpreter.

use std::{collections::BTreeMap, thread};

use serde_json::Value;
use sigblame_tests::{agent::Trace, httpd::Mpm};

use crate::support::{HARD_DAEMON, HARD_MAIN, ask, assert_frames, call_for, hard};

const SIGUSR2: u32 = 12;

/// A call that gives up the interpreter lock and one that keeps it, from the main interpreter and
/// from another one of the same process: the interpreter is the one that Python itself names.
///
/// That need not be the script's own. `PyGILState_Ensure`, with which mod_wsgi enters the main
/// interpreter, takes the thread's first state, which is another interpreter's where the thread was
/// there before (seen with mod_wsgi 4.9.4 on CPython 3.11). So the main interpreter comes first here.
#[test]
fn main_and_sub_interpreter_are_told_apart() {
    let trace = Trace::start(&[]).unwrap();
    let server = hard(Mpm::Event).start().unwrap();
    let mut answers = Vec::new();
    for mount in [HARD_MAIN, "", HARD_DAEMON] {
        for name in ["cdll", "pydll"] {
            answers.push((mount, ask(&server, &format!("{mount}/{name}/{SIGUSR2}"))));
        }
    }
    let lines = trace.finish(server.pid()).unwrap();
    assert_eq!(lines.len(), answers.len(), "{lines:#?}");
    let mut interpreters = BTreeMap::new();
    for (line, (mount, answer)) in lines.iter().zip(&answers) {
        assert_eq!(line["worker"]["pid"], answer["pid"]);
        let call = call_for(answer, &line["signal"]["number"]);
        assert_frames(line, call);
        let interpreter = &line["application"]["interpreter"];
        assert_eq!(interpreter, &call["interpreter"], "{mount}");
        interpreters.entry(*mount).or_insert(interpreter);
    }
    assert_eq!(*interpreters[HARD_MAIN], 0);
    assert_ne!(*interpreters[""], 0);
    assert_ne!(*interpreters[HARD_DAEMON], 0);
}

/// A call whose thread gave up the lock long ago, while threads of the same and of another
/// interpreter run Python: the stack is the calling thread's, not that of whoever has the lock.
#[test]
fn stack_is_the_calling_threads_while_others_hold_the_lock() {
    let trace = Trace::start(&[]).unwrap();
    let server = hard(Mpm::Event).start().unwrap();
    for mount in ["", HARD_MAIN] {
        ask(&server, &format!("{mount}/reset/{SIGUSR2}"));
    }
    let answers: Vec<Value> = thread::scope(|scope| {
        let busy = ["", HARD_MAIN].map(|mount| {
            let server = &server;
            scope.spawn(move || ask(server, &format!("{mount}/busy/{SIGUSR2}")))
        });
        let late = ["", HARD_MAIN].map(|mount| {
            let server = &server;
            scope.spawn(move || ask(server, &format!("{mount}/late/{SIGUSR2}")))
        });
        for thread in busy {
            thread.join().unwrap();
        }
        late.into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let lines = trace.finish(server.pid()).unwrap();
    let taken: Vec<&Value> = lines
        .iter()
        .filter(|line| line["change"]["new"]["kind"] == "handler")
        .collect();
    assert_eq!(taken.len(), answers.len(), "{lines:#?}");
    for answer in &answers {
        let call = call_for(answer, &SIGUSR2.into());
        let line = taken
            .iter()
            .find(|line| line["thread"]["tid"] == call["tid"]);
        assert_frames(line.unwrap(), call);
    }
}
