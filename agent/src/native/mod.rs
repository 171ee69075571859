//! The native stack: which code made a system call, and who had called that.
//!
//! A record holds the caller's registers and a copy of its stack. They are unwound by the tables
//! that the compiler wrote for exceptions (`.eh_frame`), which every distribution keeps in its
//! files, so that no frame pointers are needed. The files are an application's: sizes are claims,
//! the work on each frame is bounded, and what makes no sense ends the stack with a reason.
//!
//! `recorded`, `registers`, `cfi`, `unwind` and `symbols` are pure; `binaries`, `debug` and `vdso` read files.

mod binaries;
mod cfi;
mod debug;
mod recorded;
mod registers;
mod space;
mod symbols;
mod unwind;
mod vdso;

#[cfg(test)]
pub(crate) use self::unwind::tests::{walk_anything, walks};
pub use self::{
    binaries::{Binaries, Want},
    space::Space,
};
use crate::event::{NativeResult, NativeStack, Reason};

/// What a stack is that could not be unwound at all.
#[must_use]
pub fn failed(reason: Reason) -> NativeStack {
    NativeStack {
        result: NativeResult::Failed(reason),
        ..NativeStack::default()
    }
}

#[cfg(test)]
mod tests;
