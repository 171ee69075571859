//! One process's directory in a `/proc`: reads with a limit, and ways to mapped files.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _},
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use thiserror::Error;

use super::{
    files::{self, FileError},
    proc::{self, FileId, Mapping, Stat, Status},
};

/// Bytes of `maps`: the kernel's default limit of 65,530 mappings, with long paths.
const MAPS_MAX: u64 = 32 << 20;
/// Bytes of the list of sockets: some ten thousand.
const SOCKETS_MAX: u64 = 1 << 20;
/// Descriptors that are looked at. The lowest come first, and a server's own are the lowest.
const DESCRIPTORS_MAX: usize = 4_096;
/// Bytes of any other text.
const TEXT_MAX: u64 = 64 << 10;
/// Bytes of an environment; the kernel allows more, no server has it.
const ENVIRONMENT_MAX: u64 = 1 << 20;

/// Why a process could not be looked at.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The operating system refused; root, or `CAP_SYS_PTRACE`, is missing.
    #[error("failed to read {path}: {source}")]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why it was not.
        source: io::Error,
    },
    /// It is not what a kernel writes.
    #[error("failed to parse {0}: it is not in the kernel's format")]
    Malformed(PathBuf),
}

/// The directory of a process. What it gives is `None` when the process is gone.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    pid: u32,
    path: PathBuf,
}

impl Directory {
    pub(crate) fn new(proc_root: &Path, pid: u32) -> Self {
        let path = proc_root.join(pid.to_string());
        Self { pid, path }
    }

    /// The way to the root of its file system.
    pub(crate) fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// Whether there is such a process, a zombie included.
    pub(super) fn exists(&self) -> bool {
        self.path.join("stat").exists()
    }

    pub(super) fn stat(&self) -> Result<Option<Stat>, ScanError> {
        self.parsed("stat", |text| {
            proc::stat(text).filter(|stat| stat.pid == self.pid)
        })
    }

    pub(super) fn status(&self) -> Result<Option<Status>, ScanError> {
        self.parsed("status", proc::status)
    }

    pub(super) fn masks(&self) -> Result<Option<(u64, u64)>, ScanError> {
        self.parsed("status", proc::masks)
    }

    /// Empty where the kernel, or the recorded tree, has none.
    pub(super) fn cgroup(&self) -> Result<String, ScanError> {
        Ok(self.text("cgroup", TEXT_MAX)?.unwrap_or_default())
    }

    /// Arguments, each ended by a NUL.
    pub(crate) fn arguments(&self) -> Result<String, ScanError> {
        Ok(self.text("cmdline", TEXT_MAX)?.unwrap_or_default())
    }

    /// The environment that it was started with, each variable ended by a NUL.
    pub(crate) fn environment(&self) -> Result<Option<String>, ScanError> {
        self.text("environ", ENVIRONMENT_MAX)
    }

    /// Where it stands, as it sees it itself.
    pub(crate) fn working_directory(&self) -> Option<String> {
        let link = |name| fs::read_link(self.path.join(name)).ok();
        let (at, root) = (link("cwd")?, link("root")?);
        // In a chroot both are told from our own root.
        let inside = at.strip_prefix(&root).unwrap_or(&at);
        Some(Path::new("/").join(inside).to_string_lossy().into_owned())
    }

    pub(super) fn maps(&self) -> Result<Option<String>, ScanError> {
        self.text("maps", MAPS_MAX)
    }

    /// The UNIX sockets of its network namespace. Empty where they cannot be read: what they tell
    /// is good to know, no more.
    pub(super) fn unix_sockets(&self) -> String {
        let text = self.text("net/unix", SOCKETS_MAX).ok().flatten();
        text.unwrap_or_default()
    }

    /// The TCP sockets that listen in its network namespace; empty where they cannot be read.
    pub(super) fn tcp_listeners(&self) -> HashSet<u64> {
        let listeners = |name: &str| {
            let file = File::open(self.path.join("net").join(name)).ok()?;
            let lines = BufReader::new(file.take(SOCKETS_MAX)).lines();
            // They come first (`tcp_seq_start` in `net/ipv4/tcp_ipv4.c`): a busy host has a hundred
            // thousand others, which take the kernel long to write.
            let inodes = lines
                .skip(1)
                .map_while(|line| proc::tcp_listener(&line.ok()?));
            Some(inodes.collect::<Vec<_>>())
        };
        let both = ["tcp", "tcp6"].map(listeners);
        both.into_iter().flatten().flatten().collect()
    }

    /// Its network namespace, which tells whose sockets those are; `None` where that cannot be read.
    pub(super) fn network(&self) -> Option<u64> {
        fs::metadata(self.path.join("ns/net"))
            .ok()
            .map(|at| at.ino())
    }

