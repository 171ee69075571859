//! `_Py_DebugOffsets`: what an interpreter says of its own layout, from 3.13 on. Pure and total.
//!
//! It is the first member of `_PyRuntime`, a constant in the file
//! (`Include/internal/pycore_debug_offsets.h`; `pycore_runtime.h` in 3.13): a cookie, the version, and
//! words, each of which is an offset. What stands where is fixed within a minor, equal for both
//! builds and for both architectures, and changes between minors.

use std::fmt;

use probe_abi::python::{ABSENT, RawLayout};

use super::{Version, layout::Row};

/// First bytes of the table.
pub const COOKIE: [u8; 8] = *b"xdebugpy";
/// Bytes of the longest table that is known, 3.15's.
pub const SIZE: usize = 888;

/// The words that every version's table begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// `PY_VERSION_HEX`.
    pub hex: u64,
    /// Built without the global interpreter lock.
    pub free_threaded: bool,
}

/// The head of a table, if it is one.
#[must_use]
pub fn head(bytes: &[u8]) -> Option<Head> {
    (bytes.get(..8)? == COOKIE).then_some(())?;
    Some(Head {
        hex: word(bytes, 8)?,
        free_threaded: word(bytes, 16)? == 1,
    })
}

/// A field of which the interpreter says something else than the table of layouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// As `_Py_DebugOffsets` calls it.
    pub field: &'static str,
    /// The table's offset.
    pub table: u64,
    /// The interpreter's.
    pub own: u64,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, table, own } = self;
        write!(f, "{field} is {own}, not {table}")
    }
}

/// A word of the table: its name, where it stands in 3.13, 3.14 and 3.15, and which column it is.
struct Entry(
    &'static str,
    [Option<usize>; 3],
    fn(&mut RawLayout) -> &mut u32,
);

const INTERPRETERS: &str = "runtime_state.interpreters_head";
const INTERPRETERS_AT: usize = 40;

const fn at(a: usize, b: usize, c: usize) -> [Option<usize>; 3] {
    [Some(a), Some(b), Some(c)]
}

#[rustfmt::skip]
const ENTRIES: &[Entry] = &[
    Entry("interpreter_state.id", at(56, 56, 56), |l| &mut l.interpreter_id),
    Entry("interpreter_state.next", at(64, 64, 64), |l| &mut l.interpreter_next),
    Entry("interpreter_state.threads_head", at(72, 72, 72), |l| &mut l.interpreter_threads),
    Entry("thread_state.next", at(168, 192, 192), |l| &mut l.thread_next),
    Entry("thread_state.interp", at(176, 200, 200), |l| &mut l.thread_interpreter),
    Entry("thread_state.current_frame", at(184, 208, 208), |l| &mut l.thread_frame),
    Entry("thread_state.thread_id", at(192, 216, 240), |l| &mut l.thread_id),
    Entry("thread_state.status", at(216, 240, 264), |l| &mut l.thread_status),
    Entry("interpreter_frame.previous", at(232, 256, 320), |l| &mut l.frame_previous),
    Entry("interpreter_frame.executable", at(240, 264, 328), |l| &mut l.frame_code),
    Entry("interpreter_frame.instr_ptr", at(248, 272, 336), |l| &mut l.frame_instruction),
    Entry("interpreter_frame.owner", at(264, 288, 352), |l| &mut l.frame_owner),
    Entry("interpreter_frame.tlbc_index", [None, Some(304), Some(368)], |l| &mut l.frame_copy),
    Entry("code_object.filename", at(280, 320, 384), |l| &mut l.code_file),
    Entry("code_object.qualname", at(296, 336, 400), |l| &mut l.code_name),
    Entry("code_object.linetable", at(304, 344, 408), |l| &mut l.code_table),
    Entry("code_object.firstlineno", at(312, 352, 416), |l| &mut l.code_first_line),
    Entry("code_object.co_code_adaptive", at(344, 384, 448), |l| &mut l.code_bytecode),
    Entry("code_object.co_tlbc", [None, Some(392), Some(456)], |l| &mut l.code_copies),
    Entry("pyobject.ob_type", at(360, 408, 472), |l| &mut l.object_type),
    Entry("type_object.tp_name", at(376, 424, 488), |l| &mut l.type_name),
    Entry("type_object.tp_flags", at(392, 440, 504), |l| &mut l.type_flags),
    Entry("tuple_object.ob_item", at(408, 456, 552), |l| &mut l.tuple_items),
    Entry("tuple_object.ob_size", at(416, 464, 560), |l| &mut l.tuple_size),
    Entry("long_object.lv_tag", at(496, 576, 672), |l| &mut l.integer_tag),
    Entry("long_object.ob_digit", at(504, 584, 680), |l| &mut l.integer_digits),
    Entry("bytes_object.ob_size", at(520, 600, 696), |l| &mut l.bytes_size),
    Entry("bytes_object.ob_sval", at(528, 608, 704), |l| &mut l.bytes_data),
    Entry("unicode_object.state", at(544, 624, 720), |l| &mut l.text_state),
    Entry("unicode_object.length", at(552, 632, 728), |l| &mut l.text_length),
    Entry("unicode_object.asciiobject_size", at(560, 640, 736), |l| &mut l.text_ascii),
    Entry("unicode_object.compactunicodeobject_size", [None, None, Some(744)], |l| &mut l.text_compact),
];

