//! What user space tells the probe, and asks it.

use std::io::{self, Read as _};

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, PerCpuArray},
    programs::Iter,
};
use probe_abi::{
    kernel::RawKernel,
    map,
    miss::{Miss, TALLIES},
    process::{PROGRAM_HTTPD, PROGRAM_OTHER, RawInterpreter, RawProcess, RawStart},
    python::RawLayout,
    record::{RawFile, RawInventory, SIGNALS},
};
use zerocopy::FromBytes as _;

use super::uprobes::Uprobes;
use crate::{
    event::{Action, Disposition, Dispositions, FileKey},
    process::ProcessKey,
};

/// The maps and programs that stay with the agent.
pub struct Controls {
    pub(super) ebpf: Ebpf,
    processes: HashMap<MapData, u32, RawProcess>,
    programs: HashMap<MapData, RawFile, u32>,
    pub(super) starts: HashMap<MapData, RawStart, RawInterpreter>,
    layouts: Array<MapData, RawLayout>,
    /// The rows that are in `layouts`.
    rows: Vec<RawLayout>,
    misses: PerCpuArray<MapData, u64>,
    tallies: PerCpuArray<MapData, u64>,
    pub(super) uprobes: Uprobes,
    kernel: RawKernel,
}

/// Where an interpreter is, in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// Address of the head of the list of interpreters.
    pub interpreters: u64,
    /// Address of the pointer to the thread state that holds the interpreter lock, up to 3.11.
    pub current: Option<u64>,
    /// Index of the layout row, or [`probe_abi::python::UNSUPPORTED`].
    pub layout: u32,
}

impl Controls {
    pub(super) fn take(
        mut ebpf: Ebpf,
        kernel: &RawKernel,
        rows: &[RawLayout],
    ) -> Result<Self, String> {
        fn map_of<T: TryFrom<aya::maps::Map, Error = aya::maps::MapError>>(
            ebpf: &mut Ebpf,
            name: &str,
        ) -> Result<T, String> {
            let map = ebpf
                .take_map(name)
                .ok_or_else(|| format!("the object has no map {name}"))?;
            T::try_from(map).map_err(|error| error.to_string())
        }
        Ok(Self {
            processes: map_of(&mut ebpf, map::PROCESSES)?,
            programs: map_of(&mut ebpf, map::PROGRAMS)?,
            starts: map_of(&mut ebpf, map::STARTS)?,
            layouts: map_of(&mut ebpf, map::LAYOUTS)?,
            rows: rows.to_vec(),
            misses: map_of(&mut ebpf, map::MISSES)?,
            tallies: map_of(&mut ebpf, map::TALLIES)?,
            ebpf,
            uprobes: Uprobes::new(kernel),
            kernel: *kernel,
        })
    }

    /// Watches a process, or tells the probe where its interpreter is.
    ///
    /// What is mapped now counts: a master that loaded its modules anew has another address, which
    /// its children will inherit. Without an interpreter, a row that is there stays as it is.
    ///
    /// # Errors
    ///
    /// When the map is full.
    pub fn watch(&mut self, pid: u32, interpreter: Option<Interpreter>) -> io::Result<()> {
        let known = self.processes.get(&pid, 0).ok();
        let mut row = known.unwrap_or_default();
        if let Some(interpreter) = interpreter {
            row.interpreters = interpreter.interpreters;
            row.current = interpreter.current.unwrap_or(0);
            row.layout = interpreter.layout;
        } else if known.is_some() {
            return Ok(());
        }
        self.processes.insert(pid, row, 0).map_err(io::Error::other)
    }

    /// Index of a layout that an interpreter has of itself; `None` where there is no more room.
    pub fn layout(&mut self, raw: &RawLayout) -> Option<u32> {
        let known = self.rows.iter().position(|row| row == raw);
        let index = u32::try_from(known.unwrap_or(self.rows.len())).ok()?;
        if known.is_none() {
            // The map's own bound is the limit.
            self.layouts.set(index, raw, 0).ok()?;
            self.rows.push(*raw);
        }
        Some(index)
    }

    /// Stops watching a process.
    pub fn unwatch(&mut self, pid: u32) {
        // Gone already is as good.
        let _ = self.processes.remove(&pid);
    }

