//! A call of mod_wsgi's intercept: what the caller wanted, and where it stood.

use probe_abi::record::{RawIntercept, RawWanted, TYPE_NAME_SIZE};

use super::{DecodeError, stack};
use crate::{
    event::{Attempt, NativeStack, Signal, Source, Wanted},
    python::text::CUT,
};

/// Decodes an attempt and what follows its fixed part, whose size was looked at.
pub(super) fn decode(raw: &RawIntercept, rest: &[u8]) -> Result<Attempt, DecodeError> {
    let (frames, rest) = split(rest, raw.python.size);
    let (code, _) = split(rest, raw.handler_size);
    let signal = u32::try_from(raw.number).ok();
    Ok(Attempt {
        signal: signal.and_then(Signal::new),
        number: raw.number,
        handler: wanted(raw, code)?,
        folded: raw.folded,
        python: stack::decode(&raw.python, frames)?,
        native: NativeStack::default(),
        source: Source::Probe,
    })
}

fn split(bytes: &[u8], at: u32) -> (&[u8], &[u8]) {
    bytes.split_at_checked(at as usize).unwrap_or_default()
}

fn wanted(raw: &RawIntercept, code: &[u8]) -> Result<Wanted, DecodeError> {
    let contradiction = || DecodeError::HandlerContradiction {
        handler: raw.handler.0,
        name: raw.name_size,
        code: raw.handler_size,
    };
    let (has_name, has_code) = (raw.name_size != 0, raw.handler_size != 0);
    let plain = |wanted| match (has_name, has_code) {
        (false, false) => Ok(wanted),
        _ => Err(contradiction()),
    };
    match raw.handler {
        RawWanted::UNKNOWN => plain(Wanted::Unknown),
        RawWanted::DEFAULT => plain(Wanted::Default),
        RawWanted::IGNORE => plain(Wanted::Ignore),
        RawWanted::FUNCTION if has_name => Err(contradiction()),
        RawWanted::FUNCTION => stack::function(code).map(Wanted::Function),
        RawWanted::OBJECT if has_code => Err(contradiction()),
        RawWanted::OBJECT => name(raw).map(Wanted::Object).ok_or_else(contradiction),
        RawWanted(handler) => Err(DecodeError::UnknownHandler { handler }),
    }
}

/// The type's name. The longest that has room was perhaps longer, and perhaps cut within a
/// character.
fn name(raw: &RawIntercept) -> Option<String> {
    const MOST: usize = TYPE_NAME_SIZE - 1;
    let size = usize::from(raw.name_size);
    let bytes = raw.name.get(..size.min(MOST + 1))?;
    if size < MOST {
        return Some(String::from_utf8_lossy(bytes).into_owned());
    }
    if size > MOST {
        return None;
    }
    let whole = match std::str::from_utf8(bytes) {
        // The end is missing, the rest is text.
        Err(error) if error.error_len().is_none() => bytes.get(..error.valid_up_to())?,
        _ => bytes,
    };
    let mut name = String::from_utf8_lossy(whole).into_owned();
    name.push(CUT);
    Some(name)
}
