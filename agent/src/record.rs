//! `sigblame record`: an agent that keeps what it hears, and does nothing else.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, IsTerminal as _},
    os::{
        fd::AsFd as _,
        unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    },
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use rustix::fs::OFlags;

use crate::cli::RecordArgs;

/// For its owner only: it names files and functions of applications.
const MODE: u32 = 0o600;

/// Makes the file that the arguments name.
///
/// # Errors
///
/// Where it is there already, or cannot be made.
pub fn create(args: &RecordArgs) -> Result<File> {
    let path = &args.file;
    if path == Path::new("-") {
        return standard_output();
    }
    let mut options = OpenOptions::new();
    options.write(true).mode(MODE);
    if args.force {
        // Whoever may write to a public folder could lead us elsewhere by a link.
        let nofollow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        options.create(true).truncate(true).custom_flags(nofollow);
    } else {
        options.create_new(true);
    }
    let file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
            "failed to make the capture {}: it is there already; name another, or overwrite it \
             with --force",
            path.display()
        ),
        other => other.with_context(|| format!("failed to make the capture {}", path.display()))?,
    };
    if file.metadata().is_ok_and(|known| known.is_file()) {
        file.set_permissions(Permissions::from_mode(MODE))
            .with_context(|| format!("failed to keep {} for its owner only", path.display()))?;
    }
    Ok(file)
}

fn standard_output() -> Result<File> {
    let out = io::stdout();
    if out.is_terminal() {
        bail!("failed to record to a terminal: name a file, or pipe the output into a program");
    }
    let copy = out.as_fd().try_clone_to_owned();
    Ok(File::from(
        copy.context("failed to write to standard output")?,
    ))
}
