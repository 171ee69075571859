//! Whether the probe can use a layout: every field in its copy of the struct, none in the place of
//! another. The rows' test and what interpreters say of themselves are held to the same.

use probe_abi::python::{ABSENT, RawLayout};

/// The probe's copies of a thread state's and a code object's, a frame's, and a string's first bytes.
/// A copy is shorter than its buffer: the verifier is shown a mask.
const CODE_COPY: u32 = 255;
const FRAME_COPY: u32 = 127;
const TEXT_COPY: u32 = 63;
/// Fields that are read by themselves: the interpreter's are the farthest, some 7,300 bytes.
pub(crate) const FAR: u32 = 1 << 20;

/// Fields with their names, offsets and widths.
type Fields<'a> = &'a [(&'static str, u32, u32)];

/// Checks that every field is where the probe can read it.
///
/// # Errors
///
/// The name of the first that is not.
pub fn check(raw: &RawLayout) -> Result<(), &'static str> {
    let instruction = if raw.instruction_unit == 0 { 8 } else { 4 };
    let all: [(u32, u32, Fields<'_>); 10] = [
        (
            FAR,
            FAR,
            &[
                ("interpreter_next", raw.interpreter_next, 8),
                ("interpreter_threads", raw.interpreter_threads, 8),
                ("interpreter_id", raw.interpreter_id, 8),
            ],
        ),
        (
            // One read ends with `thread_id`.
            raw.thread_id.saturating_add(8),
            CODE_COPY,
            &[
                ("thread_id", raw.thread_id, 8),
                ("thread_next", raw.thread_next, 8),
                ("thread_status", raw.thread_status, 4),
                ("thread_interpreter", raw.thread_interpreter, 8),
                ("thread_frame", raw.thread_frame, 8),
            ],
        ),
        (
            raw.frame_size,
            FRAME_COPY,
            &[
                ("frame_previous", raw.frame_previous, 8),
                ("frame_code", raw.frame_code, 8),
                ("frame_instruction", raw.frame_instruction, instruction),
                ("frame_owner", raw.frame_owner, 1),
                ("frame_entry", raw.frame_entry, 1),
                ("frame_copy", raw.frame_copy, 4),
            ],
        ),
        (
            raw.code_size,
            CODE_COPY,
            &[
                ("code_file", raw.code_file, 8),
                ("code_name", raw.code_name, 8),
                ("code_table", raw.code_table, 8),
                ("code_first_line", raw.code_first_line, 4),
                ("code_first_traceable", raw.code_first_traceable, 4),
                ("code_bytecode", raw.code_bytecode, 0),
                ("code_copies", raw.code_copies, 8),
            ],
        ),
        (
            raw.text_header,
            TEXT_COPY,
            &[
                ("text_length", raw.text_length, 8),
                ("text_state", raw.text_state, 4),
            ],
        ),
        (
            FAR,
            FAR,
            &[
                ("bytes_size", raw.bytes_size, 8),
                ("bytes_data", raw.bytes_data, 1),
            ],
        ),
        (
            FAR,
            FAR,
            &[
                ("object_type", raw.object_type, 8),
                ("type_name", raw.type_name, 8),
                ("type_flags", raw.type_flags, 8),
            ],
        ),
        (
            FAR,
            FAR,
            &[
                ("tuple_size", raw.tuple_size, 8),
                ("tuple_items", raw.tuple_items, 8),
            ],
        ),
        (
            FAR,
            FAR,
            &[
                ("integer_tag", raw.integer_tag, 8),
                ("integer_digits", raw.integer_digits, 4),
            ],
        ),
        (FAR, FAR, &[("function_code", raw.function_code, 8)]),
    ];
    for (size, most, fields) in all {
        if size > most {
            return Err(fields.first().map_or("", |(name, ..)| name));
        }
        for (place, &(name, offset, width)) in fields.iter().enumerate() {
            if offset == ABSENT {
                continue;
            }
            let end = offset.saturating_add(width);
            let is_apart = |&(_, other, other_width): &(_, u32, u32)| {
                other == ABSENT || end <= other || other.saturating_add(other_width) <= offset
            };
            let is_aligned = width == 0 || offset.is_multiple_of(width);
            if end > size || !is_aligned || !fields[..place].iter().all(is_apart) {
                return Err(name);
            }
        }
    }
    required(raw)?;
    // The characters come behind the head.
    for (name, offset) in [
        ("text_ascii", raw.text_ascii),
        ("text_compact", raw.text_compact),
        ("text_data", raw.text_data),
    ] {
        if offset < raw.text_header || offset > FAR {
            return Err(name);
        }
    }
    Ok(())
}

/// Fields that every version has.
fn required(raw: &RawLayout) -> Result<(), &'static str> {
    let fields = [
        ("interpreter_next", raw.interpreter_next),
        ("interpreter_threads", raw.interpreter_threads),
        ("thread_next", raw.thread_next),
        ("thread_id", raw.thread_id),
        ("thread_frame", raw.thread_frame),
        ("thread_interpreter", raw.thread_interpreter),
        ("frame_previous", raw.frame_previous),
        ("frame_code", raw.frame_code),
        ("frame_instruction", raw.frame_instruction),
        ("code_file", raw.code_file),
        ("code_name", raw.code_name),
        ("code_first_line", raw.code_first_line),
        ("code_table", raw.code_table),
        ("text_length", raw.text_length),
        ("text_state", raw.text_state),
        ("bytes_size", raw.bytes_size),
        ("bytes_data", raw.bytes_data),
        ("object_type", raw.object_type),
        ("type_name", raw.type_name),
        ("type_flags", raw.type_flags),
        ("tuple_size", raw.tuple_size),
        ("tuple_items", raw.tuple_items),
        ("integer_tag", raw.integer_tag),
        ("integer_digits", raw.integer_digits),
        ("function_code", raw.function_code),
    ];
    // Where the frame holds an address, the bytecode's is needed, too.
    let pointer = raw.instruction_unit == 0;
    let bytecode = pointer.then_some(("code_bytecode", raw.code_bytecode));
    let missing = fields
        .into_iter()
        .chain(bytecode)
        .find(|(_, offset)| *offset == ABSENT);
    missing.map_or(Ok(()), |(name, _)| Err(name))
}
