//! The bytes that cross the border between the kernel half and the user half.
//!
//! Rules of the wire, which the derives and the assertions below hold:
//!
//! - Integers only. No `bool`, `enum`, `Option` or `usize`: each has bit patterns or a width
//!   that one of the two sides might not agree on.
//! - Widest fields first and no padding: `zerocopy::IntoBytes` refuses a struct with a hole.
//! - Every record on the ring starts with a [`RawHeader`](record::RawHeader), and its size is
//!   a multiple of eight bytes.
//! - Both halves are built from one tree and shipped in one binary, so the wire has no version.
//!   Files that outlive a build (captures) carry a format number of their own.

#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod kernel;
pub mod map;
pub mod miss;
pub mod native;
pub mod process;
pub mod python;
pub mod record;

/// Lets aya put the plain-old-data types into maps and globals.
#[cfg(feature = "user")]
mod pod {
    // SAFETY: all six are `repr(C)` without padding and valid for every bit pattern, which
    // their zerocopy derives prove.
    unsafe impl aya::Pod for crate::kernel::RawKernel {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::process::RawProcess {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::process::RawStart {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::process::RawInterpreter {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::python::RawLayout {}
    // SAFETY: as above.
    unsafe impl aya::Pod for crate::record::RawFile {}
}
