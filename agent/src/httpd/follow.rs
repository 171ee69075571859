//! Follows a file to which lines are added, like `tail -F`: a server's error log.
//!
//! What was in the file at first is the past, and is left out. A file that is renamed and made anew
//! goes on beside the new one: httpd writes to the old one until it reloads, and its workers until
//! they end. A file that is emptied (`copytruncate`) is read from its beginning; what was added
//! to it before by as much as was there is lost, and nobody can tell.

use std::{
    fs::File,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
};

use crate::process::directory::Directory;

/// Bytes read in one poll, of all files.
const POLL_MAX: u64 = 1 << 20;
/// Bytes that may wait to be read: beyond, what came first is skipped.
const BACKLOG_MAX: u64 = 16 << 20;
/// Bytes of a line that are kept. httpd cuts its own at 8 KiB (`MAX_STRING_LEN`, `include/httpd.h`).
const LINE_MAX: usize = 16 << 10;
/// Polls without a new line after which a file without its name is given up.
const QUIET_MAX: u32 = 600;

/// A file that lines are added to.
#[derive(Debug)]
pub struct Follower {
    directory: Directory,
    path: String,
    /// What the path leads to, and what it led to before.
    current: Option<Reading>,
    previous: Option<Reading>,
    /// The path was looked at before: what is new there now is no past.
    started: bool,
    skipped: u64,
}

impl Follower {
    /// Follows the file with this absolute path in the root of a process.
    #[must_use]
    pub fn new(proc_root: &Path, pid: u32, path: &str) -> Self {
        Self {
            directory: Directory::new(proc_root, pid),
            path: path.to_owned(),
            current: None,
            previous: None,
            started: false,
            skipped: 0,
        }
    }

    /// Whether there is a file: not where it does not exist yet, is a pipe or a device, or cannot be
    /// opened.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.current.is_some()
    }

    /// Bytes, since the start, that came faster than they were read and were left out.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The lines that are complete since the last call, without their ends. The first call begins.
    pub fn poll(&mut self) -> Vec<String> {
        self.look();
        let mut lines = Vec::new();
        let mut budget = POLL_MAX;
        let files = self.previous.iter_mut().chain(&mut self.current);
        for reading in files {
            reading.read(&mut budget, &mut lines, &mut self.skipped);
        }
        let is_quiet = |reading: &mut Reading| reading.quiet > QUIET_MAX;
        if let Some(mut quiet) = self.previous.take_if(is_quiet) {
            quiet.end(&mut lines);
        }
        lines
    }

    /// Opens what the path leads to, where that is another file than before.
    fn look(&mut self) {
        let is_first = !std::mem::replace(&mut self.started, true);
        let Some(file) = self
            .directory
            .open_inside(self.path.trim_start_matches('/'))
        else {
            return;
        };
        // A file that is open keeps its number, so another file has another one.
        let same = |reading: &Reading| identity(&reading.file) == identity(&file);
        if self.current.as_ref().is_some_and(same) {
            return;
        }
        // Somebody may put the old one back.
        let returned = self.previous.take_if(|reading| same(reading));
        let next = returned.unwrap_or_else(|| Reading::new(file, is_first));
        self.previous = self.current.replace(next);
    }
}

fn identity(file: &File) -> Option<(u64, u64)> {
    let metadata = file.metadata().ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// A file that is being read.
#[derive(Debug)]
struct Reading {
    file: File,
    position: u64,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// The rest of the line is left out: it is too long, or its beginning was skipped.
    skips: bool,
    quiet: u32,
}

impl Reading {
    fn new(file: File, at_end: bool) -> Self {
        let end = file.metadata().map_or(0, |metadata| metadata.len());
        let position = if at_end { end } else { 0 };
        // Whoever begins in the middle of a line does not know how it began.
        let begins = position.checked_sub(1).is_none_or(|before| {
            let mut last = [0];
            file.read_exact_at(&mut last, before).is_err() || last == *b"\n"
        });
        Self {
            file,
            position,
            line: Vec::new(),
            skips: !begins,
            quiet: 0,
        }
    }

    fn read(&mut self, budget: &mut u64, lines: &mut Vec<String>, skipped: &mut u64) {
        let Ok(metadata) = self.file.metadata() else {
            return;
        };
        let end = metadata.len();
        if end < self.position {
            self.position = 0;
            self.line.clear();
            self.skips = false;
        }
        let waiting = end - self.position;
        if waiting > BACKLOG_MAX {
            let left_out = waiting - POLL_MAX;
            self.position += left_out;
            *skipped = skipped.saturating_add(left_out);
            self.line.clear();
            self.skips = true;
        }
        self.quiet = if waiting == 0 {
            self.quiet.saturating_add(1)
        } else {
            0
        };
        let mut buffer = [0; 16 << 10];
        let mut left = waiting.min(*budget);
        while left > 0 {
            let size = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let Ok(size @ 1..) = self.file.read_at(&mut buffer[..size], self.position) else {
                return;
            };
            self.take(&buffer[..size], lines);
            let size = size as u64;
            self.position += size;
            *budget -= size;
            left -= size;
        }
    }

    fn take(&mut self, bytes: &[u8], lines: &mut Vec<String>) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            if !self.skips {
                let room = LINE_MAX - self.line.len();
                self.line.extend(&text[..text.len().min(room)]);
            }
            if ends {
                self.end(lines);
                self.skips = false;
            }
        }
    }

    /// Ends the line.
    fn end(&mut self, lines: &mut Vec<String>) {
        let line = std::mem::take(&mut self.line);
        if !self.skips && !line.is_empty() {
            lines.push(String::from_utf8_lossy(&line).into_owned());
        }
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
