//! What is done on a signal, and how.

use serde::{Deserialize, Serialize};

/// What is done on a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// `SIG_DFL`.
    #[default]
    Default,
    /// `SIG_IGN`.
    Ignore,
    /// A function at this address.
    Handler(u64),
}

impl Action {
    /// A function whose address nobody has told: no code lies there.
    pub const UNSEEN: Self = Self::Handler(u64::MAX);

    /// From the kernel's `sa_handler`.
    #[must_use]
    pub fn from_address(address: u64) -> Self {
        match address {
            0 => Self::Default,
            1 => Self::Ignore,
            address => Self::Handler(address),
        }
    }
}

/// What is done on a signal, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Disposition {
    /// Default, ignore or handler.
    pub action: Action,
    /// `SA_…` flags as the kernel keeps them.
    pub flags: u64,
    /// Signals blocked meanwhile, bit 0 being signal 1.
    pub mask: u64,
}

/// Flags of `sigaction(2)` that a program can set, with their names (x86_64, aarch64).
pub const FLAGS: [(u64, &str); 8] = [
    (0x1, "SA_NOCLDSTOP"),
    (0x2, "SA_NOCLDWAIT"),
    (0x4, "SA_SIGINFO"),
    (0x800, "SA_EXPOSE_TAGBITS"),
    (0x0800_0000, "SA_ONSTACK"),
    (0x1000_0000, "SA_RESTART"),
    (0x4000_0000, "SA_NODEFER"),
    (0x8000_0000, "SA_RESETHAND"),
];

/// The kernel's mark of a disposition that a 32-bit system call set (`SA_IA32_ABI`,
/// arch/x86/include/asm/signal.h, 5.10 to 7.3).
const BY_32_BIT_CALL: u64 = 0x0200_0000;

impl Disposition {
    /// Whether a 32-bit system call set it, as far as the kernel keeps that.
    #[must_use]
    pub fn is_by_32_bit_call(&self) -> bool {
        self.flags & BY_32_BIT_CALL != 0
    }

    /// The flags a program can set and a rule can speak of; the kernel's own marks left out.
    #[must_use]
    pub fn visible_flags(&self) -> u64 {
        self.flags & FLAGS.iter().fold(0, |all, (bit, _)| all | bit)
    }

    /// Whether the process behaves alike under both. Flags matter to handlers only.
    #[must_use]
    pub fn same_effect(&self, other: &Self) -> bool {
        self.action == other.action
            && (!matches!(self.action, Action::Handler(_))
                || (self.visible_flags() == other.visible_flags() && self.mask == other.mask))
    }
}
