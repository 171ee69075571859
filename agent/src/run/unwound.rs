//! The native stack of a call, unwound while its record lies in the ring.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant as Moment},
};

use crate::{
    event::{Action, NativeStack, Reason, StackCopy},
    native::{Binaries, Space, Want, failed},
    process::ProcessKey,
};

/// How long what was read of a process's mappings stands for what is mapped now, where nothing
/// says otherwise: a library may be unloaded, and another one loaded at its address.
const AGE: Duration = Duration::from_secs(10);

/// Where code lies in the processes that register, and the files it comes from.
pub(super) struct Unwound {
    proc_root: PathBuf,
    binaries: Binaries,
    spaces: HashMap<ProcessKey, (Space, Moment)>,
}

impl Unwound {
    pub(super) fn new(proc_root: &Path) -> Self {
        Self {
            proc_root: proc_root.to_owned(),
            binaries: Binaries::default(),
            spaces: HashMap::new(),
        }
    }

    /// What was just read of a process.
    pub(super) fn learn(&mut self, key: ProcessKey, space: Space, now: Moment) {
        self.spaces.insert(key, (space, now));
    }

    /// Whether a process's mappings are known well enough.
    pub(super) fn knows(&self, key: ProcessKey, now: Moment) -> bool {
        let read = self.spaces.get(&key).map(|(_, read)| *read);
        read.is_some_and(|read| now.saturating_duration_since(read) < AGE)
    }

    /// The process is gone, or runs another program.
    pub(super) fn forget(&mut self, key: ProcessKey) {
        self.spaces.remove(&key);
    }

    /// Unwinds, and says whether it ended at code that must have been mapped since the last look.
    /// Files that were not read yet are read where `may_read` says so.
    pub(super) fn unwind(
        &mut self,
        key: ProcessKey,
        handlers: [Action; 2],
        copy: StackCopy<'_>,
        may_read: bool,
    ) -> (NativeStack, bool) {
        let Some((space, _)) = self.spaces.get_mut(&key) else {
            return (failed(Reason::MapsUnknown), true);
        };
        let [old, new] = handlers.map(|action| match action {
            Action::Handler(address) => Some(address),
            _ => None,
        });
        let want = Want {
            copy,
            old,
            new,
            may_read,
        };
        self.binaries.unwind(&self.proc_root, key.pid, space, &want)
    }
    /// The functions that begin at these addresses of a process whose mappings are known.
    pub(super) fn functions(&mut self, key: ProcessKey, addresses: &[u64]) -> Vec<(u64, Arc<str>)> {
        let Some((space, _)) = self.spaces.get_mut(&key) else {
            return Vec::new();
        };
        self.binaries
            .functions(&self.proc_root, key.pid, space, addresses)
    }
}
