//! An attempt that the error log told, as a capture keeps it: there is no record of it. Pure.

use serde::{Deserialize, Serialize};

use crate::{
    event::{Attempt, Frame, NativeStack, PythonStack, Signal, Source, StackResult, Wanted},
    python::Version,
};

/// What a line of the error log tells of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// The number as the caller gave it.
    pub number: i64,
    /// The interpreter's version, its first two numbers; null where it is not known.
    pub version: Option<(u8, u8)>,
    /// How the stack came out.
    pub result: StackResult,
    /// Innermost first.
    pub frames: Vec<Frame>,
}

impl From<&Attempt> for Logged {
    fn from(attempt: &Attempt) -> Self {
        let python = &attempt.python;
        Self {
            number: attempt.number,
            version: python.version.map(|version| (version.major, version.minor)),
            result: python.result.clone(),
            frames: python.frames.clone(),
        }
    }
}

impl From<Logged> for Attempt {
    fn from(logged: Logged) -> Self {
        let version = logged.version;
        Self {
            signal: u32::try_from(logged.number).ok().and_then(Signal::new),
            number: logged.number,
            handler: Wanted::Unknown,
            folded: 0,
            python: PythonStack {
                result: logged.result,
                version: version.map(|(major, minor)| Version::new(major, minor)),
                frames: logged.frames,
                ..PythonStack::default()
            },
            native: NativeStack::default(),
            source: Source::ErrorLog,
        }
    }
}
