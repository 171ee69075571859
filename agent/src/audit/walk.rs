//! Finds the files below the paths and has them read, by as many threads as there are processors.
//!
//! Nothing but regular files is ever opened. Links to directories are not followed: those of a
//! virtual environment lead back into it (`lib64`) or out of it, and a loop would have no end.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    num::NonZero,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        self, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use object::read::ReadCache;
use rustix::fs::OFlags;

use super::{
    native,
    owner::{self, Distribution},
    python,
    report::{self, Located, Problem, Read, Report},
    uses::{Audited, When},
};

/// Threads; more do not read faster from one disk.
const THREADS_MAX: usize = 16;
/// Levels of directories.
const LEVELS_MAX: usize = 64;
/// Bytes of what an installer wrote about a package.
const RECORD_MAX: u64 = 64 << 20;
/// Bytes of the little that is wanted of its metadata: it comes first, before the description.
const METADATA_MAX: u64 = 64 << 10;
/// Whose turn it is to read a large file.
static LARGE: Mutex<()> = Mutex::new(());
/// Directories without code of an application.
const SKIPPED: &[&str] = &["__pycache__", ".git", ".hg", ".svn", "node_modules"];

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Python,
    Program,
    Native,
}

/// What was found below the paths.
#[derive(Default)]
struct Found {
    files: Vec<(PathBuf, Kind, bool)>,
    /// What installers wrote: `*.dist-info`, `*.egg-info`.
    records: Vec<PathBuf>,
    problems: Vec<Problem>,
    seen: HashSet<PathBuf>,
}

/// Reads everything below the paths; `only_import` leaves out what importing does not do.
///
/// # Errors
///
/// Where a path is not there, or is an archive.
pub fn audit(paths: &[PathBuf], only_import: bool) -> Result<Report> {
    let begin = Instant::now();
    let mut found = Found::default();
    for path in paths {
        found.start(path)?;
    }
    let results = read_all(&found.files)?;
    let mut read = Read::default();
    let mut problems = found.problems;
    let mut uses = Vec::new();
    for ((path, kind, in_tests), result) in found.files.iter().zip(results) {
        let file = path.to_string_lossy();
        let (audited, bytes) = match result {
            Ok(result) => result,
            Err(reason) => {
                problems.push(Problem {
                    file: file.into_owned(),
                    reason,
                });
                continue;
            }
        };
        match kind {
            Kind::Native => read.native += 1,
            Kind::Python | Kind::Program => {
                read.python += 1;
                read.bytes += bytes;
                read.parsed += usize::from(audited.parsed);
            }
        }
        problems.extend(audited.problem.map(|reason| Problem {
            file: file.clone().into_owned(),
            reason,
        }));
        for found in audited.uses {
            if !only_import || found.when == When::Import {
                uses.push((path, *in_tests, found));
            }
        }
    }
    let wanted: HashSet<&Path> = uses.iter().map(|(path, ..)| path.as_path()).collect();
    let owners = owners(&found.records, &wanted);
    let located: Vec<Located> = uses
        .into_iter()
        .map(|(path, in_tests, found)| Located {
            file: path.to_string_lossy().into_owned(),
            in_tests,
            owner: owners.get(path).cloned(),
            found,
        })
        .collect();
    problems.sort();
    read.seconds = begin.elapsed().as_secs_f64();
    Ok(Report {
        schema: 1,
        paths: paths
            .iter()
            .map(|it| it.to_string_lossy().into_owned())
            .collect(),
        read,
        worst: report::worst(&located),
        distributions: report::groups(located),
        problems,
    })
}

impl Found {
    /// A path that the user named.
    fn start(&mut self, path: &Path) -> Result<()> {
        let failed = || {
            format!(
                "failed to read {}: name a virtual environment",
                path.display()
            )
        };
        let metadata = fs::metadata(path).with_context(failed)?;
        if metadata.is_dir() {
            self.directory(path, path, 0);
            return Ok(());
        }
        let kind = kind(path);
        if let Some(kind) = kind.filter(|_| metadata.is_file()) {
            self.file(path, kind, false);
            return Ok(());
        }
        let name = path.display();
        match path.extension().and_then(|it| it.to_str()) {
            Some("whl" | "egg" | "zip" | "pyz") => bail!(
                "failed to read {name}: it is an archive; unpack it (`python3 -m zipfile -e {name} \
                 DIRECTORY`) or install it, and name the directory"
            ),
            _ => bail!(
                "failed to read {name}: it is neither a directory nor a file of Python (.py, .wsgi) \
                 nor a library (.so)"
            ),
        }
    }

    fn directory(&mut self, root: &Path, directory: &Path, level: usize) {
        if level > LEVELS_MAX {
            self.problem(directory, "directories nest too deeply");
            return;
        }
        let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.problem(directory, &error.to_string()),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // Of a link, what it leads to; whatever leads nowhere is nobody's code.
            let Ok(own) = entry.file_type() else { continue };
            if own.is_dir() {
                if name.ends_with(".dist-info") || name.ends_with(".egg-info") {
                    self.records.push(path);
                } else if !SKIPPED.contains(&&*name) {
                    self.directory(root, &path, level + 1);
                }
                continue;
            }
            let Some(kind) = kind(&path) else { continue };
            let is_file = own.is_file()
                || (own.is_symlink() && fs::metadata(&path).is_ok_and(|it| it.is_file()));
            if is_file {
                let in_tests = is_test(path.strip_prefix(root).unwrap_or(&path));
                self.file(&path, kind, in_tests);
            }
        }
    }

    fn file(&mut self, path: &Path, kind: Kind, in_tests: bool) {
        if self.seen.insert(path.to_path_buf()) {
            self.files.push((path.to_path_buf(), kind, in_tests));
        }
    }

    fn problem(&mut self, path: &Path, reason: &str) {
        self.problems.push(Problem {
            file: path.to_string_lossy().into_owned(),
            reason: reason.to_owned(),
        });
    }
}

