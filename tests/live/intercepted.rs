//! A process that calls its own intercept with what is no tuple, no integer and no handler: each lie
//! costs bounded reads and ends in a named miss, and the next honest call is told whole.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    time::Duration,
};

use sigblame::{
    event::{Wanted, What},
    probe::maps::Interpreter,
    process::proc,
    python::{Version, layout},
};
use sigblame_tests::{package_dir, process::Scoped, scratch::Scratch};

use crate::listener::Listener;

/// What is told of a call.
enum Told {
    /// Nothing but a miss.
    Miss(&'static str),
    /// A handler.
    Handler(&'static str),
    /// An attempt without its handler.
    Without,
}

use Told::{Handler, Miss, Without};

const ARGUMENTS: Told = Miss("intercept_arguments");

/// What stands for a text that is as long as the record has room for.
const CUT: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA…";

const LIES: [(&str, Told); 29] = [
    ("truth", Handler("lie /srv/liar.py 7")),
    ("no-arguments", ARGUMENTS),
    ("unmapped-arguments", ARGUMENTS),
    ("kernel-arguments", ARGUMENTS),
    ("last-address", ARGUMENTS),
    ("half-arguments", ARGUMENTS),
    ("many-items", ARGUMENTS),
    ("negative-items", ARGUMENTS),
    ("no-number", ARGUMENTS),
    ("tuple-in-itself", ARGUMENTS),
    ("unmapped-type", ARGUMENTS),
    ("type-of-itself", ARGUMENTS),
    ("endless-digits", ARGUMENTS),
    ("least-digits", ARGUMENTS),
    ("wide-digit", ARGUMENTS),
    ("wide-digits", ARGUMENTS),
    ("no-handler", Without),
    ("kernel-handler", Without),
    ("kernel-class", Without),
    ("unmapped-name", Without),
    ("endless-name", Handler(CUT)),
    ("name-of-a-function", Handler("function")),
    ("hidden-code", Without),
    ("kernel-code", Without),
    ("method", Handler("lie /srv/liar.py 7")),
    ("method-of-itself", Handler("method")),
    ("method-of-the-kernel", Without),
    ("long-file", Handler("lie long 7")),
    ("endless-integer-for-a-handler", Handler("int")),
];

#[test]
fn lies_to_the_intercept_cost_bounded_reads_and_a_named_miss() {
    let scratch = Scratch::new("intercepted").unwrap();
    let program = scratch.path().join("intercepted");
    let source = package_dir().join("apps/live/intercepted.c");
    let mut command = Command::new("cc");
    command.args(["-O1", "-g", "-Wall", "-Wextra", "-pthread", "-o"]);
    assert!(
        command
            .arg(&program)
            .arg(source)
            .status()
            .unwrap()
            .success()
    );
    let mut command = Command::new(&program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut liar = Scoped::spawn(&mut command, Duration::from_secs(2)).unwrap();
    let pid = liar.pid();
    let child = liar.child();
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut output = BufReader::new(output).lines();
    let addresses = output.next().unwrap().unwrap();
    let (interpreters, function) = addresses.split_once(' ').unwrap();

    let mut listener = Listener::start();
    let (layout, _) = layout::find(Version::new(3, 11)).unwrap();
    let interpreter = Interpreter {
        interpreters: interpreters.parse().unwrap(),
        current: None,
        layout,
    };
    listener.controls.watch(pid, Some(interpreter)).unwrap();
    let offset = offset_of(pid, function.parse().unwrap());
    // Overlay file systems, and others, have several names for a file; each call is told once.
    for file in [(0, 1), (0, 2), (7, 1)] {
        let attached = listener.controls.attach_intercept(file, &program, offset);
        assert_eq!(attached, Ok(true));
    }

    for (lie, told) in LIES {
        for lie in [lie, "truth"] {
            let told = if lie == "truth" { &LIES[0].1 } else { &told };
            let miss = match told {
                Miss(miss) => Some(*miss),
                Without => Some("intercept_handler"),
                Handler(_) => None,
            };
            let before = miss.map(|miss| listener.miss(miss));
            listener.events.clear();
            writeln!(input, "{lie}").unwrap();
            assert_eq!(output.next().unwrap().unwrap(), "called");
            // The call is over, and the program ran inside of it.
            listener.drain();
            let attempts = listener
                .events
                .iter()
                .filter_map(|(event, _)| match &event.what {
                    What::Attempted(attempt) => Some(attempt),
                    _ => None,
                });
            let attempts: Vec<_> = attempts.collect();
            let is_told = !matches!(told, Miss(_));
            assert_eq!(attempts.len(), usize::from(is_told), "{lie}: {attempts:#?}");
            if let Some(attempt) = attempts.first() {
                assert_eq!(attempt.number, 15, "{lie}");
                let handler = match &attempt.handler {
                    Wanted::Function(frame) => {
                        let line = frame.line.unwrap_or(0);
                        let long = frame.file.ends_with('…') && frame.file.len() <= 258;
                        let file = if long { "long" } else { frame.file.as_str() };
                        Some(format!("{} {file} {line}", frame.function))
                    }
                    Wanted::Object(name) => Some(name.clone()),
                    Wanted::Unknown => None,
                    plain => Some(format!("{plain:?}")),
                };
                let expected = match told {
                    Handler(expected) => Some((*expected).to_owned()),
                    _ => None,
                };
                assert_eq!(handler, expected, "{lie}");
                assert_eq!(attempt.python.frames.len(), 1, "{lie}: {attempt:#?}");
            }
            let counted = miss.map(|miss| listener.miss(miss));
            assert_eq!(counted, before.map(|before| before + 1), "{lie}");
        }
    }
    assert_eq!(listener.lost, 0);
}

/// Where an address of a process is in the file that it maps there.
fn offset_of(pid: u32, address: u64) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mapping = proc::mappings(&maps).find(|m| (m.start..m.end).contains(&address));
    let mapping = mapping.unwrap();
    mapping.offset + (address - mapping.start)
}
