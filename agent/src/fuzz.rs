//! Fuzzing of what strangers control: `cargo xtask fuzz`, and some of it in every test run.
//!
//! To add a target: a test that gives [`engine::run`] its name, its seeds and a function that must
//! neither panic nor take long, whatever its bytes are.

mod engine;

use std::fs;

use crate::{
    audit, capture,
    event::{Instant, decode, testing},
    httpd::{self, error_log},
    native,
    policy::rules::Restriction,
    process::{facts, sample::Sample},
    python::{debug_offsets, layout, linetable, reading},
    replay::judge,
};

fn fixture(path: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures");
    fs::read_to_string(format!("{root}/{path}")).expect(path)
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let (pairs, _) = digits.as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().filter_map(byte).collect()
}

/// Records of the ring: an application fills their frames.
#[test]
fn records() {
    let capture = capture::read(fixture("captures/demo-event.jsonl").as_bytes());
    let stamp = decode::Stamp {
        cpu: 0,
        sequence: 1,
    };
    let events = capture.expect("a capture").events;
    let seeds: Vec<Vec<u8>> = (events.iter())
        .filter_map(|event| testing::encode(stamp, event))
        .collect();
    assert!(seeds.len() > 64, "the capture has registrations");
    assert!(seeds.iter().all(|seed| decode::decode(seed).is_ok()));
    engine::run("records", seeds, |bytes| {
        let _ = decode::decode(bytes);
    });
}

/// A capture is anybody's file: whatever it says, both judgements end and keep to their bounds.
#[test]
fn captures() {
    let text = fixture("captures/demo-event.jsonl");
    let (header, rest) = text.split_once('\n').expect("a header");
    let lines: Vec<&str> = rest.lines().collect();
    let seeds = (lines.chunks(8)).map(|chunk| format!("{header}\n{}\n", chunk.join("\n")));
    engine::run(
        "captures",
        seeds.map(String::into_bytes).collect(),
        |bytes| {
            let Ok(reader) = capture::Reader::new(bytes) else {
                return;
            };
            let asked = judge::Asked {
                restriction: Some(Restriction::Off),
                ..judge::Asked::default()
            };
            let mut judge = judge::Judge::new(reader.header().settings(), asked);
            for told in reader.map_while(Result::ok) {
                let _ = judge.hear(told);
            }
        },
    );
}

/// Files that a process maps: anybody can map anything.
#[test]
fn elf_files() {
    let seeds = [
        Sample::httpd(),
        Sample::mod_wsgi(),
        Sample::python(),
        Sample::python()
            .hidden("interp_head", 0x7010)
            .runtime_section(),
        Sample::new()
            .object("_PyThreadState_Current", 0x7000)
            .function("PyInterpreterState_Head", 0x5000),
    ];
    let seeds = seeds.iter().map(Sample::build).collect();
    engine::run("elf_files", seeds, |bytes| {
        if let Ok(facts) = facts::facts(bytes) {
            let _ = (facts.image.end(), facts.image.bias(0x7000, 0x8000, 0x4000));
        }
    });
}

/// What an interpreter says of itself is in a file, too. Whatever is made of it, the probe can use.
#[test]
fn debug_offsets() {
    let seeds = ["3.13.0", "3.14.10", "3.15.2"]
        .map(|version| unhex(&fixture(&format!("debug_offsets/{version}.hex"))))
        .to_vec();
    engine::run("debug_offsets", seeds, |bytes| {
        let _ = debug_offsets::head(bytes);
        let said = reading::Said {
            runtime: Some(bytes),
            ..reading::Said::default()
        };
        if let reading::Reading::Own(raw) = reading::choose(&said).reading {
            assert_eq!(layout::check::check(&raw), Ok(()));
        }
    });
}