    /// Every process that has a row.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.processes.keys().filter_map(Result::ok).collect()
    }

    /// Answers an exec record: is this program an httpd?
    ///
    /// # Errors
    ///
    /// When the map cannot be written.
    pub fn judge_program(&mut self, file: FileKey, httpd: bool) -> io::Result<()> {
        let key = RawFile {
            inode: file.inode,
            device: file.device,
            generation: file.generation,
        };
        let verdict = if httpd { PROGRAM_HTTPD } else { PROGRAM_OTHER };
        self.programs
            .insert(key, verdict, 0)
            .map_err(io::Error::other)
    }

    /// Every miss's label and its total since the start.
    #[must_use]
    pub fn misses(&self) -> Vec<(&'static str, u64)> {
        Miss::ALL
            .iter()
            .map(|miss| (miss.label(), total(&self.misses, *miss as u32)))
            .collect()
    }

    /// Totals since the start, indexed by `probe_abi::miss::Tally`.
    #[must_use]
    pub fn tallies(&self) -> [u64; TALLIES as usize] {
        let mut totals = [0; TALLIES as usize];
        for (index, slot) in (0_u32..).zip(&mut totals) {
            *slot = total(&self.tallies, index);
        }
        totals
    }

    /// Run time of each loaded program in seconds. The kernel counts it only while
    /// `kernel.bpf_stats_enabled` is 1.
    #[must_use]
    pub fn run_times(&self) -> Vec<(String, f64)> {
        self.ebpf
            .programs()
            .filter_map(|(name, program)| {
                let info = program.info().ok()?;
                Some((name.to_owned(), info.run_time().as_secs_f64()))
            })
            .collect()
    }

    /// How many instructions the verifier looked at, per loaded program; `None` below 5.16.
    #[must_use]
    pub fn verified_instructions(&self) -> Vec<(String, Option<u32>)> {
        self.ebpf
            .programs()
            .filter_map(|(name, program)| {
                let info = program.info().ok()?;
                Some((name.to_owned(), info.verified_instruction_count()))
            })
            .collect()
    }

    /// Reads every disposition of every watched process.
    ///
    /// # Errors
    ///
    /// When the kernel has no task iterator.
    pub fn inventory(&mut self) -> Result<Vec<(ProcessKey, Box<Dispositions>)>, String> {
        let program: &mut Iter = self
            .ebpf
            .program_mut("inventory")
            .ok_or("the object has no program inventory")?
            .try_into()
            .map_err(|error: aya::programs::ProgramError| error.to_string())?;
        let fail = |error: &dyn std::error::Error| format!("failed to read the inventory: {error}");
        let link = program.attach().map_err(|error| fail(&error))?;
        let link = program.take_link(link).map_err(|error| fail(&error))?;
        let mut bytes = Vec::new();
        link.into_file()
            .map_err(|error| fail(&error))?
            .read_to_end(&mut bytes)
            .map_err(|error| fail(&error))?;
        Ok(bytes
            .chunks_exact(size_of::<RawInventory>())
            .filter_map(|row| RawInventory::read_from_bytes(row).ok())
            .map(|row| {
                let key = ProcessKey::from_kernel(row.tgid, row.start);
                (key, dispositions(&row, &self.kernel))
            })
            .collect())
    }
}

/// Sums a per-processor counter; zero where it cannot be read.
fn total(map: &PerCpuArray<MapData, u64>, index: u32) -> u64 {
    map.get(&index, 0).map_or(0, |values| values.iter().sum())
}

/// Reads an inventory row at this kernel's offsets.
fn dispositions(row: &RawInventory, kernel: &RawKernel) -> Box<Dispositions> {
    let table = row.actions.as_flattened();
    let word = |signal: usize, offset: u32| {
        let at = signal * kernel.action_size as usize + offset as usize;
        table
            .get(at..at + 8)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_ne_bytes)
    };
    let mut all = crate::process::unknown_dispositions();
    for (signal, slot) in (0..SIGNALS).zip(all.iter_mut()) {
        *slot = Disposition {
            action: Action::from_address(word(signal, kernel.action_handler)),
            flags: word(signal, kernel.action_flags),
            mask: word(signal, kernel.action_mask),
        };
    }
    all
}
