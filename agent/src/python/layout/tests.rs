//! The rows among themselves. `cargo xtask offsets --check` holds them against the headers.

use probe_abi::{map::LAYOUTS_MAX, python::ABSENT};

use super::*;

/// The probe's copies of a frame, a code object and a string's head, in bytes; a copy is shorter
/// than its buffer, because the verifier is shown a mask.
const FRAME_COPY: u32 = 128;
const CODE_COPY: u32 = 256;
const TEXT_COPY: u32 = 64;

#[test]
fn every_field_lies_in_the_probes_copy_of_its_struct() {
    let inside = |offset: u32, width: u32, size: u32| offset == ABSENT || offset + width <= size;
    for row in ROWS.iter().map(|row| row.raw) {
        let name = format!("{:#x}", row.version);
        assert!(row.frame_size < FRAME_COPY, "{name}");
        assert!(row.code_size < CODE_COPY, "{name}");
        assert!(row.text_header < TEXT_COPY, "{name}");
        for pointer in [row.frame_previous, row.frame_code] {
            assert!(inside(pointer, 8, row.frame_size), "{name}");
        }
        let instruction = if row.instruction_unit == 0 { 8 } else { 4 };
        assert!(
            inside(row.frame_instruction, instruction, row.frame_size),
            "{name}"
        );
        assert!(inside(row.frame_owner, 1, row.frame_size), "{name}");
        for pointer in [row.code_file, row.code_name, row.code_table] {
            assert!(inside(pointer, 8, row.code_size), "{name}");
        }
        for int in [row.code_first_line, row.code_first_traceable] {
            assert!(inside(int, 4, row.code_size), "{name}");
        }
        // The bytecode is behind the code object, not in it.
        assert!(inside(row.code_bytecode, 0, row.code_size), "{name}");
        assert!(inside(row.text_length, 8, row.text_header), "{name}");
        assert!(inside(row.text_state, 4, row.text_header), "{name}");
        assert!(row.text_header <= row.text_ascii, "{name}");
    }
}

#[test]
fn a_row_is_found_by_its_version_and_the_other_way_round() {
    assert!(ROWS.len() <= LAYOUTS_MAX as usize);
    for (index, known) in (0u32..).zip(ROWS) {
        let version = version(known.raw.version).expect("the row has a version");
        assert_eq!(
            find(version),
            Some((index, known)),
            "two rows for {version}"
        );
    }
    let known = |version| find(version).is_some();
    for minor in 6..=15 {
        assert!(known(Version::new(3, minor)));
        assert_eq!(known(Version::new(3, minor).free_threaded()), minor > 12);
    }
    for version in [Version::new(2, 7), Version::new(3, 5), Version::new(3, 16)] {
        assert!(!known(version));
    }
    assert_eq!(version(0), None);
}
