//! The rows among themselves. `cargo xtask offsets --check` holds them against the headers.

use probe_abi::{map::LAYOUTS_MAX, python::ABSENT};

use super::*;

#[test]
fn the_probe_can_use_every_row() {
    for row in ROWS {
        let version = version(row.raw.version).expect("the row has a version");
        assert_eq!(check::check(&row.raw), Ok(()), "{version}");
    }
}

/// One field after the other put where the probe cannot read it, or where another one is.
#[test]
fn a_layout_that_the_probe_cannot_use_is_refused() {
    type Change = fn(&mut RawLayout);
    let changes: [(&str, Change); 19] = [
        ("interpreter_next", |l| l.interpreter_next = 1 << 30),
        ("interpreter_threads", |l| {
            l.interpreter_threads = l.interpreter_next
        }),
        ("thread_id", |l| l.thread_id = 256),
        ("thread_status", |l| l.thread_status = l.thread_id + 8),
        ("thread_next", |l| l.thread_next = ABSENT),
        ("frame_previous", |l| l.frame_size = 128),
        ("frame_code", |l| l.frame_code = 4),
        ("frame_copy", |l| l.frame_copy = l.frame_size),
        ("code_file", |l| l.code_size = 256),
        ("code_table", |l| l.code_table = l.code_name),
        ("code_bytecode", |l| l.code_bytecode = ABSENT),
        ("text_length", |l| l.text_header = 64),
        ("text_ascii", |l| l.text_ascii = 8),
        ("bytes_data", |l| l.bytes_data = l.bytes_size),
        ("type_name", |l| l.type_name = l.object_type),
        ("tuple_items", |l| l.tuple_items = l.tuple_size + 4),
        ("integer_digits", |l| l.integer_digits = l.integer_tag),
        ("integer_tag", |l| l.integer_tag = ABSENT),
        ("function_code", |l| l.function_code = 1 << 30),
    ];
    let (_, row) = find(Version::new(3, 14).free_threaded()).expect("a row");
    for (field, change) in changes {
        let mut raw = row.raw;
        change(&mut raw);
        assert_eq!(check::check(&raw), Err(field));
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
