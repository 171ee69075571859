//! Tables made from the rows, and broken ones. The test of the files on this machine has real ones.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::python::{
    layout::{self, check::FAR},
    reading::{Reading, Said, Unsupported, choose},
};

/// `PY_VERSION_HEX` of a minor's first final release.
fn final_of(version: Version) -> u64 {
    0x0300_00f0 | u64::from(version.minor) << 16
}

/// What an interpreter with exactly the row's layout says.
fn table(version: Version) -> Vec<u8> {
    let (_, row) = layout::find(version).expect("a row");
    let mut bytes = vec![0; SIZE];
    let mut put = |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    put(0, u64::from_le_bytes(COOKIE));
    put(8, final_of(version));
    put(16, version.free_threaded.into());
    put(
        INTERPRETERS_AT,
        row.runtime.expect("a runtime").interpreters,
    );
    for Entry(_, positions, select) in ENTRIES {
        let value = *select(&mut row.raw.clone());
        if let Some(at) = positions[usize::from(version.minor - 13)]
            && value != ABSENT
        {
            put(at, value.into());
        }
    }
    bytes
}

fn versions() -> impl Iterator<Item = Version> {
    let usual = (13..=15).map(|minor| Version::new(3, minor));
    usual.flat_map(|version| [version, version.free_threaded()])
}

fn chosen(bytes: &[u8]) -> crate::python::reading::Choice {
    choose(&Said {
        runtime: Some(bytes),
        ..Said::default()
    })
}

/// Sets the word that a version has for a field.
fn with(version: Version, field: &str, value: u64) -> Vec<u8> {
    let mut bytes = table(version);
    let entry = ENTRIES.iter().find(|Entry(name, ..)| *name == field);
    let at = entry.and_then(|Entry(_, positions, _)| positions[usize::from(version.minor - 13)]);
    let at = at.expect("a known field");
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    bytes
}

#[test]
fn who_agrees_is_read_by_the_row() {
    for version in versions() {
        let choice = chosen(&table(version));
        let (index, row) = layout::find(version).expect("a row");
        assert_eq!(choice.version, Some(version));
        assert_eq!(choice.reading, Reading::Row(index), "{version}");
        assert_eq!(choice.runtime, row.runtime);
        assert_eq!(choice.disagreements, []);
    }
}

/// The tables of real interpreters, from the files of pyenv's 3.13.0 and Debian's 3.14.10 and 3.15.2.
#[test]
fn real_interpreters_agree() {
    for (release, minor) in [("3.13.0", 13), ("3.14.10", 14), ("3.15.2", 15)] {
        let root = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/fixtures/debug_offsets"
        );
        let text = std::fs::read_to_string(format!("{root}/{release}.hex")).expect(release);
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let (pairs, _) = digits.as_chunks::<2>();
        let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Vec<u8> = pairs.iter().filter_map(byte).collect();
        let version = Version::new(3, minor);
        let (index, _) = layout::find(version).expect("a row");
        let choice = chosen(&bytes);
        assert_eq!(choice.disagreements, [], "{release}");
        assert_eq!(
            (choice.version, choice.reading),
            (Some(version), Reading::Row(index))
        );
    }
}

/// A build whose code objects have one more word says so, and what lies behind it follows.
#[test]
fn who_disagrees_is_read_as_it_says() {
    for version in versions() {
        let (_, row) = layout::find(version).expect("a row");
        let moved = u64::from(row.raw.code_bytecode) + 8;
        let choice = chosen(&with(version, "code_object.co_code_adaptive", moved));
        let Reading::Own(own) = choice.reading else {
            panic!("{version}: {choice:?}");
        };
        assert_eq!(u64::from(own.code_bytecode), moved);
        assert_eq!(own.code_first_traceable, row.raw.code_first_traceable + 8);
        assert_eq!(own.code_size, row.raw.code_size + 8);
        assert_eq!(own.version, row.raw.version);
        let said: Vec<String> = (choice.disagreements.iter().map(ToString::to_string)).collect();
        let before = row.raw.code_bytecode;
        assert_eq!(
            said,
            [format!(
                "code_object.co_code_adaptive is {moved}, not {before}"
            )]
        );
    }
}

#[test]
fn who_says_what_cannot_be_is_not_read() {
    let implausible = [
        ("thread_state.thread_id", 4_000),
        ("thread_state.next", u64::MAX),
        ("interpreter_frame.owner", 400),
        ("interpreter_frame.previous", 3),
        ("code_object.filename", 0x1_0000_0070),
        ("interpreter_state.next", u64::from(FAR)),
    ];
    for version in versions() {
        for (field, value) in implausible {
            let choice = chosen(&with(version, field, value));
            assert!(
                matches!(
                    choice.reading,
                    Reading::Unsupported(Unsupported::Implausible(_))
                ),
                "{version} {field}: {choice:?}"
            );
            assert_eq!(choice.disagreements.len(), 1);
        }
        let cut = &table(version)[..500];
        assert!(matches!(chosen(cut).reading, Reading::Unsupported(_)));
    }
}

/// The table of a pre-release is not the minor's.
#[test]
fn a_pre_release_that_disagrees_is_not_read() {
    let version = Version::new(3, 14);
    let early = |mut bytes: Vec<u8>| {
        bytes[8] = 0xa3;
        chosen(&bytes).reading
    };
    let moved = with(version, "code_object.co_code_adaptive", 216);
    assert_eq!(early(moved), Reading::Unsupported(Unsupported::PreRelease));
    assert!(matches!(early(table(version)), Reading::Row(_)));
    // Before 3.13 no interpreter says anything.
    let hex = |hex| {
        let said = Said {
            hex: Some(hex),
            ..Said::default()
        };
        choose(&said).reading
    };
    assert_eq!(
        hex(0x030c_00b4),
        Reading::Unsupported(Unsupported::PreRelease)
    );
    assert!(matches!(hex(0x030c_00c1), Reading::Row(_)));
    assert_eq!(hex(0x0310_00f0), Reading::Unsupported(Unsupported::Version));
}

proptest! {
    /// Whatever is read from it, the probe can use.
    #[test]
    fn any_table_is_usable_or_refused(
        minor in 13..=16_u8,
        free_threaded: bool,
        changes in vec((0..SIZE / 8, prop_oneof![0..300_u64, any::<u64>()]), 0..12),
        size in 0..=SIZE,
    ) {
        let mut version = Version::new(3, minor.min(15));
        version.free_threaded = free_threaded;
        let mut bytes = table(version);
        for (at, value) in changes {
            bytes[at * 8..at * 8 + 8].copy_from_slice(&value.to_le_bytes());
        }
        for bytes in [&bytes[..], &bytes[..size]] {
            if let Reading::Own(raw) = chosen(bytes).reading {
                prop_assert_eq!(layout::check::check(&raw), Ok(()));
            }
        }
    }
}
