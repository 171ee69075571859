//! The table of CPython layouts: one row per minor version, nothing else in the agent or the
//! probe knows where a field of the interpreter is.
//!
//! Every number is an `offsetof` or `sizeof` that a C compiler printed with the version's own
//! headers and `-DPy_BUILD_CORE`; the comment in a row names the header. The offsets are the same
//! in all patch releases of a minor.
//!
//! To add a minor:
//!
//! 1. Print the offsets with the new version's headers, for both architectures. Where they
//!    differ, the reason is a `pthread_mutex_t` in front of the field.
//! 2. Add a row to [`ROWS`], at the end: the index of a row is what records carry.
//! 3. Check the behaviours that are columns, too: tag bits in the code pointer, shim owners,
//!    what the frame's instruction counts from, the bits of a string's state.
//! 4. Give the version its line table in `linetable::Kind::of`, and record cases from the real
//!    interpreter (`tests/fixtures/linetables`).

use probe_abi::python::{ABSENT, RawLayout};

use super::Version;

/// Byte offsets per CPython minor version. The probe's map holds these rows at these indices.
pub const ROWS: &[Row] = &[CPYTHON_3_11];

/// One version's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What the probe is given.
    pub raw: RawLayout,
    /// `_PyRuntimeState.interpreters.head` (`Include/internal/pycore_runtime.h`).
    pub runtime_interpreters: u64,
    /// `_PyRuntimeState.gilstate.tstate_current`: who holds the interpreter lock, up to 3.11.
    pub runtime_current: Option<u64>,
}

/// Compiled with the headers of 3.11.2 (Debian 12) and 3.11.7; x86_64 and aarch64.
const CPYTHON_3_11: Row = Row {
    runtime_interpreters: 40,
    runtime_current: Some(RUNTIME_CURRENT_3_11),
    raw: RAW_3_11,
};

const RAW_3_11: RawLayout = RawLayout {
    version: pack(Version::new(3, 11)),

    // Include/internal/pycore_interp.h, PyInterpreterState (struct _is).
    interpreter_next: 0,
    interpreter_threads: 16,
    interpreter_id: 48,

    // Include/cpython/pystate.h, PyThreadState (struct _ts) and _PyCFrame. 3.11 keeps the
    // current frame in the C frame; `_status` comes with 3.12.
    thread_next: 8,
    thread_id: 152,
    thread_frame: 56,
    cframe_frame: 8,
    thread_interpreter: 16,
    thread_status: ABSENT,
    status_active: 0,
    status_bound: 0,
    status_dead: 0,

    // Include/internal/pycore_frame.h, _PyInterpreterFrame. No frame of 3.11 is a shim (3.12
    // brings FRAME_OWNED_BY_CSTACK); the owner is read for _PyFrame_IsIncomplete, which lets
    // generators pass.
    code_mask: u64::MAX,
    frame_previous: 48,
    frame_code: 32,
    frame_instruction: 56,
    frame_owner: 69,
    frame_size: 80,
    shim_owner: 255,
    instruction_unit: 0,
    frame_entry: 68,
    frame_copy: ABSENT,

    // Include/cpython/code.h, PyCodeObject.
    code_file: 112,
    code_name: 128,
    code_first_line: 72,
    code_table: 136,
    code_bytecode: 184,
    code_first_traceable: 168,
    code_size: 192,
    code_copies: ABSENT,

    // Include/cpython/unicodeobject.h, PyASCIIObject and PyCompactUnicodeObject. The state is a
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

    // Include/object.h and Include/cpython/bytesobject.h, PyBytesObject.
    bytes_size: 16,
    bytes_data: 32,
};

/// `gilstate.tstate_current` of `_PyRuntimeState`, behind two mutexes: glibc's are 48 bytes on
/// aarch64 and 40 on x86_64. musl's are 40 on both, so an aarch64 musl interpreter has 576; the
/// walk checks what it reads there and falls back to the lists.
const RUNTIME_CURRENT_3_11: u64 = if cfg!(target_arch = "aarch64") {
    592
} else {
    576
};

