//! Hook: uprobe on `SignalIntercept_call`, in each file that is a mod_wsgi.
//!
//! Since: 5.10
//! Fires when: Python code calls `signal.signal` in an interpreter of which mod_wsgi restricts the
//! signals, before the intercept looks at its arguments.
//! Emits: `RawIntercept`, with the calling thread's Python frames, the handler's code and the native stack
//! Why this hook: no system call follows, and from mod_wsgi 6.0 on nothing is logged by default. In a
//! child that the application forked the intercept lets the call pass; user space knows those.

#![forbid(unsafe_code)]

use aya_ebpf::{macros::uprobe, programs::ProbeContext};
use probe_abi::{
    miss::Miss,
    process::RawInterpreter,
    python::{RawLayout, UNSUPPORTED},
    record::{Kind, RawIntercept, RawWanted, TYPE_NAME_SIZE},
};

use crate::{
    emit,
    maps::{self, Charge, tally},
    once,
    read::{self, try_user_word, user_half, user_text, user_word},
    scratch::{self, Slot},
    task, walk,
};

/// Bits of `tp_flags` (`Include/object.h`, 3.6 to 3.15): a class made at run time, a subclass of `int`.
const HEAP_TYPE: u64 = 1 << 9;
const INTEGER: u64 = 1 << 24;
/// What `lv_tag` holds of a negative number, in its two lowest bits (`Include/cpython/longintrepr.h`,
/// 3.12 and later).
const SIGN: u64 = 3;
const NEGATIVE: u64 = 2;

/// mod_wsgi's intercept is called.
#[uprobe]
pub fn intercept(ctx: ProbeContext) -> u32 {
    tally(try_intercept(&ctx));
    0
}

/// What was asked for.
struct Asked {
    number: i64,
    /// Address of the handler.
    handler: u64,
}

#[inline(always)]
fn try_intercept(ctx: &ProbeContext) -> Result<(), Miss> {
    let tgid = task::tgid();
    let Some(process) = maps::process(tgid) else {
        return Ok(());
    };
    if once::is_repeated(ctx) || maps::is_exempt(process) {
        return Ok(());
    }
    let interpreter = RawInterpreter {
        interpreters: process.interpreters,
        current: process.current,
        layout: process.layout,
        reserved: 0,
    };
    if interpreter.interpreters == 0 {
        return Err(Miss::InterpreterUnknown);
    }
    if interpreter.layout == UNSUPPORTED {
        return Err(Miss::NoLayout);
    }
    let layout = maps::layout(interpreter.layout)?;
    let arguments = ctx.arg::<u64>(1).unwrap_or(0);
    let asked = asked(layout, arguments).ok_or(Miss::Intercept)?;
    let now = emit::now();
    let charge = maps::charge_attempt(tgid, now).ok_or(Miss::RateLimited)?;
    let slot = scratch::claim()?;
    let sent = record(ctx, slot, layout, &interpreter, &asked, charge, now);
    scratch::release(slot);
    sent
}

/// Reads the arguments as `PyArg_ParseTuple(args, "iO:signal", …)` would, which the intercept calls
/// (mod_wsgi 4.7 to 6.1): it raises `TypeError` or `OverflowError` for all others.
///
/// Objects that are no integers and only can be made into one, such as numpy's, are not told.
#[inline(always)]
fn asked(layout: &RawLayout, arguments: u64) -> Option<Asked> {
    if try_user_word(arguments.wrapping_add(u64::from(layout.tuple_size)))? != 2 {
        return None;
    }
    let items = arguments.wrapping_add(u64::from(layout.tuple_items));
    let number = integer(layout, try_user_word(items)?)?;
    Some(Asked {
        number: i64::from(i32::try_from(number).ok()?),
        handler: try_user_word(items.wrapping_add(8))?,
    })
}

/// An `int`, or an instance of a subclass such as `IntEnum`, of at most two digits: 60 bits.
#[inline(always)]
fn integer(layout: &RawLayout, object: u64) -> Option<i64> {
    let class = try_user_word(object.wrapping_add(u64::from(layout.object_type)))?;
    let flags = try_user_word(class.wrapping_add(u64::from(layout.type_flags)))?;
    if flags & INTEGER == 0 {
        return None;
    }
    let tag = try_user_word(object.wrapping_add(u64::from(layout.integer_tag)))?;
    let (digits, is_negative) = if layout.integer_shift == 0 {
        ((tag as i64).unsigned_abs(), (tag as i64) < 0)
    } else {
        (tag >> (layout.integer_shift & 63), tag & SIGN == NEGATIVE)
    };
    if digits > 2 {
        return None;
    }
    let at = object.wrapping_add(u64::from(layout.integer_digits));
    let mut value = 0;
    if digits > 0 {
        value = u64::from(user_half(at));
    }
    if digits > 1 {
        let high = u64::from(user_half(at.wrapping_add(4)));
        value |= high << (layout.integer_bits & 63);
    }
    let value = value as i64;
    Some(if is_negative { 0 - value } else { value })
}