/// What an interpreter says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its layout; what the table does not have is the row's.
    pub raw: RawLayout,
    /// `_PyRuntimeState.interpreters.head`.
    pub interpreters: u64,
    /// In what it differs from the row.
    pub disagreements: Vec<Disagreement>,
}

/// Reads the table of an interpreter of this version; `None` where it is too short, or not one that
/// is known.
#[must_use]
pub fn read(bytes: &[u8], version: Version, row: &Row) -> Option<Own> {
    let column = match (version.major, version.minor) {
        (3, minor @ 13..=15) => usize::from(minor - 13),
        _ => return None,
    };
    let mut own = Own {
        raw: row.raw,
        interpreters: word(bytes, INTERPRETERS_AT)?,
        disagreements: Vec::new(),
    };
    let table = row.runtime?.interpreters;
    if own.interpreters != table {
        own.disagreements.push(Disagreement {
            field: INTERPRETERS,
            table,
            own: own.interpreters,
        });
    }
    for Entry(field, positions, select) in ENTRIES {
        let Some(position) = positions[column] else {
            continue;
        };
        let said = word(bytes, position)?;
        let slot = select(&mut own.raw);
        // What a build does not have is zero in its table.
        if u64::from(*slot) == said || (*slot == ABSENT && said == 0) {
            continue;
        }
        own.disagreements.push(Disagreement {
            field,
            table: u64::from(*slot),
            own: said,
        });
        // An offset that is not even 32 bits wide is nowhere.
        *slot = u32::try_from(said).unwrap_or(ABSENT);
    }
    // 3.15's alone has the size of PyCompactUnicodeObject.
    complete(&mut own.raw, &row.raw, column == 2);
    Some(own)
}

/// Fills in what follows from the words: what is copied of each struct, and fields that the
/// table does not name but that lie at a fixed distance from one that it does.
fn complete(own: &mut RawLayout, row: &RawLayout, has_compact: bool) {
    let moved = |from: u32, to: u32, field: u32| field.wrapping_add(to.wrapping_sub(from));
    // `_co_firsttraceable` stands before `co_code_adaptive`, the last member.
    own.code_first_traceable = moved(
        row.code_bytecode,
        own.code_bytecode,
        row.code_first_traceable,
    );
    own.code_size = moved(row.code_bytecode, own.code_bytecode, row.code_size);
    // The characters of a string that is not ASCII come behind PyCompactUnicodeObject, and so does
    // the pointer to those of one that is not compact.
    if !has_compact {
        own.text_compact = moved(row.text_ascii, own.text_ascii, row.text_compact);
    }
    own.text_data = moved(row.text_compact, own.text_compact, row.text_data);
    own.text_header = moved(row.text_state, own.text_state, row.text_header);
    // Behind the head of the object, which ends with the type.
    own.function_code = moved(row.object_type, own.object_type, row.function_code);
    let frame = [
        (own.frame_previous, 8),
        (own.frame_code, 8),
        (own.frame_instruction, 8),
        (own.frame_owner, 1),
        (own.frame_copy, 4),
    ];
    let ends = frame
        .iter()
        .filter(|(offset, _)| *offset != ABSENT)
        .map(|(offset, width)| offset.saturating_add(*width));
    own.frame_size = ends.max().unwrap_or(ABSENT).max(row.frame_size);
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
#[path = "debug_offsets_tests.rs"]
mod tests;
