//! A row as columns by their names.

use std::collections::BTreeMap;

use probe_abi::python::ABSENT;
use sigblame::python::layout::Row;

/// Every column that the version has.
pub(crate) fn columns(row: &Row) -> BTreeMap<&'static str, u64> {
    let raw = &row.raw;
    let narrow = [
        ("interpreter_next", raw.interpreter_next),
        ("interpreter_threads", raw.interpreter_threads),
        ("interpreter_id", raw.interpreter_id),
        ("thread_next", raw.thread_next),
        ("thread_id", raw.thread_id),
        ("thread_frame", raw.thread_frame),
        ("cframe_frame", raw.cframe_frame),
        ("thread_interpreter", raw.thread_interpreter),
        ("thread_status", raw.thread_status),
        ("status_active", raw.status_active),
        ("status_bound", raw.status_bound),
        ("status_dead", raw.status_dead),
        ("frame_previous", raw.frame_previous),
        ("frame_code", raw.frame_code),
        ("frame_instruction", raw.frame_instruction),
        ("frame_owner", raw.frame_owner),
        ("frame_size", raw.frame_size),
        ("shim_owner", raw.shim_owner),
        ("frame_entry", raw.frame_entry),
        ("frame_copy", raw.frame_copy),
        ("code_file", raw.code_file),
        ("code_name", raw.code_name),
        ("code_first_line", raw.code_first_line),
        ("code_table", raw.code_table),
        ("code_bytecode", raw.code_bytecode),
        ("code_first_traceable", raw.code_first_traceable),
        ("code_size", raw.code_size),
        ("code_copies", raw.code_copies),
        ("text_length", raw.text_length),
        ("text_state", raw.text_state),
        ("text_ascii", raw.text_ascii),
        ("text_compact", raw.text_compact),
        ("text_mask_ascii", raw.text_mask_ascii),
        ("text_mask_kind", raw.text_mask_kind),
        ("text_shift_kind", raw.text_shift_kind),
        ("text_mask_compact", raw.text_mask_compact),
        ("text_data", raw.text_data),
        ("bytes_size", raw.bytes_size),
        ("bytes_data", raw.bytes_data),
        ("object_type", raw.object_type),
        ("type_name", raw.type_name),
        ("type_flags", raw.type_flags),
        ("tuple_size", raw.tuple_size),
        ("tuple_items", raw.tuple_items),
        ("integer_tag", raw.integer_tag),
        ("integer_shift", raw.integer_shift),
        ("integer_digits", raw.integer_digits),
        ("integer_bits", raw.integer_bits),
        ("function_code", raw.function_code),
    ];
    let has = |(name, value): &(&str, u32)| {
        *value != ABSENT
            // Bits of a field that is not there, and no owner that is a shim's.
            && !(name.starts_with("status_") && raw.thread_status == ABSENT)
            && !(*name == "shim_owner" && *value == 255)
            && !(*name == "integer_shift" && *value == 0)
    };
    let mut all: BTreeMap<&str, u64> = narrow
        .into_iter()
        .filter(has)
        .map(|(name, value)| (name, value.into()))
        .collect();
    if raw.code_mask != u64::MAX {
        all.insert("code_mask", raw.code_mask);
    }
    if let Some(runtime) = row.runtime {
        all.insert("runtime_interpreters", runtime.interpreters);
        all.extend(runtime.current.map(|at| ("runtime_current", at)));
    }
    all
}
