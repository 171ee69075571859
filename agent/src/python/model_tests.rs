//! Memory of real interpreters, and what they said of their stacks: `tests/fixtures/stacks`.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Recording {
    version: String,
    interpreters: u64,
    current: Option<u64>,
    thread: u64,
    moments: Vec<Moment>,
}

#[derive(Deserialize)]
struct Moment {
    how: String,
    stack: Vec<(String, Option<u32>, String)>,
    memory: BTreeMap<String, String>,
}

/// What was read, by address.
#[derive(Default)]
struct Recorded(BTreeMap<u64, Vec<u8>>);

impl Recorded {
    fn add(&mut self, memory: &BTreeMap<String, String>) {
        for (address, hex) in memory {
            let address = u64::from_str_radix(address, 16).expect("an address");
            self.0.insert(address, bytes(hex));
        }
    }
}

impl Memory for Recorded {
    fn read(&mut self, address: u64, size: usize) -> Option<Vec<u8>> {
        // What a wrong layout would look for was never read.
        Some(self.0.get(&address)?.get(..size)?.to_vec())
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let (pairs, _) = hex.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(|pair| byte(pair).expect(hex)).collect()
}

fn recordings() -> Vec<Recording> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/stacks");
    let files = fs::read_dir(dir).expect("the fixtures");
    let files = files.map(|file| file.expect("a file").path());
    let files = files.filter(|file| file.extension().is_some_and(|name| name == "json"));
    files
        .map(|file| fs::read_to_string(&file).expect("a file"))
        .map(|text| serde_json::from_str(&text).expect("a recording"))
        .collect()
}

fn row_of(version: &str) -> &'static layout::Row {
    let row = layout::ROWS.iter().find(|row| {
        layout::version(row.raw.version).is_some_and(|known| known.to_string() == version)
    });
    row.expect(version)
}

/// Walks each moment; true where every frame is what Python said.
fn holds(recording: &Recording, raw: &RawLayout) -> bool {
    let mut memory = Recorded::default();
    recording.moments.iter().all(|moment| {
        memory.add(&moment.memory);
        let heads = Heads {
            interpreters: recording.interpreters,
            current: recording.current,
            thread: recording.thread,
        };
        let found = walk(&mut memory, raw, heads).unwrap_or_default();
        let found = found.into_iter().map(|f| (f.file, f.line, f.function));
        found.eq(moment.stack.iter().cloned())
    })
}

#[test]
fn every_recorded_stack_is_what_its_python_said() {
    let recordings = recordings();
    assert!(recordings.len() >= 10, "3.6 to 3.15 are there");
    for recording in &recordings {
        let moments: Vec<&str> = recording.moments.iter().map(|m| &*m.how).collect();
        assert_eq!(moments, ["free", "held"], "{}", recording.version);
        assert!(
            holds(recording, &row_of(&recording.version).raw),
            "{}",
            recording.version
        );
    }
}

/// The recordings would notice: with another version's row none of them holds, but where the two
/// have the same fields.
#[test]
fn no_recorded_stack_holds_with_another_row() {
    for recording in recordings() {
        let own = &row_of(&recording.version).raw;
        for other in layout::ROWS.iter().map(|row| &row.raw) {
            // What the walk of a thread reads; 3.8 and 3.9 differ in an interpreter's number only.
            let same = RawLayout {
                version: own.version,
                interpreter_id: own.interpreter_id,
                ..*other
            };
            let held = holds(
                &recording,
                &RawLayout {
                    version: own.version,
                    ..*other
                },
            );
            assert_eq!(
                held,
                same == *own,
                "{}: {:#x}",
                recording.version,
                other.version
            );
        }
    }
}