    /// The inodes of the sockets that it has open.
    pub(super) fn sockets(&self) -> impl Iterator<Item = u64> {
        let entries = fs::read_dir(self.path.join("fd")).into_iter().flatten();
        let links = entries
            .take(DESCRIPTORS_MAX)
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.filter_map(|link| proc::socket_inode(link.to_str()?))
    }

    /// The running program; kernel threads and zombies have none.
    pub(crate) fn program(&self) -> Result<Option<File>, ScanError> {
        let path = self.path.join("exe");
        match files::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(FileError::Read(error)) => gone(path, error),
            Err(_) => Ok(None),
        }
    }

    /// Whether that file still is the running program.
    pub(super) fn runs(&self, program: &File) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let now = fs::metadata(self.path.join("exe")).map(identity).ok();
        now.is_some() && now == program.metadata().map(identity).ok()
    }

    /// The program's file name, as it was when the program started.
    pub(super) fn program_name(&self) -> Option<String> {
        let target = fs::read_link(self.path.join("exe")).ok()?;
        let name = target.file_name()?.to_string_lossy();
        Some(name.strip_suffix(proc::DELETED).unwrap_or(&name).to_owned())
    }

    /// Opens a file that the process maps, and says by which path.
    ///
    /// `map_files` leads to the very file, in whatever mount namespace, deleted or replaced; it
    /// wants `CAP_CHECKPOINT_RESTORE` (5.9) or `CAP_SYS_ADMIN`. The path below the process's
    /// root may lead to another file by now, so there the inode has to be the mapped one; the
    /// device need not be: overlay and btrfs show another one in `maps` than in `stat(2)`.
    pub(crate) fn open(&self, mapping: &Mapping, file: FileId) -> Option<(File, PathBuf)> {
        let range = format!("map_files/{:x}-{:x}", mapping.start, mapping.end);
        let direct = self.path.join(range);
        if let Ok(open) = files::open(&direct) {
            return Some((open, direct));
        }
        let inside = mapping.path.strip_prefix('/')?;
        let path = self.root().join(inside);
        let open = self.open_inside(inside)?;
        let same = open.metadata().ok()?.ino() == file.inode;
        (same && !mapping.deleted).then_some((open, path))
    }

    /// Opens a regular file below the process's root: no link that somebody put there leads out of
    /// it.
    pub(crate) fn open_inside(&self, path: &str) -> Option<File> {
        Inside::open(&self.root()).ok()?.file(path).ok()
    }

    fn parsed<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ScanError> {
        let Some(text) = self.text(name, TEXT_MAX)? else {
            return Ok(None);
        };
        match parse(&text) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(ScanError::Malformed(self.path.join(name))),
        }
    }

    fn text(&self, name: &str, limit: u64) -> Result<Option<String>, ScanError> {
        let path = self.path.join(name);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) => gone(path, error),
        }
    }
}

/// The root of a process's file system, in its mount namespace. Nothing below leads out of it: links
/// are followed as the process would (`openat2`, Linux 5.6).
#[derive(Debug)]
pub(crate) struct Inside(OwnedFd);

impl Inside {
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY;
        Ok(Self(rustix::fs::open(root, flags, Mode::empty())?))
    }

    fn at(&self, path: &str, flags: OFlags) -> io::Result<File> {
        let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC;
        let file = rustix::fs::openat2(&self.0, path, flags, Mode::empty(), inside)?;
        Ok(File::from(file))
    }

    /// What a path leads to, without opening it.
    pub(crate) fn metadata(&self, path: &str) -> io::Result<fs::Metadata> {
        self.at(path, OFlags::PATH)?.metadata()
    }

    /// Opens a regular file.
    pub(crate) fn file(&self, path: &str) -> Result<File, FileError> {
        files::open_handle(&self.at(path, OFlags::PATH)?)
    }

    /// Opens a directory and says which names are in it, at most so many, and which of them are
    /// directories themselves.
    pub(crate) fn names(&self, path: &str, most: usize) -> io::Result<(File, Vec<(String, bool)>)> {
        let directory = self.at(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if names.len() >= most {
                return Err(io::Error::other("it has too many names"));
            }
            let mut kind = entry.file_type();
            if kind == FileType::Unknown {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                let stat = rustix::fs::statat(&directory, name, flags)?;
                kind = FileType::from_raw_mode(stat.st_mode);
            }
            let name = name.to_string_lossy().into_owned();
            names.push((name, kind == FileType::Directory));
        }
        Ok((directory, names))
    }
}

/// Tells a process that is gone from one that cannot be read.
fn gone<T>(path: PathBuf, source: io::Error) -> Result<Option<T>, ScanError> {
    match source.raw_os_error() {
        // A file of `/proc` that was opened before the process's end gives ESRCH.
        Some(libc::ENOENT | libc::ESRCH) => Ok(None),
        _ => Err(ScanError::Read { path, source }),
    }
}
