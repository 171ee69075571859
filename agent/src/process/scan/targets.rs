//! Where uprobes go: a function, in a file that is kept open until its probe is there.

use std::{fs::File, os::fd::AsRawFd as _, path::PathBuf, sync::Arc};

use crate::process::{
    intercept_file::{Intercept, NoIntercept},
    proc::FileId,
    python_file::{PythonFile, Start},
};

/// Where to put the uprobe that sees an interpreter start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UprobeTarget {
    /// A path that led to the file, for people: by now it may lead to another one.
    pub path: PathBuf,
    /// The very file that was read.
    pub open: Open,
    /// The file: one uprobe serves every process that maps it.
    pub file: FileId,
    /// The function to probe.
    pub start: Start,
    /// The interpreter that it starts.
    pub python: PythonFile,
}

/// Where to put the uprobe that sees a call of mod_wsgi's signal intercept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterceptTarget {
    /// A path that led to the file, for people: by now it may lead to another one.
    pub path: PathBuf,
    /// The very file that was read.
    pub open: Open,
    /// The file: one uprobe serves every process that maps it.
    pub file: FileId,
    /// The function to probe, or why it is not known.
    pub found: Result<Intercept, NoIntercept>,
}

/// Where to put the uprobe that sees a server begin to read its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadTarget {
    /// The very program that was read.
    pub open: Open,
    /// The file, as `stat` has it: one uprobe serves every process that runs it.
    pub file: FileId,
    /// Offset of the function in the file.
    pub offset: u64,
}

/// A file that is kept open until its uprobe is there.
///
/// Whoever maps a file may put another one in its place, in the file system and in `map_files`, and
/// so lead a breakpoint into the middle of an instruction of any file on the host.
#[derive(Clone, Debug)]
pub struct Open(Arc<File>);

impl Open {
    pub(in crate::process) fn new(file: File) -> Self {
        Self(Arc::new(file))
    }

    /// A path that leads to this file and no other.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Open {}
