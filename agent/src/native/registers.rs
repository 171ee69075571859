//! Registers by their DWARF numbers, of the two architectures.

use super::recorded::Recorded;
use crate::event::StackCopy;

/// What differs between the architectures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arch {
    /// DWARF numbers of the System V ABI, AMD64 supplement, figure 3.36.
    X86_64,
    /// DWARF numbers of "DWARF for the Arm 64-bit Architecture".
    Aarch64,
}

/// Registers that are followed: the highest number is x86_64's return address, 16, and aarch64's
/// stack pointer, 31.
pub(super) const COUNT: u16 = 32;

impl Arch {
    /// This machine's.
    pub(super) const HOST: Self = if cfg!(target_arch = "aarch64") {
        Self::Aarch64
    } else {
        Self::X86_64
    };

    /// The stack pointer's number.
    pub(super) fn sp(self) -> u16 {
        match self {
            Self::X86_64 => 7,
            Self::Aarch64 => 31,
        }
    }

    /// The frame pointer's number.
    pub(super) fn fp(self) -> u16 {
        match self {
            Self::X86_64 => 6,
            Self::Aarch64 => 29,
        }
    }

    /// Registers that a function leaves as it found them, by the calling conventions: those
    /// whose table has no rule keep their value. All others are lost in a call, aarch64's return
    /// address (30) among them: once it was a caller's, it is unknown.
    pub(super) fn is_kept(self, register: u16) -> bool {
        match self {
            Self::X86_64 => matches!(register, 3 | 6 | 12..=15),
            Self::Aarch64 => matches!(register, 19..=30),
        }
    }

    /// A code address without the signature that pointer authentication puts above bit 47.
    pub(super) fn code_address(self, address: u64) -> u64 {
        match self {
            Self::X86_64 => address,
            Self::Aarch64 => address & 0x0000_ffff_ffff_ffff,
        }
    }
}

/// What is known of one register. What was saved is read only where a rule asks for it: most of it
/// is the application's business, and changes from call to call where the stack does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// Its value.
    Value(u64),
    /// Where a callee has saved it.
    Saved(u64),
}

/// What is known of one frame's registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registers {
    values: [Option<Slot>; COUNT as usize],
}

impl Registers {
    /// Nothing is known.
    pub(super) fn unknown() -> Self {
        Self {
            values: [None; COUNT as usize],
        }
    }

    /// As the thread entered the kernel.
    pub(super) fn at_call(arch: Arch, copy: &StackCopy<'_>) -> Self {
        let mut registers = Self::unknown();
        registers.set(arch.sp(), Some(Slot::Value(copy.sp)));
        registers.set(arch.fp(), Some(Slot::Value(copy.fp)));
        if arch == Arch::Aarch64 {
            registers.set(30, Some(Slot::Value(copy.lr)));
        }
        registers
    }

    /// A register's value, where it is known.
    pub(super) fn get(&self, register: u16, stack: &Recorded<'_>) -> Option<u64> {
        match self.slot(register)? {
            Slot::Value(value) => Some(value),
            Slot::Saved(address) => stack.word(address),
        }
    }

    /// Where a register's value is, unread.
    pub(super) fn slot(&self, register: u16) -> Option<Slot> {
        self.values.get(usize::from(register)).copied().flatten()
    }

    /// Notes a register; numbers beyond [`COUNT`] are nobody's.
    pub(super) fn set(&mut self, register: u16, value: Option<Slot>) {
        if let Some(slot) = self.values.get_mut(usize::from(register)) {
            *slot = value;
        }
    }
}
