//! Uprobes: programs that wait for a function of a file, which is found while the agent runs.
//!
//! Each file is probed once, for every process that maps it, and stays probed until it is let go: a
//! uprobe holds the file's inode, so that no other file gets its number meanwhile. Paths lead to
//! the very file that was read (`process::scan::Open`), and offsets into its code: an application
//! chooses what it maps, and must not lead a breakpoint elsewhere.

use std::{collections::HashMap, path::Path};

use aya::{
    Ebpf,
    programs::{
        UProbe,
        uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope},
    },
};
use probe_abi::{
    kernel::RawKernel,
    map::STARTS_MAX,
    process::{RawInterpreter, RawStart, START_PAGE},
};

use super::{
    hooks::{INTERCEPT, RELOAD},
    maps::{Controls, Interpreter},
};
use crate::process::python_file::Start;

/// Files whose intercept is probed at a time: who maps more of them than any host has wants the
/// agent to run out of file descriptors.
pub const INTERCEPTS_MAX: usize = 256;
/// Programs whose reading of a configuration is probed at a time.
pub const RELOADS_MAX: usize = 256;

/// A file: device and inode, as `/proc` or `stat` has them. One file may have several of these, each of
/// which is probed; the programs tell each call once (from Linux 5.15 on).
pub type File = (u32, u64);

/// The uprobes by program and file.
pub(super) struct Uprobes {
    interpreters: Probed,
    intercepts: Probed,
    reloads: Probed,
}

impl Uprobes {
    pub(super) fn new(kernel: &RawKernel) -> Self {
        let has_cookie = kernel.has_cookie != 0;
        Self {
            // Which fills a row with the same however often it runs.
            interpreters: Probed::new("interpreter", STARTS_MAX as usize, false),
            intercepts: Probed::new(INTERCEPT, INTERCEPTS_MAX, has_cookie),
            reloads: Probed::new(RELOAD, RELOADS_MAX, has_cookie),
        }
    }
}

/// Where one program is attached.
struct Probed {
    program: &'static str,
    most: usize,
    has_cookie: bool,
    /// How many were attached so far.
    attached: u64,
    links: HashMap<File, Attached>,
}

/// A uprobe. A link that is dropped is detached.
struct Attached {
    offset: u64,
    _link: UProbeLink,
    /// The file was in use when that was looked at last.
    used: bool,
}

impl Probed {
    fn new(program: &'static str, most: usize, has_cookie: bool) -> Self {
        Self {
            program,
            most,
            has_cookie,
            attached: 0,
            links: HashMap::new(),
        }
    }

    /// Whether the file is probed there. A file that was written anew in place may have its
    /// function elsewhere.
    fn has(&self, file: File, offset: u64) -> bool {
        self.links.get(&file).is_some_and(|it| it.offset == offset)
    }

    /// Returns whether this call did it.
    fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        file: File,
        path: &Path,
        offset: u64,
    ) -> Result<bool, String> {
        if self.has(file, offset) {
            return Ok(false);
        }
        let shown = path.display();
        self.links.remove(&file);
        if self.links.len() >= self.most {
            let most = self.most;
            return Err(format!(
                "failed to probe {shown}: {most} files are, and no more may be"
            ));
        }
        let name = self.program;
        let program: &mut UProbe = ebpf
            .program_mut(name)
            .ok_or_else(|| format!("the object has no program {name}"))?
            .try_into()
            .map_err(|error: aya::programs::ProgramError| error.to_string())?;
        // By which the probe tells several attachments to one file apart.
        self.attached += 1;
        let point = UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(offset),
            cookie: self.has_cookie.then_some(self.attached),
        };
        let link = program
            .attach(point, path, UProbeScope::AllProcesses)
            .and_then(|id| program.take_link(id))
            .map_err(|error| format!("failed to probe {shown}: {error}"))?;
        let attached = Attached {
            offset,
            _link: link,
            used: true,
        };
        self.links.insert(file, attached);
        Ok(true)
    }

    /// Lets go of the files that were not in use twice in a row: a server that restarts unloads its
    /// modules for a moment.
    fn retain(&mut self, is_used: impl Fn(File) -> bool) -> usize {
        let before = self.links.len();
        self.links.retain(|file, attached| {
            let was_used = std::mem::replace(&mut attached.used, is_used(*file));
            was_used || attached.used
        });
        before - self.links.len()
    }
}

impl Controls {
    /// Probes the interpreter start of a file, once per file. Returns whether this call did it.
    ///
    /// `interpreter` has the file's own addresses, too.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, the kernel refuses the probe, or another file's function
    /// cannot be told from this one.
    pub fn attach(
        &mut self,
        file: File,
        path: &Path,
        start: &Start,
        interpreter: &Interpreter,
    ) -> Result<bool, String> {
        if self.uprobes.interpreters.has(file, start.offset) {
            return Ok(false);
        }
        let key = RawStart {
            offset: start.address % START_PAGE,
            code: start.code,
        };
        let distance = |address: u64| address.wrapping_sub(start.address);
        let row = RawInterpreter {
            interpreters: distance(interpreter.interpreters),
            current: interpreter.current.map_or(0, distance),
            layout: interpreter.layout,
            reserved: 0,
        };
        if self.starts.get(&key, 0).is_ok_and(|known| known != row) {
            return Err(format!(
                "{} starts its interpreter in code that another one has, too, and is otherwise \
                 unlike it",
                path.display()
            ));
        }
        self.starts
            .insert(key, row, 0)
            .map_err(|error| format!("failed to note {}: {error}", path.display()))?;
        let probed = &mut self.uprobes.interpreters;
        probed.attach(&mut self.ebpf, file, path, start.offset)
    }

    /// Probes mod_wsgi's intercept in a file, once per file. Returns whether this call did it.
    ///
    /// `offset` is the function's in the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, the kernel refuses the probe, or [`INTERCEPTS_MAX`] files
    /// are probed already.
    pub fn attach_intercept(
        &mut self,
        file: File,
        path: &Path,
        offset: u64,
    ) -> Result<bool, String> {
        let probed = &mut self.uprobes.intercepts;
        probed.attach(&mut self.ebpf, file, path, offset)
    }

    /// Lets go of the intercepts of files that were not in use at two calls of this; returns how
    /// many. The file of a mod_wsgi that was replaced is free then.
    pub fn retain_intercepts(&mut self, is_used: impl Fn(File) -> bool) -> usize {
        self.uprobes.intercepts.retain(is_used)
    }

    /// How many files have their intercept probed.
    #[must_use]
    pub fn intercepts(&self) -> usize {
        self.uprobes.intercepts.links.len()
    }

    /// Probes a server's reading of its configuration, once per program file. Returns whether this
    /// call did it.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, the kernel refuses the probe, or [`RELOADS_MAX`] files are
    /// probed already.
    pub fn attach_reload(&mut self, file: File, path: &Path, offset: u64) -> Result<bool, String> {
        let probed = &mut self.uprobes.reloads;
        probed.attach(&mut self.ebpf, file, path, offset)
    }

    /// The same for programs.
    pub fn retain_reloads(&mut self, is_used: impl Fn(File) -> bool) -> usize {
        self.uprobes.reloads.retain(is_used)
    }
}
