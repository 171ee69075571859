//! Interpreters that no process maps yet: the shared libraries where the dynamic loader looks.
//!
//! The first server that starts on a host would otherwise be seen only once a look at it had
//! shown which libpython it maps, and its first registration may come before that.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    files::{self, FileCache},
    proc::FileId,
    python_file::UprobeTarget,
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

/// The interpreters below the root of process 1, which is the host's even in a container that
/// shares its process ids; below our own where that cannot be entered.
pub(super) fn pythons(proc_root: &Path, files: &mut FileCache) -> Vec<UprobeTarget> {
    let host = proc_root.join("1/root");
    let root = if fs::read_dir(&host).is_ok() {
        host
    } else {
        PathBuf::from("/")
    };
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

fn target(path: PathBuf, files: &mut FileCache) -> Option<UprobeTarget> {
    let file = files::open(&path).ok()?;
    let metadata = file.metadata().ok()?;
    let python = files.facts(&file).ok()?.python?;
    Some(UprobeTarget {
        file: FileId {
            device: libc::major(metadata.dev()) << 20 | libc::minor(metadata.dev()),
            inode: metadata.ino(),
        },
        path,
        offset: python.initialise_offset?,
        distance: python.runtime.wrapping_sub(python.initialise?),
        version: python.version,
        free_threaded: python.free_threaded,
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
