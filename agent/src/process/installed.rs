//! Servers that do not run yet, and interpreters and mod_wsgis that no process maps yet: the programs
//! and shared libraries where distributions put them.
//!
//! The first server that starts on a host would otherwise be seen only once a look at it had
//! shown what it runs and which libpython it maps, and its first registration may come before that.
//! One that goes into the background may by then have left the process that was to be looked at.

use std::{
    fs::{self, File},
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use crate::event::FileKey;

use super::{
    files::{self, FileCache},
    proc::FileId,
    scan::{InterceptTarget, Open, ReloadTarget, UprobeTarget},
};

/// Where distributions and `make install` put `libpython3.*`. A file elsewhere is found when a
/// process maps it.
const DIRECTORIES: [&str; 7] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "usr/local/lib64",
    "usr/local/lib",
    "opt/python/lib",
];

/// Where distributions and `make install` put httpd, and under which names.
const PROGRAM_DIRECTORIES: [&str; 5] = [
    "usr/sbin",
    "usr/local/sbin",
    "usr/bin",
    "usr/local/bin",
    "usr/local/apache2/bin",
];
const PROGRAMS: [&str; 5] = [
    "apache2",
    "httpd",
    "httpd-event",
    "httpd-worker",
    "httpd-prefork",
];

/// Where distributions and `make install` put httpd's modules.
const MODULE_DIRECTORIES: [&str; 6] = [
    "usr/lib/apache2/modules",
    "usr/lib64/httpd/modules",
    "usr/lib/httpd/modules",
    "usr/lib64/apache2",
    "usr/lib/apache2",
    "usr/local/apache2/modules",
];

/// The root of process 1, which is the host's even in a container that shares its process ids;
/// our own where that cannot be entered.
fn root(proc_root: &Path) -> PathBuf {
    let host = proc_root.join("1/root");
    if fs::read_dir(&host).is_ok() {
        host
    } else {
        PathBuf::from("/")
    }
}

/// The servers, as the kernel names their files, and where they begin to read their configuration.
pub(super) fn httpds(
    proc_root: &Path,
    files: &mut FileCache,
) -> Vec<(FileKey, Option<ReloadTarget>)> {
    let root = root(proc_root);
    PROGRAM_DIRECTORIES
        .iter()
        .flat_map(|directory| PROGRAMS.map(|name| root.join(directory).join(name)))
        .filter_map(|path| files::open(&path).ok())
        .filter_map(|file| {
            let is_httpd = files.facts(&file).is_ok_and(|facts| facts.httpd);
            let key = is_httpd.then(|| key(&file)).flatten()?;
            Some((key, reload(&file, files)))
        })
        .collect()
}

/// Where an open program begins to read httpd's configuration.
pub(super) fn reload(program: &File, files: &mut FileCache) -> Option<ReloadTarget> {
    let offset = files.facts(program).ok()?.read_config?;
    Some(ReloadTarget {
        open: Open::new(program.try_clone().ok()?),
        file: id(program)?,
        offset,
    })
}

fn key(file: &File) -> Option<FileKey> {
    let metadata = file.metadata().ok()?;
    Some(FileKey {
        inode: metadata.ino(),
        device: device(&metadata),
        generation: generation(file),
    })
}

/// The kernel's own encoding (`MKDEV`, include/linux/kdev_t.h).
fn device(metadata: &fs::Metadata) -> u32 {
    libc::major(metadata.dev()) << 20 | libc::minor(metadata.dev())
}

/// The inode's generation; 0 where the file system has none.
fn generation(file: &File) -> u32 {
    let mut generation = [0_u32; 2];
    // SAFETY: FS_IOC_GETVERSION writes an int, or by its number a long, to a buffer that has room
    // for either (include/uapi/linux/fs.h); the descriptor is open.
    let result = unsafe {
        libc::ioctl(
            file.as_raw_fd(),
            libc::FS_IOC_GETVERSION,
            generation.as_mut_ptr(),
        )
    };
    if result == 0 { generation[0] } else { 0 }
}

/// The interpreters.
pub(super) fn pythons(proc_root: &Path, files: &mut FileCache) -> Vec<UprobeTarget> {
    let root = root(proc_root);
    DIRECTORIES
        .iter()
        .filter_map(|directory| fs::read_dir(root.join(directory)).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_candidate(path))
        .filter_map(|path| target(path, files))
        .collect()
}

/// The name only chooses which files are read; what they are, their symbols tell.
fn is_candidate(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with("libpython3") && name.contains(".so"))
}

/// The modules of mod_wsgi.
pub(super) fn mod_wsgis(proc_root: &Path, files: &mut FileCache) -> Vec<InterceptTarget> {
    let root = root(proc_root);
    let is_module = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.contains("wsgi"))
    };
    MODULE_DIRECTORIES
        .iter()
        .filter_map(|directory| fs::read_dir(root.join(directory)).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_module)
        .filter_map(|path| {
            let file = files::open(&path).ok()?;
            intercept(path, file, files)
        })
        .collect()
}

/// Where the intercept of an open mod_wsgi is.
pub(super) fn intercept(
    path: PathBuf,
    file: File,
    files: &mut FileCache,
) -> Option<InterceptTarget> {
    let found = files.facts(&file).ok()?.intercept.clone()?;
    Some(InterceptTarget {
        path,
        file: id(&file)?,
        open: Open::new(file),
        found,
    })
}

fn id(file: &File) -> Option<FileId> {
    let metadata = file.metadata().ok()?;
    Some(FileId {
        device: device(&metadata),
        inode: metadata.ino(),
    })
}

fn target(path: PathBuf, files: &mut FileCache) -> Option<UprobeTarget> {
    let file = files::open(&path).ok()?;
    let python = files.facts(&file).ok()?.python.clone()?;
    Some(UprobeTarget {
        file: id(&file)?,
        path,
        open: Open::new(file),
        start: python.start?,
        python,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name is a first sieve: scripts and static archives are not opened.
    #[test]
    fn only_shared_libraries_are_candidates() {
        assert!(is_candidate(Path::new("/usr/lib/libpython3.11.so.1.0")));
        assert!(!is_candidate(Path::new("/usr/lib/libpython3.11.a")));
        assert!(!is_candidate(Path::new("/usr/lib/libpq.so.5")));
    }
}
