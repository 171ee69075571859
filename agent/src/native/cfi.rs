//! Call frame information: how to get from a frame to its caller, by a file's own tables.
//!
//! The tables are untrusted. The search is our own, because gimli's trusts the number of entries;
//! programs and expressions are gimli's, each with a bound: an expression may jump backwards
//! (`DW_OP_skip`), so that without one it may run for ever.

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EndianSlice, Evaluation, EvaluationResult, Expression,
    FrameDescriptionEntry, LittleEndian, Location, Register, RegisterRule, UnwindContext,
    UnwindExpression, UnwindSection as _, UnwindTableRow, Value, Vendor,
};

use super::{
    recorded::Recorded,
    registers::{Arch, COUNT, Registers, Slot},
};
use crate::event::Reason;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Bytes of the programs of one walk: those of real functions stay below a few KiB, and most have
/// some fifty. A byte may cost the copy of a whole row (`DW_CFA_remember_state`).
pub(super) const PROGRAMS_MAX: usize = 128 << 10;
/// Steps of one expression: real ones have some ten.
const STEPS_MAX: u32 = 256;

/// What gimli works in; made once, because it is large.
pub(super) type Context = UnwindContext<usize>;

/// A section: where it lies in the file's own terms, and its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// First address.
    pub(super) address: u64,
    /// The bytes.
    pub(super) bytes: Vec<u8>,
}

/// The tables of one file.
#[derive(Debug)]
pub(super) struct Cfi {
    index: Section,
    frames: Section,
    bases: BaseAddresses,
    rows: usize,
}

/// What a step leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To the caller.
    Caller(Box<Caller>),
    /// Nowhere: this is the thread's first function.
    End,
}

/// A caller's frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// Where the callee returns to.
    pub(super) address: u64,
    /// What is known of the registers then.
    pub(super) registers: Registers,
    /// A signal came in between: the address is that of the interrupted instruction itself.
    pub(super) interrupted: bool,
}

impl Cfi {
    /// The tables of a file with `.eh_frame_hdr` and `.eh_frame`; `None` where the former is not
    /// of the one kind that linkers write (LSB 5.0, "The .eh_frame_hdr section"): a sorted table
    /// of pairs of signed 32-bit distances from the section.
    pub(super) fn new(index: Section, frames: Section) -> Option<Self> {
        // Version; pc-relative signed 32 bits, unsigned 32 bits, section-relative signed 32 bits.
        const HEAD: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
        if index.bytes.get(..4)? != HEAD {
            return None;
        }
        let count = u32_at(&index.bytes, 8)? as usize;
        let room = index.bytes.len().checked_sub(12)? / 8;
        let bases = BaseAddresses::default()
            .set_eh_frame_hdr(index.address)
            .set_eh_frame(frames.address);
        Some(Self {
            index,
            frames,
            bases,
            rows: count.min(room),
        })
    }

    /// Bytes in memory.
    pub(super) fn size(&self) -> usize {
        self.index.bytes.len() + self.frames.bytes.len()
    }

    /// The first address of the row, and where its entry lies.
    fn row(&self, at: usize) -> Option<(u64, u64)> {
        let far = |at: usize| {
            let distance = u32_at(&self.index.bytes, at)?.cast_signed();
            Some(self.index.address.wrapping_add_signed(distance.into()))
        };
        let at = at.checked_mul(8)?.checked_add(12)?;
        Some((far(at)?, far(at + 4)?))
    }

