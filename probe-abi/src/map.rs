//! Names and capacities of maps and globals, so that neither side has a string of its own.

/// The ring of records.
pub const EVENTS: &str = "EVENTS";
/// Watched processes: process id → [`crate::process::RawProcess`].
pub const PROCESSES: &str = "PROCESSES";
/// Executable files user space has looked at: [`crate::record::RawFile`] → `PROGRAM_…`.
pub const PROGRAMS: &str = "PROGRAMS";
/// Functions that start an interpreter: [`crate::process::RawStart`] →
/// [`crate::process::RawInterpreter`].
pub const STARTS: &str = "STARTS";
/// Rows of [`crate::python::RawLayout`].
pub const LAYOUTS: &str = "LAYOUTS";
/// Counters by [`crate::miss::Miss`], per processor.
pub const MISSES: &str = "MISSES";
/// Counters by [`crate::miss::Tally`], per processor.
pub const TALLIES: &str = "TALLIES";
/// Scratch space: [`CLAIMED_ROWS`], and then one row per processor.
pub const SCRATCH: &str = "SCRATCH";
/// Rows of [`SCRATCH`] for programs that can be preempted, each of which claims one.
pub const CLAIMED_ROWS: u32 = 16;
/// The global of type [`crate::kernel::RawKernel`].
pub const KERNEL: &str = "KERNEL";

/// Bytes of the ring: room for two hundred of the largest records, or thousands of usual ones.
pub const EVENTS_SIZE: u32 = 8 << 20;
/// Processes watched at a time.
pub const PROCESSES_MAX: u32 = 16_384;
/// Executable files remembered.
pub const PROGRAMS_MAX: u32 = 8_192;
/// Functions that start an interpreter.
pub const STARTS_MAX: u32 = 1_024;
/// Layout rows: those of the table, and those of interpreters that describe themselves otherwise.
pub const LAYOUTS_MAX: u32 = 64;
/// Threads whose last hit of a uprobe is remembered.
pub const HITS_MAX: u32 = 4_096;
/// Threads between the entry and the exit of a registration.
pub const STASH_MAX: u32 = 4_096;
