//! Facts of mapped files, read from the files and remembered.
//!
//! A file is read, never mapped: one that is truncated while we look would kill the agent with
//! SIGBUS, where a failed read is only an error.

use std::{
    collections::HashMap,
    fs::{File, Metadata, OpenOptions},
    io,
    os::fd::AsRawFd as _,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    sync::Arc,
};

use object::read::{ReadCache, ReadCacheOps};
use thiserror::Error;

use super::{
    elf::ElfError,
    facts::{self, FileFacts},
};

/// Files beyond this size are not looked at.
const SIZE_MAX: u64 = 512 << 20;
/// Bytes read of one file, all tables and literals together.
const BUDGET: usize = 96 << 20;
/// Files remembered; a large worker maps a hundred.
const FILES_MAX: usize = 1_024;

/// Why a file has no facts.
#[derive(Debug, Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("failed to read the file: {0}")]
    Read(#[from] io::Error),
    /// A directory, a pipe, a device.
    #[error("failed to read the file: it is no regular file")]
    NotRegular,
    /// More than any real module.
    #[error("failed to read the file: its {0} bytes exceed the limit")]
    TooLarge(u64),
    /// It is no ELF file of ours.
    #[error(transparent)]
    Elf(#[from] ElfError),
}

/// Opens a file that somebody else chose.
///
/// Devices act when they are opened: a watchdog starts, and restarts the machine once it is closed; a
/// tape is wound back. So what it is is asked of a handle that opens nothing, and then that very
/// file is opened.
///
/// # Errors
///
/// When the operating system refuses, or the file is no regular one.
pub fn open(path: &Path) -> Result<File, FileError> {
    let handle = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH)
        .open(path)?;
    open_handle(&handle)
}

/// Opens what an `O_PATH` handle leads to, if it is a regular file.
pub(crate) fn open_handle(handle: &File) -> Result<File, FileError> {
    if !handle.metadata()?.is_file() {
        return Err(FileError::NotRegular);
    }
    Ok(File::open(format!("/proc/self/fd/{}", handle.as_raw_fd()))?)
}

/// Reads at positions, and keeps the operating system's error, which `object` has no place for.
pub(crate) struct Reader<'f> {
    file: &'f File,
    size: u64,
    position: u64,
    /// Bytes that may still be read: no layout of tables makes us read without end.
    budget: usize,
    error: Option<io::Error>,
}

impl<'f> Reader<'f> {
    fn new(file: &'f File, size: u64) -> Self {
        Self {
            file,
            size,
            position: 0,
            budget: BUDGET,
            error: None,
        }
    }
}

impl ReadCacheOps for Reader<'_> {
    fn len(&mut self) -> Result<u64, ()> {
        Ok(self.size)
    }

    fn seek(&mut self, position: u64) -> Result<u64, ()> {
        self.position = position;
        Ok(position)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ()> {
        self.budget = self.budget.checked_sub(buffer.len()).ok_or(())?;
        let read = self.file.read_at(buffer, self.position);
        let read = read.map_err(|error| self.error = Some(error))?;
        self.position += read as u64;
        Ok(read)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                // The file is shorter than it was a moment ago.
                0 => return Err(()),
                read => filled += read,
            }
        }
        Ok(())
    }
}

/// What tells two states of files apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Identity {
    /// Of an open file, with what else is known of it.
    pub(crate) fn of(file: &File) -> Result<(Self, Metadata), FileError> {
        let metadata = file.metadata()?;
        Ok((Self::from(&metadata), metadata))
    }
}

/// Reads parts of a file; the outer error is the operating system's.
pub(crate) fn read<'f, T>(
    file: &'f File,
    metadata: &Metadata,
    parts: impl FnOnce(&ReadCache<Reader<'f>>) -> T,
) -> Result<T, FileError> {
    if metadata.len() > SIZE_MAX {
        return Err(FileError::TooLarge(metadata.len()));
    }
    let cache = ReadCache::new(Reader::new(file, metadata.len()));
    let value = parts(&cache);
    match cache.into_inner().error {
        Some(error) => Err(error.into()),
        None => Ok(value),
    }
}

/// What was learnt of a file, and when it was last asked for.
#[derive(Debug)]
struct Entry {
    facts: Result<Arc<FileFacts>, ElfError>,
    used: u64,
}

/// Facts by file identity. Bounded: the entry that was not asked for the longest gives way.
#[derive(Debug)]
pub struct FileCache {
    entries: HashMap<Identity, Entry>,
    clock: u64,
    capacity: usize,
}

impl Default for FileCache {
    fn default() -> Self {
        Self::new(FILES_MAX)
    }
}

impl FileCache {
    /// An empty cache for this many files.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            clock: 0,
            capacity: capacity.max(1),
        }
    }

    /// The facts of an open file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is no ELF file of ours. The latter is remembered, too.
    pub fn facts(&mut self, file: &File) -> Result<Arc<FileFacts>, FileError> {
        let metadata = file.metadata()?;
        let identity = Identity::from(&metadata);
        self.clock += 1;
        if let Some(entry) = self.entries.get_mut(&identity) {
            entry.used = self.clock;
            return Ok(entry.facts.clone()?);
        }
        let facts = read(file, &metadata, |data| facts::facts(data).map(Arc::new))?;
        // What was read while the file changed is not worth remembering.
        if Identity::from(&file.metadata()?) == identity {
            self.remember(identity, facts.clone());
        }
        Ok(facts?)
    }

    fn remember(&mut self, identity: Identity, facts: Result<Arc<FileFacts>, ElfError>) {
        if self.entries.len() >= self.capacity {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
            if let Some(oldest) = oldest.map(|(identity, _)| *identity) {
                self.entries.remove(&oldest);
            }
        }
        let used = self.clock;
        self.entries.insert(identity, Entry { facts, used });
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