fn kind(path: &Path) -> Option<Kind> {
    let name = path.file_name()?.to_string_lossy();
    if name == "__main__.py" {
        Some(Kind::Program)
    } else if name.ends_with(".py") || name.ends_with(".wsgi") {
        Some(Kind::Python)
    } else {
        // `libcurl-5f3b.so.4.8.0`
        (name.ends_with(".so") || name.contains(".so.")).then_some(Kind::Native)
    }
}

/// Whether a file is one of a package's tests, by the names that pytest and unittest look for.
fn is_test(path: &Path) -> bool {
    let mut parts = path.iter().filter_map(|part| part.to_str());
    let name = parts.next_back().unwrap_or_default();
    parts.any(|part| part == "tests" || part == "test")
        || name == "conftest.py"
        || (name.starts_with("test_") && name.ends_with(".py"))
        || name.ends_with("_test.py")
}

type Outcome = Result<(Audited, u64), String>;

/// Reads the files, in any order; the answers are in the files' own.
fn read_all(files: &[(PathBuf, Kind, bool)]) -> Result<Vec<Outcome>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((path, kind, _)) = files.get(at) else {
                return done;
            };
            done.push((at, read(path, *kind)));
        }
    };
    let mut results: Vec<(usize, Outcome)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.clamp(1, THREADS_MAX))
            .map(|_| {
                thread::Builder::new()
                    .stack_size(python::STACK)
                    .spawn_scoped(scope, work)
            })
            .collect::<io::Result<_>>()
            .context("failed to start a thread that reads the files")?;
        let mut results = Vec::new();
        for thread in threads {
            match thread.join() {
                Ok(done) => results.extend(done),
                Err(_) => bail!("failed to read the files: a thread panicked, see above"),
            }
        }
        Ok(results)
    })?;
    results.sort_by_key(|(at, _)| *at);
    Ok(results.into_iter().map(|(_, outcome)| outcome).collect())
}

fn read(path: &Path, kind: Kind) -> Outcome {
    let (mut file, size) = open(path).map_err(|error| error.to_string())?;
    if kind == Kind::Native {
        let cache = ReadCache::new(file);
        let audited = native::audit(&cache).map_err(|error| error.to_string())?;
        return Ok((audited, size));
    }
    if size > python::SIZE_MAX {
        return Err("it is longer than 8 MiB".to_owned());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
    let mut limited = (&mut file).take(python::SIZE_MAX);
    limited
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    // One large tree at a time: there may be sixteen threads, and each would hold its own.
    let _turn =
        (size > python::LARGE).then(|| LARGE.lock().unwrap_or_else(sync::PoisonError::into_inner));
    let audited = std::panic::catch_unwind(|| python::audit(&bytes, kind == Kind::Program));
    let audited = audited.map_err(|_| "the parser gave up".to_owned())?;
    Ok((audited, bytes.len() as u64))
}

/// Opens a regular file; whatever has become one since it was looked at does not hold us up.
fn open(path: &Path) -> io::Result<(File, u64)> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    Ok((file, metadata.len()))
}

/// The distributions of the files that matter.
fn owners(records: &[PathBuf], wanted: &HashSet<&Path>) -> HashMap<PathBuf, Distribution> {
    let mut owners = HashMap::new();
    let mut below = HashMap::<PathBuf, Vec<&Path>>::new();
    for file in wanted {
        for above in file.ancestors() {
            below.entry(above.to_path_buf()).or_default().push(file);
        }
    }
    for directory in records {
        let (Some(name), Some(packages)) = (directory.file_name(), directory.parent()) else {
            continue;
        };
        let text = |name: &str, most| text(&directory.join(name), most);
        let metadata = text("METADATA", METADATA_MAX).or_else(|| text("PKG-INFO", METADATA_MAX));
        let it = owner::distribution(&name.to_string_lossy(), &metadata.unwrap_or_default());
        if let Some(record) = text("RECORD", RECORD_MAX) {
            for file in owner::recorded(&record, packages) {
                if wanted.contains(file.as_path()) {
                    owners.insert(file, it.clone());
                }
            }
        } else if let Some(names) = text("top_level.txt", METADATA_MAX) {
            // Older installers, and Debian's packages: all that is below the package's own names.
            // Whoever names a directory first has it: no file is looked at twice, however many do.
            for name in names.lines().filter(|name| !name.is_empty()) {
                for file in below.remove(&packages.join(name)).unwrap_or_default() {
                    let owner = owners.entry(file.to_path_buf());
                    owner.or_insert_with(|| it.clone());
                }
            }
        }
    }
    owners
}

fn text(path: &Path, most: u64) -> Option<String> {
    let (file, _) = open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
