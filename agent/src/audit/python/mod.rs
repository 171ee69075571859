//! Python source: what it could do to signals, by its syntax tree. Pure and total.
//!
//! Names are resolved as Python's scopes resolve them, within one file: imports under any name,
//! values that are assigned, loops over tuples, parameters by the calls that are known. What a name
//! was bound to anywhere in its scope, it may be.

mod collect;
mod conditions;
mod found;
#[cfg(test)]
mod hostile_tests;
mod known;
mod model;
mod nesting;
mod source;
#[cfg(test)]
mod tests;
mod values;

use ruff_python_ast::Mod;
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};

use super::uses::Audited;

/// Bytes of a file that is read; the longest of real packages have some five million.
pub const SIZE_MAX: u64 = 8 << 20;

/// Bytes of a file beside which other files are read. A syntax tree has up to eighty times the bytes
/// of its text.
pub const LARGE: u64 = 512 << 10;

/// What all questions about a file may cost, beside one for each of its bytes: real files take
/// fewer.
const FUEL: u32 = 30_000;

/// Stack that reading a file may take, at most: to be given to the thread that calls [`audit`].
pub const STACK: usize = 256 << 20;

/// What a file could do. A program (`__main__.py`) is imported by nobody.
#[must_use]
pub fn audit(bytes: &[u8], is_program: bool) -> Audited {
    if !speaks_of_signals(bytes) {
        return Audited::default();
    }
    let failed = |problem: &str| Audited {
        problem: Some(problem.to_owned()),
        ..Audited::default()
    };
    let text = match source::text(bytes) {
        Ok(text) => text,
        Err(problem) => return failed(problem),
    };
    if nesting::is_too_deep(&text) {
        return failed("it nests deeper than Python can compile");
    }
    let parsed = parse_unchecked(&text, ParseOptions::from(Mode::Module));
    let lines = source::Lines::of(&text);
    let problem = parsed.errors().first().map(|error| {
        let line = lines.line(error.location.start().to_u32());
        format!("line {line} is no Python 3: {}", error.error)
    });
    let Mod::Module(module) = parsed.syntax() else {
        return failed("it is no module");
    };
    let model = collect::collect(&module.body, is_program);
    let size = u32::try_from(text.len()).unwrap_or(u32::MAX);
    model.fuel.set(FUEL.saturating_add(size));
    let (mut uses, unfinished) = found::uses(model, &lines);
    if problem.is_some() {
        // What the parser made of it may not be what was meant.
        uses.iter_mut().for_each(|found| found.likely = true);
    }
    Audited {
        uses,
        problem: problem.or_else(|| unfinished.map(str::to_owned)),
        parsed: true,
    }
}

/// Whether one of the words is in the file: most files of most packages end here.
fn speaks_of_signals(bytes: &[u8]) -> bool {
    known::WORDS
        .iter()
        .any(|word| memchr::memmem::find(bytes, word).is_some())
}
