//! Which files an `Include` names: `ap_dir_fnmatch` and `ap_dir_nofnmatch` of httpd 2.4.

use super::{
    paths,
    source::{Budget, Kind, Source},
};

/// Directories within directories: `AP_MAX_FNMATCH_DIR_DEPTH`.
const DIRECTORY_DEPTH: u32 = 128;
/// Bytes of a path, as Linux has it.
pub(super) const PATH_MAX: usize = 4_096;

/// What is still to be looked at.
enum Step {
    /// The part at this index of the pattern, in a directory.
    Part { directory: String, part: usize },
    /// A file, or a directory with everything in it.
    Take { path: String, depth: u32 },
}

/// The files in httpd's order, and a clause for each that cannot be had.
pub(super) fn files(
    source: &mut dyn Source,
    budget: &mut Budget,
    path: &str,
    is_optional: bool,
) -> (Vec<String>, Vec<String>) {
    let mut search = Search {
        source,
        budget,
        is_optional,
        files: Vec::new(),
        failed: Vec::new(),
        steps: Vec::new(),
    };
    if path.len() > PATH_MAX {
        search.fail("a path is too long".to_owned());
    } else if !path.starts_with('/') {
        search.fail(format!("{path:?} is no absolute path"));
    } else if paths::is_pattern(path) {
        let parts: Vec<&str> = path[1..].split('/').collect();
        search.steps.push(Step::Part {
            directory: "/".to_owned(),
            part: 0,
        });
        search.run(&parts);
    } else {
        search.steps.push(Step::Take {
            path: path.to_owned(),
            depth: 0,
        });
        search.run(&[]);
    }
    (search.files, search.failed)
}

struct Search<'s> {
    source: &'s mut dyn Source,
    budget: &'s mut Budget,
    is_optional: bool,
    files: Vec<String>,
    failed: Vec<String>,
    /// The next one is the last.
    steps: Vec<Step>,
}

impl Search<'_> {
    fn run(&mut self, parts: &[&str]) {
        while let Some(step) = self.steps.pop() {
            if !self.budget.file() || self.source.is_late() {
                return;
            }
            match step {
                Step::Part { directory, part } => self.part(directory, parts, part),
                Step::Take { path, depth } => self.take(path, depth),
            }
        }
    }

    fn fail(&mut self, what: String) {
        if self.failed.len() < 10 {
            self.failed.push(what);
        }
    }

    /// Names in a directory, sorted; backwards, because the last step is taken first.
    fn names(&mut self, directory: &str) -> Option<Vec<super::source::Entry>> {
        let mut entries = match self.source.entries(directory) {
            Ok(entries) => entries,
            Err(what) => {
                self.fail(what);
                return None;
            }
        };
        if !self.budget.names(entries.len()) {
            return None;
        }
        entries.sort_unstable_by(|a, b| b.name.cmp(&a.name));
        Some(entries)
    }

    fn part(&mut self, mut directory: String, parts: &[&str], mut part: usize) {
        while let Some(plain) = parts.get(part).filter(|part| !paths::is_pattern(part)) {
            directory = paths::join(&directory, plain);
            part += 1;
        }
        let Some(pattern) = parts.get(part) else {
            let (path, depth) = (directory, 0);
            return self.steps.push(Step::Take { path, depth });
        };
        if self.is_optional && self.source.kind(&directory).is_none() {
            return;
        }
        let Some(entries) = self.names(&directory) else {
            return;
        };
        let is_last = part + 1 == parts.len();
        let before = self.steps.len();
        for entry in entries {
            // A link to a directory counts as none here.
            if !paths::matches(pattern, &entry.name) || !(is_last || entry.is_directory) {
                continue;
            }
            let path = paths::join(&directory, &entry.name);
            self.steps.push(if is_last {
                Step::Take { path, depth: 0 }
            } else {
                let part = part + 1;
                let directory = path;
                Step::Part { directory, part }
            });
        }
        if self.steps.len() == before && !self.is_optional {
            self.fail(format!("nothing in {directory} matches {pattern:?}"));
        }
    }

    fn take(&mut self, path: String, depth: u32) {
        match self.source.kind(&path) {
            Some(Kind::Directory) if depth >= DIRECTORY_DEPTH => {
                self.fail(format!("{path} lies too deep; is there a loop of links?"));
            }
            Some(Kind::Directory) => {
                for entry in self.names(&path).unwrap_or_default() {
                    let path = paths::join(&path, &entry.name);
                    let depth = depth + 1;
                    self.steps.push(Step::Take { path, depth });
                }
            }
            Some(Kind::File) => self.files.push(path),
            // httpd takes this one device.
            Some(Kind::Other) if path == "/dev/null" => {}
            Some(Kind::Other) => self.fail(format!("{path} is no regular file")),
            None if self.is_optional => {}
            None => self.fail(format!("there is no {path}")),
        }
    }
}
