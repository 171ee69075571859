//! What is open outlives the agent, where it has a state directory.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, Result};
use tracing::info;

use super::{Agent, clock};
use crate::{
    engine::Step,
    event::{Event, Resumed, What},
    process::ProcessKey,
    store::disk::{Disk, Write},
};

/// Causes that are brought to the disk at once.
const BATCH: usize = 256;

/// The disk, and what it is to be told.
#[derive(Default)]
pub(super) struct Memory {
    disk: Option<Disk>,
    /// What was there before, until the engine was told.
    before: Option<Box<Resumed>>,
    /// Fingerprints of what changed.
    changed: BTreeSet<String>,
}

impl Memory {
    /// Notes what changed by an event.
    pub(super) fn note(&mut self, step: &Step) {
        if self.disk.is_some() {
            let changed = step.news.iter().map(|news| &news.finding.fingerprint);
            self.changed.extend(changed.cloned());
        }
    }
}

impl Agent {
    /// Goes on where an agent before this one ended, and remembers for the next one.
    ///
    /// # Errors
    ///
    /// Where the state directory cannot be used.
    pub fn remember(&mut self, directory: &Path) -> Result<()> {
        // The kernel's own of this host, in every namespace.
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .context("failed to read this boot's id; is /proc mounted?")?;
        let (disk, before) = Disk::open(directory, boot.trim())?;
        self.memory = Memory {
            disk: Some(disk),
            before: Some(Box::new(Resumed {
                same_boot: before.same_boot,
                open: before.open,
            })),
            changed: BTreeSet::new(),
        };
        Ok(())
    }

    /// Tells the engine what was open before: its servers are known, and nothing was heard of them.
    pub(super) fn resume_before(&mut self) {
        let Some(before) = self.memory.before.take() else {
            return;
        };
        if before.open.is_empty() {
            return;
        }
        info!(
            findings = before.open.len(),
            "going on with what was open before"
        );
        self.whole(Event {
            when: clock::now(),
            process: ProcessKey::NONE,
            tid: 0,
            what: What::Resumed(before),
        });
    }

    /// Leaves what changed for the disk, as far as that takes it now.
    pub(super) fn save(&mut self) {
        while !self.memory.changed.is_empty() {
            let changes = self.changes(BATCH);
            let Some(disk) = &self.memory.disk else {
                return;
            };
            if let Err(changes) = disk.write(changes) {
                let names = changes.into_iter().map(|(fingerprint, _)| fingerprint);
                self.memory.changed.extend(names);
                return;
            }
        }
    }

    /// Writes out what is left.
    pub(super) fn save_all(&mut self) {
        let last = self.changes(usize::MAX);
        if let Some(disk) = self.memory.disk.take() {
            disk.close(last);
        }
    }

    fn changes(&mut self, most: usize) -> Vec<Write> {
        let mut changes = Vec::new();
        while changes.len() < most
            && let Some(fingerprint) = self.memory.changed.pop_first()
        {
            let kept = self.engine.kept(&fingerprint);
            // What has no JSON is none of ours.
            let body = kept.and_then(|kept| serde_json::to_string(&kept).ok());
            changes.push((fingerprint, body));
        }
        changes
    }
}
