//! The C program that prints the columns.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, process::Command};

use anyhow::{Context as _, Result, bail};
use sigblame::python::Version;

use crate::headers::Headers;

/// Compiles and runs the program for a build of the headers' version.
pub(crate) fn compiled(headers: &Headers, version: Version) -> Result<BTreeMap<String, u64>> {
    let dir = tempfile::tempdir().context("failed to make a directory")?;
    let (source, program) = (dir.path().join("offsets.c"), dir.path().join("offsets"));
    fs::write(&source, self::source(version)).context("failed to write the program")?;
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.arg("-w").arg("-DPy_BUILD_CORE");
    if version.free_threaded {
        command.arg("-DPy_GIL_DISABLED=1");
    }
    let output = command
        .arg("-I")
        .arg(&headers.dir)
        .arg("-I")
        .arg(headers.dir.join("internal"))
        // Debian's `pyconfig.h` includes the architecture's by its path from here.
        .arg("-idirafter")
        .arg(headers.dir.join(".."))
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .output()
        .context("failed to start the C compiler: apt-get install gcc libc6-dev")?;
    if !output.status.success() {
        bail!(
            "failed to compile with {}: {}",
            headers.dir.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let output = Command::new(&program)
        .output()
        .context("failed to run the program")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let row = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    Ok(text.lines().filter_map(row).collect())
}

/// A column: its name, the first and the last minor that have it so, and C's expression for it.
type Column = (&'static str, u8, u8, &'static str);

const LAST: u8 = u8::MAX;

#[rustfmt::skip]
const COLUMNS: &[Column] = &[
    ("runtime_interpreters", 7, LAST, "offsetof(_PyRuntimeState, interpreters.head)"),
    ("runtime_current", 7, 11, "offsetof(_PyRuntimeState, gilstate.tstate_current)"),
    ("interpreter_next", 0, LAST, "offsetof(PyInterpreterState, next)"),
    ("interpreter_threads", 0, 10, "offsetof(PyInterpreterState, tstate_head)"),
    ("interpreter_threads", 11, LAST, "offsetof(PyInterpreterState, threads.head)"),
    ("interpreter_id", 7, LAST, "offsetof(PyInterpreterState, id)"),
    ("thread_next", 0, LAST, "offsetof(PyThreadState, next)"),
    ("thread_id", 0, LAST, "offsetof(PyThreadState, thread_id)"),
    ("thread_frame", 0, 10, "offsetof(PyThreadState, frame)"),
    ("thread_frame", 11, 12, "offsetof(PyThreadState, cframe)"),
    ("thread_frame", 13, LAST, "offsetof(PyThreadState, current_frame)"),
    ("cframe_frame", 11, 12, "offsetof(_PyCFrame, current_frame)"),
    ("thread_interpreter", 0, LAST, "offsetof(PyThreadState, interp)"),
    ("thread_status", 12, LAST, "offsetof(PyThreadState, _status)"),
    ("frame_previous", 0, 10, "offsetof(PyFrameObject, f_back)"),
    ("frame_previous", 11, LAST, "offsetof(_PyInterpreterFrame, previous)"),
    ("frame_code", 0, 10, "offsetof(PyFrameObject, f_code)"),
    ("frame_code", 11, 12, "offsetof(_PyInterpreterFrame, f_code)"),
    ("frame_code", 13, LAST, "offsetof(_PyInterpreterFrame, f_executable)"),
    ("frame_instruction", 0, 10, "offsetof(PyFrameObject, f_lasti)"),
    ("frame_instruction", 11, 12, "offsetof(_PyInterpreterFrame, prev_instr)"),
    ("frame_instruction", 13, LAST, "offsetof(_PyInterpreterFrame, instr_ptr)"),
    ("frame_owner", 11, LAST, "offsetof(_PyInterpreterFrame, owner)"),
    ("frame_size", 0, 10, "offsetof(PyFrameObject, f_lasti) + sizeof(int)"),
    ("frame_size", 11, LAST, "sizeof(_PyInterpreterFrame)"),
    ("shim_owner", 12, 13, "FRAME_OWNED_BY_CSTACK"),
    ("shim_owner", 14, LAST, "FRAME_OWNED_BY_INTERPRETER"),
    ("frame_entry", 11, 11, "offsetof(_PyInterpreterFrame, is_entry)"),
    // Whatever else the low bits are for, the row's mask hides them.
    ("code_mask", 14, LAST, "~(unsigned long)(Py_TAG_BITS | 3)"),
    ("code_file", 0, LAST, "offsetof(PyCodeObject, co_filename)"),
    ("code_name", 0, 10, "offsetof(PyCodeObject, co_name)"),
    ("code_name", 11, LAST, "offsetof(PyCodeObject, co_qualname)"),
    ("code_first_line", 0, LAST, "offsetof(PyCodeObject, co_firstlineno)"),
    ("code_table", 0, 9, "offsetof(PyCodeObject, co_lnotab)"),
    ("code_table", 10, LAST, "offsetof(PyCodeObject, co_linetable)"),
    ("code_bytecode", 11, LAST, "offsetof(PyCodeObject, co_code_adaptive)"),
    ("code_first_traceable", 11, LAST, "offsetof(PyCodeObject, _co_firsttraceable)"),
    ("code_size", 0, LAST, "sizeof(PyCodeObject)"),
    ("text_length", 0, LAST, "offsetof(PyASCIIObject, length)"),
    ("text_state", 0, LAST, "offsetof(PyASCIIObject, state)"),
    ("text_ascii", 0, LAST, "sizeof(PyASCIIObject)"),
    ("text_compact", 0, LAST, "sizeof(PyCompactUnicodeObject)"),
    ("text_data", 0, LAST, "offsetof(PyUnicodeObject, data)"),
    ("bytes_size", 0, LAST, "offsetof(PyVarObject, ob_size)"),
    ("bytes_data", 0, LAST, "offsetof(PyBytesObject, ob_sval)"),
    ("object_type", 0, LAST, "offsetof(PyObject, ob_type)"),
    ("type_name", 0, LAST, "offsetof(PyTypeObject, tp_name)"),
    ("type_flags", 0, LAST, "offsetof(PyTypeObject, tp_flags)"),
    ("tuple_size", 0, LAST, "offsetof(PyTupleObject, ob_base.ob_size)"),
    ("tuple_items", 0, LAST, "offsetof(PyTupleObject, ob_item)"),
    ("integer_tag", 0, 11, "offsetof(PyLongObject, ob_base.ob_size)"),
    ("integer_tag", 12, LAST, "offsetof(PyLongObject, long_value.lv_tag)"),
    ("integer_shift", 12, LAST, "_PyLong_NON_SIZE_BITS"),
    ("integer_digits", 0, 11, "offsetof(PyLongObject, ob_digit)"),
    ("integer_digits", 12, LAST, "offsetof(PyLongObject, long_value.ob_digit)"),
    ("integer_bits", 0, LAST, "PyLong_SHIFT"),
    ("function_code", 0, LAST, "offsetof(PyFunctionObject, func_code)"),
];

/// Columns that only free-threaded builds have, from 3.14 on.
const COPIES: &[(&str, &str)] = &[
    ("frame_copy", "offsetof(_PyInterpreterFrame, tlbc_index)"),
    ("code_copies", "offsetof(PyCodeObject, co_tlbc)"),
];

/// Bits of bit fields, which have no `offsetof`: set in a struct of zeros and read as a word.
const BITS: &str = r#"
#define WORD(type, field, ...) ({ type x; memset(&x, 0, sizeof x); __VA_ARGS__; \
    unsigned word; memcpy(&word, (char *)&x + offsetof(type, field), sizeof word); word; })
