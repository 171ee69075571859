//! CPython 3.6 to 3.10: each frame is a Python object, and each frame's instruction a number.

use probe_abi::python::{ABSENT, RawLayout};

use super::{MUTEXES, Row, Runtime, pack};
use crate::python::Version;

/// Compiled with the headers of 3.6.5, 3.6.9 and 3.6.15.
pub(super) const CPYTHON_3_6: Row = Row {
    // `_PyRuntime` comes with 3.7.
    runtime: None,
    raw: RawLayout {
        version: pack(Version::new(3, 6)),
        code_mask: u64::MAX,

        // Include/pystate.h, PyInterpreterState. It has no number yet.
        interpreter_next: 0,
        interpreter_threads: 8,
        interpreter_id: ABSENT,

        // Include/pystate.h, PyThreadState. `_status` comes with 3.12.
        thread_next: 8,
        thread_id: 152,
        thread_frame: 24,
        cframe_frame: ABSENT,
        thread_interpreter: 16,
        thread_status: ABSENT,
        status_active: 0,
        status_bound: 0,
        status_dead: 0,

        // Include/frameobject.h, PyFrameObject. What is copied of it ends with `f_lasti`, which
        // counts bytes.
        frame_previous: 24,
        frame_code: 32,
        frame_instruction: 120,
        frame_owner: ABSENT,
        frame_size: 124,
        shim_owner: 255,
        instruction_unit: 1,
        frame_entry: ABSENT,
        frame_copy: ABSENT,

        // Include/code.h, PyCodeObject. `co_qualname` comes with 3.11.
        code_file: 96,
        code_name: 104,
        code_first_line: 36,
        code_table: 112,
        code_bytecode: ABSENT,
        code_first_traceable: ABSENT,
        code_size: 144,
        code_copies: ABSENT,

        // Include/unicodeobject.h, PyASCIIObject and PyCompactUnicodeObject. The state is a
        // C bit field: interned 2 bits, kind 3, compact 1, ascii 1, ready 1, from the lowest.
        text_length: 16,
        text_state: 32,
        text_ascii: 48,
        text_compact: 72,
        text_mask_ascii: 0x40,
        text_mask_kind: 0x1c,
        text_shift_kind: 2,
        text_header: 40,
        text_mask_compact: 0x20,
        text_data: 72,

        // Include/object.h and Include/bytesobject.h, PyBytesObject.
        bytes_size: 16,
        bytes_data: 32,

        // Include/object.h, PyObject and PyTypeObject.
        object_type: 8,
        type_name: 24,
        type_flags: 168,

        // Include/tupleobject.h, PyTupleObject.
        tuple_size: 16,
        tuple_items: 24,

        // Include/longintrepr.h, PyLongObject.
        integer_tag: 16,
        integer_shift: 0,
        integer_digits: 24,
        integer_bits: 30,

        // Include/funcobject.h, PyFunctionObject.
        function_code: 16,
    },
};

/// Compiled with the headers of 3.7.5 and 3.7.16.
///
/// 3.7.0 to 3.7.3 keep the lock's holder 88 bytes earlier. What they have at this place is no
/// thread state of the caller's, which the walk notices: it goes through the lists.
pub(super) const CPYTHON_3_7: Row = Row {
    runtime: Some(Runtime {
        interpreters: 24,
        current: Some(1480 + MUTEXES),
    }),
    raw: RawLayout {
        version: pack(Version::new(3, 7)),
        interpreter_id: 16,
        thread_id: 176,
        // The generator's saved exception went from the frame to the generator.
        frame_instruction: 104,
        frame_size: 108,
        ..CPYTHON_3_6.raw
    },
};

/// Compiled with the headers of 3.8.0, 3.8.2, 3.8.10 and 3.8.18.
pub(super) const CPYTHON_3_8: Row = Row {
    runtime: Some(Runtime {
        interpreters: 32,
        current: Some(1368 + MUTEXES),
    }),
    raw: RawLayout {
        version: pack(Version::new(3, 8)),
        // `co_posonlyargcount`.
        code_file: 104,
        code_name: 112,
        code_first_line: 40,
        code_table: 120,
        code_size: 176,
        ..CPYTHON_3_7.raw
    },
};

/// Compiled with the headers of 3.9.2, 3.9.5 and 3.9.18.
pub(super) const CPYTHON_3_9: Row = Row {
    runtime: Some(Runtime {
        interpreters: 32,
        current: Some(568 + MUTEXES),
    }),
    raw: RawLayout {
        version: pack(Version::new(3, 9)),
        interpreter_id: 24,
        ..CPYTHON_3_8.raw
    },
};

/// Compiled with the headers of 3.10.4, 3.10.12 and 3.10.13.
pub(super) const CPYTHON_3_10: Row = Row {
    runtime: Some(Runtime {
        interpreters: 32,
        current: Some(568 + MUTEXES),
    }),
    raw: RawLayout {
        version: pack(Version::new(3, 10)),
        // `f_lasti` counts code units of two bytes (`Include/cpython/frameobject.h`).
        frame_instruction: 96,
        frame_size: 100,
        instruction_unit: 2,
        // Behind the globals, the builtins and both names, so that a constructor can be one struct.
        function_code: 48,
        ..CPYTHON_3_9.raw
    },
};
