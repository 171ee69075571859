//! One stack out of two: which native code and which Python code called whom. Pure.
//!
//! The interpreter's evaluation function is the joint. Each native frame of it runs the Python
//! frames up to the next one that called native code, which entered the interpreter anew.

use probe_abi::miss::Miss;

use crate::{
    event::{Code, Frame, NativeFrame, NativeResult, NativeStack, PythonStack, StackResult},
    process::{ModuleKind, origin::is_standard_library},
};

/// A frame of either stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged<'a> {
    /// Native code.
    Native(&'a NativeFrame),
    /// Python code.
    Python(&'a Frame),
}

/// Whether a frame is the interpreter's evaluation function: exported by CPython 3.6 to 3.15
/// (`Include/cpython/ceval.h`, before 3.8 `Include/ceval.h`). Compilers put its rare parts
/// elsewhere (`….cold`), and clones of it (`….constprop.0`).
fn evaluates(frame: &NativeFrame) -> bool {
    frame
        .symbol
        .as_deref()
        .and_then(|symbol| symbol.strip_prefix("_PyEval_EvalFrameDefault"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether a frame is the interpreter's own code.
fn is_interpreter(frame: &NativeFrame) -> bool {
    matches!(
        frame.code,
        Code::Module(ModuleKind::Python) | Code::StandardLibrary
    ) || evaluates(frame)
}

/// Both stacks as one, innermost first.
#[must_use]
pub fn merged<'a>(python: &'a PythonStack, native: &'a NativeStack) -> Vec<Merged<'a>> {
    let frames = &python.frames[..];
    let joints = native.frames.iter().filter(|f| evaluates(f)).count();
    let whole = native.result == NativeResult::Complete && python.result == StackResult::Complete;
    let segments = 1 + python.crossed.len();
    let fits = joints > 0 && joints <= segments && (!whole || joints == segments);
    let mut merged = Vec::with_capacity(frames.len() + native.frames.len());
    if frames.is_empty() {
        merged.extend(native.frames.iter().map(Merged::Native));
        return merged;
    }
    if !fits {
        // Some joints have no name. What is certain: what no interpreter's frame has called yet
        // is inside the innermost Python frame.
        let inner = native.frames.iter().position(is_interpreter);
        let (inner, outer) = native.frames.split_at(inner.unwrap_or(native.frames.len()));
        merged.extend(inner.iter().map(Merged::Native));
        merged.extend(frames.iter().map(Merged::Python));
        merged.extend(outer.iter().map(Merged::Native));
        return merged;
    }
    let mut left = frames;
    for frame in &native.frames {
        merged.push(Merged::Native(frame));
        if !evaluates(frame) {
            continue;
        }
        let at = frames.len() - left.len();
        let next = python.crossed.iter().find(|crossed| **crossed > at);
        let segment = next.map_or(left.len(), |next| (next - at).min(left.len()));
        let (now, later) = left.split_at(segment);
        merged.extend(now.iter().map(Merged::Python));
        left = later;
    }
    merged.extend(left.iter().map(Merged::Python));
    merged
}

/// Names a Python stack that is missing: Python ran, and the probe knew of no interpreter, or of one
/// that was not there.
///
/// The call fell into the time between an interpreter's first mapping anywhere and the look that
/// told the probe of it.
pub fn settle(python: &mut PythonStack, native: &NativeStack) {
    if is_missing(python, native) {
        python.result = StackResult::failed(Miss::InterpreterUnknown);
    }
}

fn is_missing(python: &PythonStack, native: &NativeStack) -> bool {
    python.result == StackResult::None && native.frames.iter().any(evaluates)
}

/// Whether Python code was running of which the probe knew no interpreter.
#[must_use]
pub fn runs_unknown_python(python: &PythonStack, native: &NativeStack) -> bool {
    python.result == StackResult::failed(Miss::InterpreterUnknown)
        && native.frames.iter().any(evaluates)
}

/// Whether what the probe was told of the process's interpreter is wrong.
#[must_use]
pub fn is_astray(python: &PythonStack, native: &NativeStack) -> bool {
    is_missing(python, native) || python.result == StackResult::failed(Miss::Interpreters)
}

/// Who is to blame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blamed<'a> {
    /// The first native frame that is neither the server's, the interpreter's, the C library's nor
    /// the standard library's, where no such Python frame is further inside.
    pub native: Option<&'a NativeFrame>,
    /// The first Python frame that is not the standard library's: the one that is blamed, or that
    /// called the native one.
    pub python: Option<&'a Frame>,
    /// Nothing is known of what lies between the system call and the innermost Python frame, or
    /// of its inner end only.
    pub has_gap: bool,
}

/// Who is to blame for a registration.
#[must_use]
pub fn blamed<'a>(python: &'a PythonStack, native: &'a NativeStack) -> Blamed<'a> {
    let mut blamed = Blamed {
        has_gap: native.result != NativeResult::Complete
            && !native.frames.iter().any(is_interpreter),
        ..Blamed::default()
    };
    for frame in merged(python, native) {
        match frame {
            Merged::Native(frame) if frame.code.is_foreign() => {
                blamed.native = blamed.native.or(Some(frame));
            }
            Merged::Python(frame) if !is_standard_library(&frame.file, python.version) => {
                blamed.python = Some(frame);
                break;
            }
            _ => {}
        }
    }
    blamed
}

/// Who made a call, by the native stack alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// httpd, a part of it, or what it called.
    Server,
    /// CPython, on nobody's behalf but the server's.
    Interpreter,
    /// A library or an extension.
    Application,
}

/// Who made the call; `None` where the stack does not tell.
#[must_use]
pub fn caller(native: &NativeStack) -> Option<Caller> {
    let mut interpreter = false;
    let mut foreign = false;
    for frame in &native.frames {
        if frame.code.is_server() && !is_apr(frame) && !evaluates(frame) {
            return Some(match (foreign, interpreter) {
                // The server called a library: one of the name service, one of another module.
                (_, false) => Caller::Server,
                (false, true) => Caller::Interpreter,
                // An extension that the interpreter called, at its end or from its own thread.
                (true, true) => Caller::Application,
            });
        }
        // What the interpreter does for a library is the library's doing.
        foreign |= frame.code.is_foreign();
        interpreter |= is_interpreter(frame);
    }
    if native.result != NativeResult::Complete {
        return None;
    }
    match (foreign, interpreter) {
        // A thread of its own.
        (true, _) => Some(Caller::Application),
        (false, true) => Some(Caller::Interpreter),
        (false, false) => None,
    }
}

/// Whether the server made the call although Python is on the stack: Python called it, to read a
/// request's body, say.
///
/// An interpreter that is linked into mod_wsgi would pass for the server, so that it has to be
/// seen in a file of its own.
#[must_use]
pub fn server_within_python(native: &NativeStack) -> bool {
    let is_apart =
        |frame: &NativeFrame| evaluates(frame) && frame.code == Code::Module(ModuleKind::Python);
    caller(native) == Some(Caller::Server) && native.frames.iter().any(is_apart)
}

/// The Apache Portable Runtime: httpd's, but others call it, too.
fn is_apr(frame: &NativeFrame) -> bool {
    frame.module.starts_with("libapr")
}

#[cfg(test)]
mod tests;
