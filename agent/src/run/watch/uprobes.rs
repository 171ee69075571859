//! Puts uprobes into the files that looks have found.

use tracing::{info, warn};

use super::{Watch, named};
use crate::{
    escape,
    process::scan::{ReloadTarget, UprobeTarget},
};

impl Watch {
    /// Hears an interpreter start.
    pub(super) fn probe(&mut self, target: &UprobeTarget) {
        let python = &target.python;
        let path = target.path.to_string_lossy();
        let known = self.interpreter(target.file, &path, python);
        let file = (target.file.device, target.file.inode);
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
        let file = (target.file.device, target.file.inode);
        let attached = self
            .controls
            .attach_reload(file, &target.open.path(), target.offset);
        match attached {
            Ok(true) => info!("watching a server program's reading of its configuration"),
            Ok(false) => {}
            Err(reason) => warn!(reason, "when a server reads its configuration is not heard"),
        }
    }
}