    /// Where the entry lies that may cover an address, in `.eh_frame`.
    fn entry(&self, address: u64) -> Option<usize> {
        let (mut low, mut high) = (0, self.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.row(middle)?.0 <= address {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let (_, entry) = self.row(low.checked_sub(1)?)?;
        let offset = usize::try_from(entry.wrapping_sub(self.frames.address)).ok()?;
        (offset < self.frames.bytes.len()).then_some(offset)
    }

    /// The step from a frame to its caller. `address` is in the file's own terms, inside the
    /// instruction that the frame executes; `work` is how many bytes of programs may still run.
    pub(super) fn step(
        &self,
        arch: Arch,
        context: &mut Context,
        address: u64,
        registers: &Registers,
        stack: &Recorded<'_>,
        work: &mut usize,
    ) -> Result<Step, Reason> {
        let mut section = EhFrame::new(&self.frames.bytes, LittleEndian);
        section.set_address_size(8);
        if arch == Arch::Aarch64 {
            section.set_vendor(Vendor::AArch64);
        }
        let offset = self.entry(address).ok_or(Reason::NoUnwindInfo)?;
        let entry: FrameDescriptionEntry<Slice<'_>> = section
            .fde_from_offset(&self.bases, offset.into(), EhFrame::cie_from_offset)
            .map_err(|_| Reason::BadUnwindInfo)?;
        if !entry.contains(address) {
            return Err(Reason::NoUnwindInfo);
        }
        let program = entry.entry_len().saturating_add(entry.cie().entry_len());
        *work = work.checked_sub(program).ok_or(Reason::BadUnwindInfo)?;
        let row = entry
            .unwind_info_for_address(&section, &self.bases, context, address)
            .map_err(|_| Reason::BadUnwindInfo)?;
        Frame {
            arch,
            section,
            entry: &entry,
            row,
            registers,
            stack,
        }
        .caller()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// A frame, and the row of the table that holds for it.
struct Frame<'a> {
    arch: Arch,
    section: EhFrame<Slice<'a>>,
    entry: &'a FrameDescriptionEntry<Slice<'a>>,
    row: &'a UnwindTableRow<usize>,
    registers: &'a Registers,
    stack: &'a Recorded<'a>,
}

impl Frame<'_> {
    fn caller(&self) -> Result<Step, Reason> {
        let cfa = match self.row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => self
                .registers
                .get(register.0, self.stack)
                .ok_or(Reason::BadUnwindInfo)?
                .wrapping_add_signed(*offset),
            CfaRule::Expression(expression) => self.evaluate(expression, None)?,
        };
        let back = self.entry.cie().return_address_register();
        if self.row.register(back) == Some(RegisterRule::Undefined) {
            return Ok(Step::End);
        }
        // Without a rule: a leaf of aarch64 has it where the call put it.
        let address = match self.slot(back.0, cfa)?.ok_or(Reason::BadUnwindInfo)? {
            Slot::Value(address) => address,
            Slot::Saved(at) => self.stack.word(at).ok_or(Reason::CopyEnded)?,
        };
        let address = self.arch.code_address(address);
        if address == 0 {
            return Ok(Step::End);
        }
        let mut registers = Registers::unknown();
        for register in (0..COUNT).filter(|register| *register != back.0) {
            // What cannot be told is missed only where a later rule asks for it.
            let slot = self.slot(register, cfa).ok().flatten();
            registers.set(register, slot);
        }
        if self.row.register(Register(self.arch.sp())).is_none() {
            registers.set(self.arch.sp(), Some(Slot::Value(cfa)));
        }
        Ok(Step::Caller(Box::new(Caller {
            address,
            registers,
            interrupted: self.entry.is_signal_trampoline(),
        })))
    }

    /// What the caller has in a register; `None` where it has lost that value.
    fn slot(&self, register: u16, cfa: u64) -> Result<Option<Slot>, Reason> {
        let kept = self.registers.slot(register);
        let rule = match self.row.register(Register(register)) {
            Some(rule) => rule,
            None if self.arch.is_kept(register) => RegisterRule::SameValue,
            None => RegisterRule::Undefined,
        };
        match rule {
            RegisterRule::Undefined => Ok(None),
            RegisterRule::SameValue => Ok(kept),
            RegisterRule::Offset(offset) => {
                let address = cfa.wrapping_add_signed(offset);
                // Saved below the stack pointer: that is over, and the register is itself.
                let is_over = address < self.stack.copy.sp;
                Ok(if is_over {
                    kept
                } else {
                    Some(Slot::Saved(address))
                })
            }
            RegisterRule::ValOffset(offset) => {
                Ok(Some(Slot::Value(cfa.wrapping_add_signed(offset))))
            }
            RegisterRule::Register(other) => Ok(self.registers.slot(other.0)),
            RegisterRule::Expression(expression) => {
                let address = self.evaluate(&expression, Some(cfa))?;
                Ok(Some(Slot::Saved(address)))
            }
            RegisterRule::ValExpression(expression) => {
                let value = self.evaluate(&expression, Some(cfa))?;
                Ok(Some(Slot::Value(value)))
            }
            _ => Ok(None),
        }
    }

    /// An expression's value. A register's rule begins with the frame's address on the stack
    /// (DWARF 5, 6.4.2.3 `DW_CFA_expression`); the rule for that address does not.
    fn evaluate(
        &self,
        expression: &UnwindExpression<usize>,
        cfa: Option<u64>,
    ) -> Result<u64, Reason> {
        let bad = |_| Reason::BadUnwindInfo;
        let Expression(bytes) = expression.get(&self.section).map_err(bad)?;
        let mut evaluation = Evaluation::new(bytes, self.entry.cie().encoding());
        evaluation.set_max_iterations(STEPS_MAX);
        if let Some(cfa) = cfa {
            evaluation.set_initial_value(cfa);
        }
        let mut result = evaluation.evaluate().map_err(bad)?;
        loop {
            result = match result {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = self.registers.get(register.0, self.stack);
                    let value = value.ok_or(Reason::BadUnwindInfo)?;
                    evaluation.resume_with_register(Value::Generic(value))
                }
                EvaluationResult::RequiresMemory {
                    address, size: 8, ..
                } => {
                    let word = self.stack.word(address).ok_or(Reason::CopyEnded)?;
                    evaluation.resume_with_memory(Value::Generic(word))
                }
                _ => return Err(Reason::BadUnwindInfo),
            }
            .map_err(bad)?;
        }
        match evaluation.as_result().last().map(|piece| &piece.location) {
            Some(Location::Address { address }) => Ok(*address),
            _ => Err(Reason::BadUnwindInfo),
        }
    }
}