/// Builds the record and sends it.
#[inline(always)]
fn record(
    ctx: &ProbeContext,
    slot: Slot,
    layout: &RawLayout,
    interpreter: &RawInterpreter,
    asked: &Asked,
    charge: Charge,
    now: u64,
) -> Result<(), Miss> {
    let scratch = scratch::row(slot)?;
    walk::python(slot, scratch, interpreter);
    let before = scratch.position;
    let mut name = [0; TYPE_NAME_SIZE / 8];
    let (handler, name_size) = match handler(layout, asked.handler, &mut name) {
        Some(Handler::Function(code)) => {
            scratch.layout = interpreter.layout;
            scratch.frame = code;
            if walk::walk_function(slot) == 0 {
                (RawWanted::FUNCTION, 0)
            } else {
                maps::miss(Miss::Handler);
                (RawWanted::UNKNOWN, 0)
            }
        }
        Some(Handler::Plain(wanted)) => (wanted, 0),
        Some(Handler::Object(size)) => (RawWanted::OBJECT, size),
        None => {
            maps::miss(Miss::Handler);
            (RawWanted::UNKNOWN, 0)
        }
    };
    let handler_size = scratch.position.wrapping_sub(before) as u32;
    walk::native(slot, scratch, read::caller(ctx), charge.spent);
    let size = emit::length(scratch.position);
    let number = scratch::number(slot, scratch);
    let record: &mut RawIntercept = zerocopy::transmute_mut!(&mut scratch.record);
    record.folded = charge.swallowed;
    record.number = asked.number;
    record.handler_size = handler_size;
    record.handler = handler;
    record.name_size = name_size as u16;
    record.name = zerocopy::transmute!(name);
    task::fill(
        &mut record.header,
        Kind::INTERCEPT,
        now,
        size as u32,
        number,
    );
    emit::record(scratch)
}

/// What a handler is.
enum Handler {
    /// `SIG_DFL`, `SIG_IGN`.
    Plain(RawWanted),
    /// Address of a Python function's code.
    Function(u64),
    /// Bytes of the type's name.
    Object(u64),
}

/// Finds out what a handler is, and notes its type's name.
#[inline(always)]
fn handler(
    layout: &RawLayout,
    object: u64,
    name: &mut [u64; TYPE_NAME_SIZE / 8],
) -> Option<Handler> {
    match integer(layout, object) {
        Some(0) => return Some(Handler::Plain(RawWanted::DEFAULT)),
        Some(1) => return Some(Handler::Plain(RawWanted::IGNORE)),
        _ => {}
    }
    let mut object = object;
    let mut size = class_name(layout, object, name)?;
    if is_own(name, size, *b"method\0\0") {
        // A bound method's function comes first (`PyMethodObject`, 3.6 to 3.15).
        let behind_the_head = u64::from(layout.object_type) + 8;
        object = user_word(object.wrapping_add(behind_the_head));
        size = class_name(layout, object, name)?;
    }
    if is_own(name, size, *b"function") {
        *name = [0; TYPE_NAME_SIZE / 8];
        let at = object.wrapping_add(u64::from(layout.function_code));
        return Some(Handler::Function(user_word(at)));
    }
    Some(Handler::Object(size & !HEAP))
}

/// Marks the length of a name that an application's class has.
const HEAP: u64 = 1 << 32;

/// Notes the name of an object's type; its length, with [`HEAP`].
#[inline(always)]
fn class_name(
    layout: &RawLayout,
    object: u64,
    name: &mut [u64; TYPE_NAME_SIZE / 8],
) -> Option<u64> {
    let class = try_user_word(object.wrapping_add(u64::from(layout.object_type)))?;
    let flags = user_word(class.wrapping_add(u64::from(layout.type_flags)));
    let at = user_word(class.wrapping_add(u64::from(layout.type_name)));
    let size = user_text(name, at)?;
    let mark = if flags & HEAP_TYPE == 0 { 0 } else { HEAP };
    Some(size | mark)
}

/// Whether the name is that of a type of the interpreter's own. A class of an application's may
/// have the same.
#[inline(always)]
fn is_own(name: &[u64; TYPE_NAME_SIZE / 8], size: u64, wanted: [u8; 8]) -> bool {
    name[0] == u64::from_ne_bytes(wanted) && size <= 8
}
