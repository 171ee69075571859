//! Puts uprobes into the files that looks have found.

use std::collections::HashSet;

use tracing::{debug, info, warn};

use super::{Watch, named};
use crate::{
    escape,
    probe::uprobes::File,
    process::{
        ModuleKind, Modules, ProcessKey,
        proc::FileId,
        scan::{InterceptTarget, Look, ReloadTarget, UprobeTarget},
    },
};

/// Processes whose mod_wsgi cannot be probed that are remembered: masters are few.
const DEAF_MAX: usize = 4_096;

impl Watch {
    /// Hears an interpreter start.
    pub(super) fn probe(&mut self, target: &UprobeTarget) {
        let python = &target.python;
        let path = target.path.to_string_lossy();
        let known = self.interpreter(target.file, &path, python);
        let file = key(target.file);
        match self
            .controls
            .attach(file, &target.open.path(), &target.start, &known)
        {
            Ok(true) => {
                info!(
                    python = named(python.version),
                    "watching an interpreter's start"
                );
            }
            Ok(false) => {}
            Err(reason) => {
                let file = escape::text(&path);
                warn!(%file, reason, "an interpreter's start is not watched");
            }
        }
    }

    /// Hears a server begin to read its configuration.
    pub(super) fn hear_reloads(&mut self, target: Option<ReloadTarget>) {
        let Some(target) = target else { return };
        let file = key(target.file);
        let attached = self
            .controls
            .attach_reload(file, &target.open.path(), target.offset);
        match attached {
            Ok(true) => info!("watching a server program's reading of its configuration"),
            Ok(false) => {}
            Err(reason) => warn!(reason, "when a server reads its configuration is not heard"),
        }
    }

    /// Hears the calls of the intercept of every mod_wsgi that a process maps.
    pub(super) fn hear_attempts(&mut self, key: ProcessKey, targets: &[InterceptTarget]) {
        let failed: Vec<String> = targets
            .iter()
            .filter_map(|target| {
                let reason = self.hear_attempts_of(target).err()?;
                Some(format!("{}: {reason}", target.path.display()))
            })
            .collect();
        // Only what this process maps now counts: its server may have got another mod_wsgi.
        let was_deaf = self.deaf.remove(&key).is_some();
        if failed.is_empty() {
            self.deaf_changed |= was_deaf;
            return;
        }
        self.deaf_changed |= !was_deaf;
        if self.deaf.len() < DEAF_MAX {
            self.deaf.insert(key, failed);
        }
    }

    fn hear_attempts_of(&mut self, target: &InterceptTarget) -> Result<(), String> {
        let found = target.found.as_ref().map_err(ToString::to_string)?;
        let file = key(target.file);
        let path = target.open.path();
        if self.controls.attach_intercept(file, &path, found.offset)? {
            let path = target.path.to_string_lossy();
            let ways: Vec<String> = found.ways.iter().map(ToString::to_string).collect();
            let by = ways.join(", ");
            info!(file = %escape::text(&path), by, "watching mod_wsgi's signal intercept");
        }
        Ok(())
    }

    /// Hears the calls of the intercept of every mod_wsgi that is installed: the first process that
    /// maps it may call it before it was looked at. Those that cannot be probed are spoken of when
    /// somebody maps them.
    pub(super) fn hear_installed(&mut self) {
        let targets = self.scanner.installed_mod_wsgis();
        self.installed = targets.iter().map(|target| target.file).collect();
        for target in &targets {
            if let Err(reason) = self.hear_attempts_of(target) {
                debug!(reason, "an installed mod_wsgi cannot be probed");
            }
        }
    }

    /// Hears the calls of the intercept of the mod_wsgi that a server is about to map: another file
    /// may have taken the place of the one that it had.
    pub(in crate::run) fn hear_next(&mut self, key: ProcessKey, modules: &Modules) {
        let modules = modules.0.iter();
        for module in modules.filter(|module| module.kind == ModuleKind::ModWsgi) {
            // One that was replaced is shown as such.
            let path = module.path.trim_end_matches(" (deleted)");
            if let Some(target) = self.scanner.mod_wsgi_at(key.pid, path)
                && let Err(reason) = self.hear_attempts_of(&target)
            {
                debug!(reason, "the next mod_wsgi of a server cannot be probed");
            }
        }
    }

    /// Why a process's blocked attempts are not heard; `None` where they are.
    pub(in crate::run) fn deaf(&self, key: ProcessKey) -> Option<&[String]> {
        self.deaf.get(&key).map(Vec::as_slice)
    }

    /// How many files have their intercept probed, and why others have not; `None` where nothing
    /// has changed since the last time.
    pub(in crate::run) fn intercepts(&mut self) -> Option<(usize, Vec<String>)> {
        let probed = self.controls.intercepts();
        if !std::mem::take(&mut self.deaf_changed) && probed == self.intercepts_before {
            return None;
        }
        self.intercepts_before = probed;
        let mut reasons: Vec<String> = self.deaf.values().flatten().cloned().collect();
        reasons.sort();
        reasons.dedup();
        Some((probed, reasons))
    }

    /// Tells the probe which installed programs are httpds, and hears them read their configuration.
    pub(super) fn probe_installed_httpds(&mut self) -> Vec<File> {
        let mut files = Vec::new();
        for (program, reload) in self.scanner.installed_httpds() {
            files.extend(reload.as_ref().map(|target| key(target.file)));
            self.hear_reloads(reload);
            if let Err(reason) = self.controls.judge_program(program, true) {
                warn!(%reason, "an installed httpd is not watched before it runs");
            }
        }
        files
    }

    /// Lets go of files that no process maps or runs any more, and that are not installed: of a
    /// mod_wsgi or an httpd that was replaced.
    pub(super) fn let_go(&mut self, looks: &[Look], installed: &[File]) {
        let intercepts = looks.iter().flat_map(|look| &look.intercepts);
        let mut intercepts: HashSet<File> = intercepts.map(|target| key(target.file)).collect();
        intercepts.extend(self.installed.iter().copied().map(key));
        let reloads = looks.iter().filter_map(|look| look.reload.as_ref());
        let mut reloads: HashSet<File> = reloads.map(|target| key(target.file)).collect();
        reloads.extend(installed);
        let controls = &mut self.controls;
        controls.retain_intercepts(|file| intercepts.contains(&file));
        controls.retain_reloads(|file| reloads.contains(&file));
    }
}

/// How the probe's controls name a file.
fn key(file: FileId) -> File {
    (file.device, file.inode)
}