/// An error log's lines: an application writes there, and its names stand in those of mod_wsgi.
#[test]
fn error_logs() {
    let logs = ["4.9.4", "6.1.1"].map(|version| fixture(&format!("error_logs/{version}.log")));
    let seeds = logs.iter().flat_map(|log| {
        let lines: Vec<&str> = log.lines().collect();
        let chunk = |lines: &[&str]| lines.join("\n").into_bytes();
        lines.chunks(16).map(chunk).collect::<Vec<_>>()
    });
    engine::run("error_logs", seeds.collect(), |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let mut reader = error_log::Reader::default();
        for line in text.lines() {
            let found = reader.read(line, Instant(0));
            assert!(found.iter().all(|attempt| attempt.frames.len() <= 128));
        }
    });
}

/// The tables by which a stack is unwound are a file's, and the stack is the application's.
#[test]
fn unwind_tables() {
    engine::run("unwind_tables", native::walks(), native::walk_anything);
}

/// Source of any package, as deep as it is read at all.
#[test]
fn audited_source() {
    let seeds = [
        "import signal\nsignal.signal(signal.SIGTERM, print)\n",
        "from signal import *\nfor s, h in {SIGHUP: f}.items():\n  signal(s, h)\n",
        "import signal as s\nclass A(B):\n  S = (1, 2)\n  def f(self, x=s.SIGINT):\n    \
         [s.signal(y, self.g) for y in self.S]\n    s.signal(x, lambda *a: a)\nA().f()\n",
        "import ctypes\nlibc = ctypes.CDLL(None)\nif __name__ == '__main__':\n  libc.signal(15, 1)\n",
        "match signal:\n  case [x, *y] if (z := f'{x!r:{y}}'): getattr(signal, 'signal')(*z)\n",
    ];
    let seeds: Vec<Vec<u8>> = seeds.map(|seed| seed.as_bytes().to_vec()).to_vec();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(audit::python::STACK);
        let work = || {
            engine::run("audited_source", seeds, |bytes| {
                let _ = audit::python::audit(bytes, false);
            });
        };
        let done = thread.spawn_scoped(scope, work).map(|thread| thread.join());
        assert!(matches!(done, Ok(Ok(()))));
    });
}

/// Libraries of any package.
#[test]
fn audited_libraries() {
    let seeds = [
        Sample::new().import("sigaction").import("system"),
        Sample::new().constants(b"JNI_CreateJavaVM\0"),
        Sample::python(),
    ];
    let seeds = seeds.iter().map(Sample::build).collect();
    engine::run("audited_libraries", seeds, |bytes| {
        let _ = audit::native::audit(bytes);
    });
}

/// Anybody may have written a part of a server's configuration: `Include` takes it all. The files
/// are parts of the input, with names that include one another.
#[test]
fn configurations() {
    httpd::fuzzing::check(&httpd::fuzzing::seeds());
    engine::run("configurations", httpd::fuzzing::seeds(), |bytes| {
        httpd::fuzzing::check(&[bytes.to_vec()]);
    });
}

/// The first byte chooses the table's form, the next eight the instruction.
#[test]
fn line_tables() {
    let cases = fixture("linetables/cases.txt");
    let tables = cases.lines().filter_map(|case| case.split(' ').nth(3));
    let seeds = (0..3_u8)
        .cycle()
        .zip(tables)
        .map(|(kind, table)| [vec![kind, 8, 0, 0, 0, 0, 0, 0, 0], unhex(table)].concat())
        .collect();
    engine::run("line_tables", seeds, |bytes| {
        let Some((&[kind, ref instruction @ ..], table)) = bytes.split_first_chunk::<9>() else {
            return;
        };
        let kind = match kind % 3 {
            0 => linetable::Kind::Lnotab,
            1 => linetable::Kind::Ranges,
            _ => linetable::Kind::Locations,
        };
        let instruction = i64::from_le_bytes(*instruction);
        for cut in [false, true] {
            let _ = linetable::line(kind, table, 7, instruction, cut);
        }
    });
}