"#;

/// The program for a version.
fn source(version: Version) -> String {
    let minor = version.minor;
    let mut text = String::from(
        "#include <stddef.h>\n#include <stdio.h>\n#include <string.h>\n#include \"Python.h\"\n#include \"frameobject.h\"\n",
    );
    // Where the digits of integers are, before `Python.h` showed them to everybody (3.11).
    if minor < 11 {
        text.push_str("#include \"longintrepr.h\"\n");
    }
    // Where the internals are, since when.
    for (since, until, header) in [
        (7, 7, "internal/pystate.h"),
        (8, LAST, "internal/pycore_runtime.h"),
        (8, 8, "internal/pycore_pystate.h"),
        (9, LAST, "internal/pycore_interp.h"),
        (11, LAST, "internal/pycore_frame.h"),
        (11, LAST, "internal/pycore_code.h"),
        (14, LAST, "internal/pycore_interpframe.h"),
        (14, LAST, "internal/pycore_stackref.h"),
    ] {
        if (since..=until).contains(&minor) {
            let _ = writeln!(
                text,
                "#if __has_include(\"{header}\")\n#include \"{header}\"\n#endif"
            );
        }
    }
    text.push_str(BITS);
    text.push_str("int main(void) {\n");
    let mut put = |name: &str, value: &str| {
        let _ = writeln!(
            text,
            "  printf(\"{name} %lu\\n\", (unsigned long)({value}));"
        );
    };
    for (name, since, until, value) in COLUMNS {
        if (*since..=*until).contains(&minor) {
            put(name, value);
        }
    }
    if version.free_threaded && minor >= 14 {
        for (name, value) in COPIES {
            put(name, value);
        }
    }
    let state = |set: &str| format!("WORD(PyASCIIObject, state, {set})");
    put("text_mask_ascii", &state("x.state.ascii = 1"));
    put("text_mask_compact", &state("x.state.compact = 1"));
    put("text_mask_kind", &state("x.state.kind = 7"));
    let lowest = state("x.state.kind = 1");
    put("text_shift_kind", &format!("__builtin_ctz({lowest})"));
    if minor >= 12 {
        let status = |set: &str| format!("WORD(PyThreadState, _status, {set})");
        put("status_active", &status("x._status.active = 1"));
        put("status_bound", &status("x._status.bound_gilstate = 1"));
        let dead = "x._status.unbound = 1, x._status.cleared = 1, x._status.finalized = 1";
        put("status_dead", &status(dead));
    }
    text.push_str("  return 0;\n}\n");
    text
}
