//! CPython 3.11 to 3.15: frames are no objects, and a frame's instruction is an address.

use probe_abi::python::{ABSENT, RawLayout};

use super::{MUTEXES, Row, Runtime, frame_objects::CPYTHON_3_10, pack};
use crate::python::Version;

/// Bits of `PyThreadState._status` (`Include/cpython/pystate.h`). `active` and `bound_gilstate` are
/// where they were since 3.12.
const UNBOUND: u32 = 1 << 2;
const BOUND_GILSTATE: u32 = 1 << 3;
const ACTIVE: u32 = 1 << 4;

/// Compiled with the headers of 3.11.2 and 3.11.7.
pub(super) const CPYTHON_3_11: Row = Row {
    runtime: Some(Runtime {
        interpreters: 40,
        current: Some(576 + MUTEXES),
    }),
    raw: RawLayout {
        version: pack(Version::new(3, 11)),

        interpreter_threads: 16,
        interpreter_id: 48,

        // Include/cpython/pystate.h, PyThreadState and _PyCFrame: the current frame is kept in
        // the C frame.
        thread_id: 152,
        thread_frame: 56,
        cframe_frame: 8,

        // Include/internal/pycore_frame.h, _PyInterpreterFrame. No frame of 3.11 is a shim (3.12
        // brings FRAME_OWNED_BY_CSTACK); the owner is read for _PyFrame_IsIncomplete, which lets
        // generators pass.
        frame_previous: 48,
        frame_code: 32,
        frame_instruction: 56,
        frame_owner: 69,
        frame_size: 80,
        instruction_unit: 0,
        frame_entry: 68,

        // Include/cpython/code.h, PyCodeObject; the name is `co_qualname`.
        code_file: 112,
        code_name: 128,
        code_first_line: 72,
        code_table: 136,
        code_bytecode: 184,
        code_first_traceable: 168,
        code_size: 192,
        ..CPYTHON_3_10.raw
    },
};

/// Compiled with the headers of 3.12.1 and 3.12.3.
pub(super) const CPYTHON_3_12: Row = Row {
    runtime: Some(Runtime {
        interpreters: 40,
        // Each interpreter may have a lock of its own; who runs is in `_status`.
        current: None,
    }),
    raw: RawLayout {
        version: pack(Version::new(3, 12)),

        interpreter_threads: 72,
        interpreter_id: 8,

        thread_id: 136,
        cframe_frame: 0,
        thread_status: 24,
        status_active: ACTIVE,
        status_bound: BOUND_GILSTATE,
        // `cleared` and `finalized` are the last two bits.
        status_dead: UNBOUND | 1 << 6 | 1 << 7,

        frame_previous: 8,
        frame_code: 0,
        frame_owner: 70,
        // FRAME_OWNED_BY_CSTACK: where C entered the interpreter. `is_entry` is gone.
        shim_owner: 3,
        frame_entry: ABSENT,

        code_first_line: 68,
        code_bytecode: 192,
        code_first_traceable: 176,
        code_size: 200,

        // `wstr` and its length are gone.
        text_ascii: 40,
        text_compact: 56,
        text_data: 56,

        // Include/cpython/longintrepr.h, _PyLongValue: the sign has two bits of its own, and one is
        // free (from 3.14 on, an immortal integer's).
        integer_shift: 3,
        ..CPYTHON_3_11.raw
    },
};

/// Compiled with the headers of 3.13.0, 3.13.3, 3.13.5, 3.13.7 and 3.13.18.
pub(super) const CPYTHON_3_13: Row = Row {
    runtime: Some(Runtime {
        // Behind `_Py_DebugOffsets`.
        interpreters: 632,
        current: None,
    }),
    raw: RawLayout {
        version: pack(Version::new(3, 13)),

        // Behind `struct _ceval_state`, which is the first member now.
        interpreter_next: 7264,
        interpreter_threads: 7344,
        interpreter_id: 7272,

        thread_id: 152,
        // The C frame is gone.
        thread_frame: 72,
        cframe_frame: ABSENT,
        thread_status: 32,
        // This version alone has `holds_gil` before `finalizing`, `cleared` and `finalized`.
        status_dead: UNBOUND | 1 << 7 | 1 << 8,

        code_bytecode: 200,
        code_first_traceable: 184,
        code_size: 208,
        ..CPYTHON_3_12.raw
    },
};

/// Compiled with the headers of 3.14.0, 3.14.4 and 3.14.10.
pub(super) const CPYTHON_3_14: Row = Row {
    runtime: Some(Runtime {
        interpreters: 808,
        current: None,
    }),
    raw: RawLayout {
        version: pack(Version::new(3, 14)),
        // The code is a `_PyStackRef`, tagged in its low bits (`Include/internal/pycore_stackref.h`).
        code_mask: !3,

        interpreter_next: 7272,
        interpreter_id: 7280,

        status_dead: CPYTHON_3_12.raw.status_dead,

        // Owner 3 is FRAME_OWNED_BY_INTERPRETER, 4 FRAME_OWNED_BY_CSTACK.
        frame_owner: 74,
        frame_size: 88,

        // `ob_hash` stands before the items (Include/cpython/tupleobject.h).
        tuple_items: 32,

        code_bytecode: 208,
        code_first_traceable: 192,
        code_size: 216,
        ..CPYTHON_3_13.raw
    },
};

/// Compiled with the headers of 3.15.2.
pub(super) const CPYTHON_3_15: Row = Row {
    runtime: Some(Runtime {
        interpreters: 936,
        current: None,
    }),
    raw: RawLayout {
        version: pack(Version::new(3, 15)),
        interpreter_next: 7264,
        interpreter_threads: 7336,
        interpreter_id: 7272,
        // `base_frame` and what the sampling profiler needs. The base frame ends each chain, a
        // shim that an idle thread has for its current one.
        thread_id: 176,
        ..CPYTHON_3_14.raw
    },
};
