//! The walk: from the instruction that made the call to the thread's first function.

use std::sync::Arc;

use super::{
    cfi::{Caller, Cfi, Context, PROGRAMS_MAX, Step},
    recorded::Recorded,
    registers::{Arch, Registers, Slot},
};
use crate::event::{NativeResult, Reason};

/// Most frames of a stack. A JVM's calls from Java through Python and back have some ninety.
pub(super) const FRAMES_MAX: usize = 256;

/// What lies at an address.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A file's code, with what to add to the file's addresses, and its tables.
    File(u64, Arc<Cfi>),
    /// Code without tables.
    Plain,
    /// Code of a file that could not be read.
    Unreadable,
    /// No code.
    Nothing,
}

/// What a walk found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Walk {
    /// An address inside the instruction that each frame executes, innermost first.
    pub(super) addresses: Vec<u64>,
    /// How it ended.
    pub(super) result: NativeResult,
    /// The address in no code at which it ended.
    pub(super) unknown: Option<u64>,
}

/// Walks a stack; `place` says what lies at an address.
pub(super) fn walk(
    arch: Arch,
    context: &mut Context,
    stack: &Recorded<'_>,
    mut place: impl FnMut(u64) -> Place,
) -> Walk {
    let mut registers = Registers::at_call(arch, &stack.copy);
    let mut walk = Walk {
        addresses: Vec::new(),
        result: NativeResult::Complete,
        unknown: None,
    };
    // The call itself lies before the address to which it returns, as with every other frame.
    let mut address = stack.copy.ip.wrapping_sub(1);
    // How many frames are sure: what is behind code without tables is a guess until the walk is
    // back in a file's code.
    let (mut sure, mut is_guess) = (0, false);
    let mut work = PROGRAMS_MAX;
    let reason = loop {
        let place = place(address);
        if let Place::Nothing = place {
            walk.unknown = Some(address);
            break Some(Reason::NotCode);
        }
        walk.addresses.push(address);
        if !is_guess || matches!(place, Place::File(..)) {
            sure = walk.addresses.len();
        }
        let mut step = match place {
            Place::File(bias, cfi) => {
                let own = address.wrapping_sub(bias);
                cfi.step(arch, context, own, &registers, stack, &mut work)
            }
            Place::Plain => Err(Reason::NoUnwindInfo),
            Place::Unreadable => Err(Reason::Unreadable),
            Place::Nothing => Err(Reason::NotCode),
        };
        // Files have code without tables, too: Go's, assembly.
        is_guess = step == Err(Reason::NoUnwindInfo);
        if is_guess {
            step = plain(arch, &registers, stack);
        }
        let caller = match step {
            Ok(Step::End) => break None,
            Ok(Step::Caller(caller)) => caller,
            Err(reason) => break Some(reason),
        };
        if walk.addresses.len() >= FRAMES_MAX {
            break Some(Reason::TooDeep);
        }
        let sp = |registers: &Registers| registers.get(arch.sp(), stack).unwrap_or(0);
        // A stack grows downwards; only a leaf that keeps nothing may have its caller's.
        let moved = sp(&caller.registers) > sp(&registers);
        if !(moved
            || caller.interrupted
            || walk.addresses.len() == 1 && caller.address != stack.copy.ip)
        {
            break Some(Reason::BadUnwindInfo);
        }
        address = if caller.interrupted {
            caller.address
        } else {
            caller.address.wrapping_sub(1)
        };
        registers = caller.registers;
    };
    if let Some(mut reason) = reason {
        // What lies behind code without tables and leads nowhere were no frames.
        if is_guess {
            walk.addresses.truncate(sure);
            reason = Reason::NoUnwindInfo;
        }
        walk.result = match sure {
            0 => NativeResult::Failed(reason),
            _ => NativeResult::Truncated(reason),
        };
    }
    walk
}

/// The step of code that keeps a frame pointer, as both architectures' conventions have it: the
/// caller's at the address in it, and behind that the return address.
fn plain(arch: Arch, registers: &Registers, stack: &Recorded<'_>) -> Result<Step, Reason> {
    let step = || {
        let fp = registers.get(arch.fp(), stack)?;
        if !fp.is_multiple_of(8) || fp < registers.get(arch.sp(), stack)? {
            return None;
        }
        let back = stack.word(fp.checked_add(8)?)?;
        let mut registers = Registers::unknown();
        registers.set(arch.fp(), Some(Slot::Saved(fp)));
        registers.set(arch.sp(), Some(Slot::Value(fp.checked_add(16)?)));
        let address = arch.code_address(back);
        Some(Step::Caller(Box::new(Caller {
            address,
            registers,
            interrupted: false,
        })))
    };
    step().ok_or(Reason::NoUnwindInfo)
}

#[cfg(test)]
pub(crate) mod tests;
