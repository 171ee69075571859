//! Why the kernel half could not do its whole job for one event.
//!
//! The numbers index a per-processor array that the agent publishes as
//! `sigblame_probe_misses_total{reason}`. One list serves the probe, the metric and the docs.

macro_rules! misses {
    ($($name:ident = $number:literal, $label:literal, $meaning:literal;)*) => {
        /// A counted reason.
        #[repr(u16)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Miss {
            $(#[doc = $meaning] $name = $number,)*
        }

        impl Miss {
            /// Label and meaning of every reason; the index is the number.
            pub const TABLE: &'static [(&'static str, &'static str)] = &[$(($label, $meaning),)*];

            /// Every reason, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name that metrics and stacks use.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }
        }
    };
}

misses! {
    RingFull = 0, "ring_full", "The ring had no room; the record is lost.";
    NoScratch = 1, "no_scratch", "No scratch row was free; the record is lost.";
    NoLayout = 2, "python_unsupported", "The layout of this process's CPython is not known; its stacks are not walked.";
    NoStash = 3, "no_stash", "The stash between entry and exit was full; the record is lost.";
    ProcessesFull = 4, "processes_full", "No room for another watched process.";
    RateLimited = 5, "rate_limited", "The process registers, tries to, or is sent signals in a loop; this one was folded.";
    Kernel = 6, "kernel_read", "Kernel memory could not be read where BTF said it would be.";
    NodeBound = 7, "node_bound", "The search for the thread state ended at its bound.";
    InterpreterUnknown = 8, "interpreter_unknown", "No interpreter of this process is known yet.";
    Interpreters = 9, "interpreters_unreadable", "The list of interpreters could not be read.";
    Unwatched = 10, "interpreter_unwatched", "An interpreter started in a process that is not watched.";
    Arguments = 11, "arguments", "The caller's struct could not be read.";
    StartUnknown = 12, "interpreter_start_unknown", "An interpreter started in a function whose code is not the one that was probed.";
    LinkBound = 13, "link_bound", "The chain of Python frames did not end within its bound: it is very deep, or a cycle.";
    FrameUnreadable = 14, "frame_unreadable", "A Python frame could not be read; the stack ends there.";
    CodeUnreadable = 15, "code_unreadable", "A Python frame's code object could not be read; the frame has no name.";
    Registers = 16, "registers", "The caller's registers could not be found; the record has no native stack.";
    UserStack = 17, "user_stack", "The caller's stack could not be read; the record has no native stack.";
    TextUnreadable = 18, "text_unreadable", "A Python frame's file or function name could not be read.";
    Intercept = 19, "intercept_arguments", "mod_wsgi's intercept was called with arguments that it refuses, or that could not be read; that is no attempt.";
    Handler = 20, "intercept_handler", "The handler of a blocked attempt could not be read; the attempt is told without it.";
}

/// How many reasons there are.
pub const MISSES: u32 = Miss::TABLE.len() as u32;

/// Counters beside the misses: things that are not records and not failures.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// A registration or an attempt in a child that shares its parent's memory.
    Exempt = 0,
    /// A child that shares its parent's memory was made by a watched process.
    SharedChild = 1,
    /// An interpreter start that filled a process's row.
    InterpreterStart = 2,
}

/// How many tallies there are.
pub const TALLIES: u32 = 3;

const _: () = {
    let mut i = 0;
    while i < Miss::ALL.len() {
        assert!(Miss::ALL[i] as usize == i, "numbers are the index");
        i += 1;
    }
};
