//! What the reader asks the world for, and how much of it.

use super::Problem;

/// Files and directories of one reading, each as often as it is looked at.
pub(super) const FILES_MAX: usize = 20_000;
/// Bytes of all lines together, with what variables and macros put into them.
pub(super) const BYTES_MAX: usize = 64 << 20;
/// Names in all directories together.
const NAMES_MAX: usize = 500_000;
/// Problems that are kept; the first ones say most.
const PROBLEMS_MAX: usize = 100;
/// Bytes of a problem's clause.
const CLAUSE_MAX: usize = 300;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file, perhaps through links.
    File,
    /// A directory, perhaps through links.
    Directory,
    /// Something else that is there.
    Other,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// A directory itself, not a link to one.
    pub is_directory: bool,
}

/// Where configuration files come from. Paths are absolute, as the server sees them.
pub trait Source {
    /// What a path leads to; `None` where there is nothing.
    fn kind(&mut self, path: &str) -> Option<Kind>;

    /// A directory's names without `.` and `..`, in any order.
    ///
    /// # Errors
    ///
    /// A clause: why it cannot be listed.
    fn entries(&mut self, directory: &str) -> Result<Vec<Entry>, String>;

    /// A file's text.
    ///
    /// # Errors
    ///
    /// A clause: why it cannot be read.
    fn text(&mut self, path: &str) -> Result<String, String>;

    /// Whether it takes too long; asked now and then.
    fn is_late(&mut self) -> bool {
        false
    }
}

/// What may still be spent on one reading, so that no configuration makes it endless.
#[derive(Debug)]
pub(super) struct Budget {
    files: usize,
    bytes: usize,
    names: usize,
    /// What ran out.
    pub(super) over: Option<&'static str>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            files: FILES_MAX,
            bytes: BYTES_MAX,
            names: NAMES_MAX,
            over: None,
        }
    }
}

impl Budget {
    pub(super) fn file(&mut self) -> bool {
        spend(&mut self.files, 1, &mut self.over, "more than 20000 files")
    }

    pub(super) fn bytes(&mut self, bytes: usize) -> bool {
        spend(
            &mut self.bytes,
            bytes,
            &mut self.over,
            "more than 64 MiB of lines",
        )
    }

    pub(super) fn names(&mut self, names: usize) -> bool {
        let what = "more than 500000 names in directories";
        spend(&mut self.names, names, &mut self.over, what)
    }
}

fn spend(
    left: &mut usize,
    amount: usize,
    over: &mut Option<&'static str>,
    what: &'static str,
) -> bool {
    match left.checked_sub(amount) {
        Some(rest) if over.is_none() => *left = rest,
        Some(_) => {}
        None => *over = over.or(Some(what)),
    }
    over.is_none()
}

/// The problems of one reading.
#[derive(Debug, Default)]
pub(super) struct Problems {
    pub(super) kept: Vec<Problem>,
}

impl Problems {
    /// Keeps a problem: a clause, without what would break a line of a log.
    pub(super) fn add(&mut self, place: super::Place, what: &str) {
        if self.kept.len() < PROBLEMS_MAX {
            let cut = what.floor_char_boundary(CLAUSE_MAX);
            let mut clause: String = what[..cut]
                .chars()
                .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                .collect();
            if cut < what.len() {
                clause.push('…');
            }
            let what = clause;
            self.kept.push(Problem { place, what });
        }
    }
}
