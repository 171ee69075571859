//! CPython 3.13t to 3.15t, built with `--disable-gil`: objects have a head of 32 bytes instead of
//! 16, and from 3.14 on threads run copies of their own of the bytecode.

use probe_abi::python::RawLayout;

use super::{Row, interpreter_frames as gil, pack};
use crate::python::Version;

/// Compiled with the headers of 3.13.0, 3.13.7 and 3.13.18 and `Py_GIL_DISABLED`.
pub(super) const CPYTHON_3_13: Row = Row {
    runtime: gil::CPYTHON_3_13.runtime,
    raw: RawLayout {
        version: pack(Version::new(3, 13).free_threaded()),

        code_file: 128,
        code_name: 144,
        code_first_line: 84,
        code_table: 152,
        code_bytecode: 216,
        code_first_traceable: 200,
        code_size: 224,

        text_length: 32,
        text_state: 48,
        text_ascii: 56,
        text_compact: 72,
        text_header: 56,
        text_data: 72,

        bytes_size: 32,
        bytes_data: 48,

        object_type: 24,
        type_name: 40,
        type_flags: 184,
        tuple_size: 32,
        tuple_items: 40,
        integer_tag: 32,
        integer_digits: 40,
        function_code: 64,
        ..gil::CPYTHON_3_13.raw
    },
};

/// Compiled with the headers of 3.14.0, 3.14.4 and 3.14.10 and `Py_GIL_DISABLED`.
pub(super) const CPYTHON_3_14: Row = Row {
    runtime: gil::CPYTHON_3_14.runtime,
    raw: objects_3_14(RawLayout {
        version: pack(Version::new(3, 14).free_threaded()),
        ..gil::CPYTHON_3_14.raw
    }),
};

/// Compiled with the headers of 3.15.2 and `Py_GIL_DISABLED`.
pub(super) const CPYTHON_3_15: Row = Row {
    runtime: gil::CPYTHON_3_15.runtime,
    raw: objects_3_14(RawLayout {
        version: pack(Version::new(3, 15).free_threaded()),
        ..gil::CPYTHON_3_15.raw
    }),
};

/// Interpreters and thread states are a usual build's; frames and objects are not, and are the
/// same in 3.14 and 3.15.
const fn objects_3_14(usual: RawLayout) -> RawLayout {
    let before = CPYTHON_3_13.raw;
    RawLayout {
        frame_owner: 78,
        frame_copy: 72,

        code_file: before.code_file,
        code_name: before.code_name,
        code_first_line: before.code_first_line,
        code_table: before.code_table,
        code_bytecode: 232,
        code_first_traceable: 208,
        code_size: 240,
        code_copies: 224,

        // `interned` has a byte of its own now, the rest the next: kind 3 bits, compact 1, ascii 1.
        text_length: before.text_length,
        text_state: before.text_state,
        text_ascii: before.text_ascii,
        text_compact: before.text_compact,
        text_mask_ascii: 0x1000,
        text_mask_kind: 0x700,
        text_shift_kind: 8,
        text_header: before.text_header,
        text_mask_compact: 0x800,
        text_data: before.text_data,

        bytes_size: before.bytes_size,
        bytes_data: before.bytes_data,

        object_type: before.object_type,
        type_name: before.type_name,
        type_flags: before.type_flags,
        tuple_size: before.tuple_size,
        tuple_items: 48,
        integer_tag: before.integer_tag,
        integer_digits: before.integer_digits,
        function_code: before.function_code,
        ..usual
    }
}
