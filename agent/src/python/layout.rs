//! The table of CPython layouts: one row per minor version, nothing else in the agent or the
//! probe knows where a field of the interpreter is.
//!
//! Every number is an `offsetof` or `sizeof` that a C compiler printed with the version's own
//! headers and `-DPy_BUILD_CORE`. The offsets are the same in all patch releases of a minor.
//!
//! Each row is the one before it with what that version changed, so that the differences can be
//! seen: `frame_objects` has 3.6 to 3.10, `interpreter_frames` the rest, `free_threaded`
//! the builds without the global interpreter lock.

pub mod check;
mod frame_objects;
mod free_threaded;
mod interpreter_frames;

use probe_abi::python::{FREE_THREADED, RawLayout};

use super::Version;

/// Byte offsets per CPython minor version. The probe's map holds these rows at these indices.
pub const ROWS: &[Row] = &[
    frame_objects::CPYTHON_3_6,
    frame_objects::CPYTHON_3_7,
    frame_objects::CPYTHON_3_8,
    frame_objects::CPYTHON_3_9,
    frame_objects::CPYTHON_3_10,
    interpreter_frames::CPYTHON_3_11,
    interpreter_frames::CPYTHON_3_12,
    interpreter_frames::CPYTHON_3_13,
    interpreter_frames::CPYTHON_3_14,
    interpreter_frames::CPYTHON_3_15,
    free_threaded::CPYTHON_3_13,
    free_threaded::CPYTHON_3_14,
    free_threaded::CPYTHON_3_15,
];

/// One version's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What the probe is given.
    pub raw: RawLayout,
    /// Where `_PyRuntime` has what a search starts from; 3.6 has symbols of their own for both.
    pub runtime: Option<Runtime>,
}

/// Fields of `_PyRuntimeState` (`Include/internal/pycore_runtime.h`; `Include/internal/pystate.h`
/// in 3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// `interpreters.head`.
    pub interpreters: u64,
    /// `gilstate.tstate_current`: who holds the interpreter lock, up to 3.11.
    pub current: Option<u64>,
}

/// What two mutexes add to the place of `gilstate.tstate_current`: glibc's `pthread_mutex_t` is 48
/// bytes on aarch64 and 40 on x86_64. musl's is 40 on both, so on aarch64 these are glibc's
/// places; the walk checks what it reads there, and falls back to the lists.
const MUTEXES: u64 = if cfg!(target_arch = "aarch64") { 16 } else { 0 };

/// What the probe is given, at the same indices as [`ROWS`].
#[must_use]
pub fn raw() -> Vec<RawLayout> {
    ROWS.iter().map(|row| row.raw).collect()
}

/// A version's row and its index.
#[must_use]
pub fn find(version: Version) -> Option<(u32, &'static Row)> {
    let mut rows = (0_u32..).zip(ROWS);
    rows.find(|(_, row)| row.raw.version == pack(version))
}

/// The version of which a record's stack is ([`RawLayout::version`]); `None` where there is none.
#[must_use]
pub fn version(raw: u32) -> Option<Version> {
    let [_, _, major, minor] = raw.to_be_bytes();
    let version = Version::new(major, minor);
    (major != 0).then_some(if raw & FREE_THREADED == 0 {
        version
    } else {
        version.free_threaded()
    })
}

/// How [`RawLayout::version`] has it.
#[must_use]
pub const fn pack(version: Version) -> u32 {
    let build = if version.free_threaded {
        FREE_THREADED
    } else {
        0
    };
    u32::from_be_bytes([0, 0, version.major, version.minor]) | build
}

#[cfg(test)]
mod tests;
