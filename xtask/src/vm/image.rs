//! The first file system of a virtual machine: a Debian's root without what nobody reads, and over
//! it the agent, the application and the program that tries them.
//!
//! All of it is in memory: the kernels' drivers for disks are modules.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use sigblame_tests::{package_dir, roots::Root, scratch::Scratch};

/// What is left out of the root: devices, documentation, translations, lists of packages.
const LEFT_OUT: [&str; 9] = [
    "dev",
    "proc",
    "sys",
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/zoneinfo",
    "var/cache",
    "var/lib/apt",
];

/// Files of `tests/apps/vm`, and what they are in the guest.
const FILES: [(&str, &str, u32); 3] = [
    ("init.py", "init", 0o755),
    ("app.wsgi", "srv/vm/app.wsgi", 0o644),
    ("httpd.conf", "srv/vm/httpd.conf", 0o644),
];
const AGENT: &str = "usr/local/bin/sigblame";

/// Makes the archive in `scratch`.
pub(super) fn make(scratch: &Scratch, root: &Root, agent: &Path) -> Result<PathBuf> {
    let over = scratch.make_dir("over")?;
    let apps = package_dir().join("apps/vm");
    for (from, to, mode) in FILES {
        place(&apps.join(from), &over.join(to), mode)?;
    }
    place(agent, &over.join(AGENT), 0o755)?;
    for dir in ["dev", "proc", "sys", "usr/local"] {
        let dir = over.join(dir);
        fs::create_dir_all(&dir).with_context(|| format!("failed to make {}", dir.display()))?;
    }

    let path = scratch.path().join("initramfs");
    let mut archive =
        File::create(&path).with_context(|| format!("failed to make {}", path.display()))?;
    // One after the other is one archive to the kernel, see its documentation of early userspace.
    pack(root.path(), &LEFT_OUT, &mut archive)?;
    pack(&over, &[], &mut archive)?;
    Ok(path)
}

fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let failed = || format!("failed to copy {} to {}", from.display(), to.display());
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(failed)?;
    }
    fs::copy(from, to).with_context(failed)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).with_context(failed)
}

/// Appends a directory to an archive, uncompressed: unpacking costs an emulated processor more than
/// copying does.
fn pack(dir: &Path, left_out: &[&str], archive: &mut File) -> Result<()> {
    let mut names = Vec::new();
    list(dir, Path::new(""), left_out, &mut names)?;
    let out = archive.try_clone().context("failed to share the archive")?;
    let mut cpio = Command::new("cpio")
        .args(["--null", "--create", "--format=newc", "--quiet"])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(out)
        .spawn()
        .context("failed to start cpio")?;
    let mut input = cpio.stdin.take().context("failed to speak to cpio")?;
    let written = names.iter().try_for_each(|name| {
        input.write_all(name.as_bytes())?;
        input.write_all(&[0])
    });
    drop(input);
    let status = cpio.wait().context("failed to wait for cpio")?;
    if !status.success() {
        bail!("failed to pack {}: cpio ended with {status}", dir.display());
    }
    written.context("failed to name the files to cpio")
}

/// Every path below `dir`, directories before what is in them.
fn list(dir: &Path, below: &Path, left_out: &[&str], names: &mut Vec<OsString>) -> Result<()> {
    let folder = dir.join(below);
    let failed = || format!("failed to list {}", folder.display());
    for entry in fs::read_dir(&folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let path = below.join(entry.file_name());
        if left_out.iter().any(|name| path == Path::new(name)) {
            continue;
        }
        let is_dir = entry.file_type().with_context(failed)?.is_dir();
        names.push(path.clone().into_os_string());
        if is_dir {
            list(dir, &path, left_out, names)?;
        }
    }
    Ok(())
}
