//! Signals that only the audit names: what libraries are known to take. Pure.

use super::Signal;

/// By their Linux numbers on x86_64 and aarch64, like those that rules speak of.
impl Signal {
    /// SIGILL.
    pub const ILL: Self = Self(4);
    /// SIGABRT.
    pub const ABRT: Self = Self(6);
    /// SIGBUS.
    pub const BUS: Self = Self(7);
    /// SIGFPE.
    pub const FPE: Self = Self(8);
    /// SIGSEGV.
    pub const SEGV: Self = Self(11);
    /// SIGTSTP.
    pub const TSTP: Self = Self(20);
    /// SIGURG.
    pub const URG: Self = Self(23);
    /// SIGVTALRM.
    pub const VTALRM: Self = Self(26);
    /// SIGPROF.
    pub const PROF: Self = Self(27);
}
