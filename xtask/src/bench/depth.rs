//! What a registration costs against the depth of its stack, in Python and in C.

use std::fmt::{self, Write as _};

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    server::Worker,
    spread::Spread,
    tool::{Attached, Tool},
};

/// Calls per request: fewer than the probe copies whole stacks for in a second.
const CALLS: u32 = 30;
/// How deep.
const DEPTHS: [u32; 4] = [1, 10, 50, 200];

/// Which side of the stack grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Python,
    Native,
}

/// One stack: frames of the application in Python, and in C under them.
#[derive(Clone, Copy, Debug)]
struct Case {
    side: Side,
    depth: u32,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        [Side::Python, Side::Native]
            .into_iter()
            .flat_map(|side| DEPTHS.map(|depth| Self { side, depth }))
    }

    /// Python frames and frames in C.
    fn frames(self) -> (u32, u32) {
        match self.side {
            Side::Python => (self.depth, 1),
            Side::Native => (1, self.depth),
        }
    }

    fn title(self) -> String {
        match self.side {
            Side::Python => format!("{} Python, 1 in C", self.depth),
            Side::Native => format!("1 Python, {} in C", self.depth),
        }
    }
}

/// Nanoseconds per call, one value per case.
pub(super) type Depths = Vec<f64>;

/// Measures every case under a tool, which must have seen every call.
pub(super) fn measure(attached: &Attached, worker: &mut Worker) -> Result<Depths> {
    let before = attached.seen()?;
    let times: Depths = Case::all()
        .map(|case| {
            let (python, native) = case.frames();
            worker.deep(CALLS, python, native)
        })
        .collect::<Result<_>>()?;
    attached.check_seen(before, CALLS * times.len() as u32)?;
    Ok(times)
}

/// The table: a row per case.
pub(super) fn table(of: impl Fn(Tool) -> Vec<Depths>) -> Result<String, fmt::Error> {
    let mut text = String::new();
    writeln!(
        text,
        "\nA registration against the depth of its stack, {CALLS} calls per sample; nanoseconds.\n\
         {:<37}{:<22}{:<22}{:<22}",
        "", "nothing attached", "sigblame", "bpftrace"
    )?;
    let samples = Tool::ALL.map(&of);
    for (index, case) in Case::all().enumerate() {
        write!(text, "{:<37}", case.title())?;
        for turns in &samples {
            write!(text, "{:<22}", Spread::of(&column(turns, index)).whole())?;
        }
        writeln!(text)?;
    }
    writeln!(
        text,
        "\nsigblame keeps at most 128 Python frames and copies at most 16 KiB of the stack; bpftrace \
         follows\nframe pointers for 20 frames, which code that is built without them does not have."
    )?;
    Ok(text)
}

/// The same for programs.
pub(super) fn json(of: impl Fn(Tool) -> Vec<Depths>) -> Value {
    let samples = Tool::ALL.map(|tool| (tool, of(tool)));
    Case::all()
        .enumerate()
        .map(|(index, case)| {
            let (python, native) = case.frames();
            let samples = samples
                .iter()
                .map(|(tool, turns)| (tool.name().to_owned(), json!(column(turns, index))));
            json!({
                "python_frames": python, "native_frames": native, "unit": "nanoseconds per call",
                "samples": Value::Object(samples.collect()),
            })
        })
        .collect()
}

fn column(turns: &[Depths], index: usize) -> Vec<f64> {
    turns
        .iter()
        .filter_map(|turn| turn.get(index).copied())
        .collect()
}