/// What the probe is given, at the same indices as [`ROWS`].
#[must_use]
pub fn raw() -> Vec<RawLayout> {
    ROWS.iter().map(|row| row.raw).collect()
}

/// Index of a version's row.
#[must_use]
pub fn row(version: Version) -> Option<u32> {
    let index = ROWS
        .iter()
        .position(|row| row.raw.version == pack(version))?;
    u32::try_from(index).ok()
}

/// The version of which a record's stack is ([`RawLayout::version`]); `None` where there is none.
#[must_use]
pub fn version(raw: u32) -> Option<Version> {
    let [_, _, major, minor] = raw.to_be_bytes();
    (major != 0).then(|| Version::new(major, minor))
}

/// How [`RawLayout::version`] has it.
const fn pack(version: Version) -> u32 {
    u32::from_be_bytes([0, 0, version.major, version.minor])
}

#[cfg(test)]
mod tests {
    use probe_abi::map::LAYOUTS_MAX;

    use super::*;

    /// The probe's copies of a frame, a code object and a string's head, in bytes.
    const FRAME_COPY: u32 = 128;
    const CODE_COPY: u32 = 256;
    const TEXT_COPY: u32 = 64;

    #[test]
    fn every_field_lies_in_the_probes_copy_of_its_struct() {
        let inside =
            |offset: u32, width: u32, size: u32| offset == ABSENT || offset + width <= size;
        for row in ROWS.iter().map(|row| row.raw) {
            let name = format!("{:#x}", row.version);
            assert!(row.frame_size <= FRAME_COPY, "{name}");
            assert!(row.code_size <= CODE_COPY, "{name}");
            assert!(row.text_header <= TEXT_COPY, "{name}");
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
            assert_eq!(row(version), Some(index), "two rows for {version}");
        }
        assert_eq!(row(Version::new(3, 11)), Some(0));
        assert_eq!(row(Version::new(2, 7)), None);
        assert_eq!(version(0), None);
    }

    /// The numbers as the compiler printed them, in the order of the headers.
    #[test]
    fn cpython_3_11_is_what_the_compiler_printed() {
        let known = ROWS[0];
        let row = known.raw;
        let current = if cfg!(target_arch = "aarch64") {
            592
        } else {
            576
        };
        assert_eq!(
            (known.runtime_interpreters, known.runtime_current),
            (40, Some(current))
        );
        let interpreter = (
            row.interpreter_next,
            row.interpreter_threads,
            row.interpreter_id,
        );
        assert_eq!(interpreter, (0, 16, 48));
        assert_eq!((row.thread_next, row.thread_id), (8, 152));
        assert_eq!((row.thread_frame, row.cframe_frame), (56, 8));
        assert_eq!((row.thread_status, row.code_mask), (ABSENT, u64::MAX));
        let frame = (row.frame_code, row.frame_previous, row.frame_instruction);
        assert_eq!(frame, (32, 48, 56));
        assert_eq!(
            (row.frame_owner, row.frame_size, row.shim_owner),
            (69, 80, 255)
        );
        assert_eq!(row.instruction_unit, 0);
        assert_eq!(
            (row.code_file, row.code_name, row.code_first_line),
            (112, 128, 72)
        );
        assert_eq!((row.code_table, row.code_bytecode), (136, 184));
        assert_eq!((row.code_first_traceable, row.code_size), (168, 192));
        assert_eq!((row.text_length, row.text_state), (16, 32));
        assert_eq!((row.text_ascii, row.text_compact), (48, 72));
        assert_eq!(
            (row.text_mask_ascii, row.text_mask_kind, row.text_shift_kind),
            (64, 28, 2)
        );
        assert_eq!((row.bytes_size, row.bytes_data), (16, 32));
    }
}
