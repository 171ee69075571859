//! Reads the configuration of a running server, from the files that the server itself sees.
//!
//! A file is opened inside the server's root and mount namespace. Which one is first comes from the
//! arguments (`-d`, `-f`, `-C`, `-c`, `-D`), and where those are silent from the program:
//! `HTTPD_ROOT` and `SERVER_CONFIG_FILE` are literals in it, because `httpd -V` prints them. A
//! relative `-f` counts from the server's root; a relative `-d` from where httpd was started, which
//! is only known while it has not gone to `/` as a daemon does. The first argument proves nothing:
//! `display-name` overwrites it. The environment is that at the start, as `${NAME}` has it.
//!
//! What is read is what stands in the files now; [`Read::newest`] tells whether that can be what the
//! server read when it started.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use object::{Object as _, ObjectSymbol as _};
use thiserror::Error;

use super::{
    Configuration, paths,
    program::{self, Defaults},
    reader::{self, Seen, Start},
    source::{Entry, Kind, Source},
};
use crate::process::{
    command,
    directory::{Directory, Inside, ScanError},
    files::{self, FileError},
};

/// How long a whole reading may take.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of one file.
const FILE_MAX: u64 = 16 << 20;
/// Bytes of a program that are searched.
const PROGRAM_MAX: u64 = 128 << 20;
/// Bytes of it at a time.
const PIECE: usize = 1 << 20;
/// Names of one directory.
const NAMES_MAX: usize = 100_000;
/// Modules that may be built in.
const MODULES_MAX: usize = 512;
/// What every httpd has built in.
const ALWAYS: [&str; 3] = ["core_module", "http_module", "so_module"];

/// Why a server's configuration cannot be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Its directory in `/proc` says nothing.
    #[error("{0}; run the agent as root, in the host's pid namespace")]
    Process(#[from] ScanError),
    /// It is no process any more.
    #[error("failed to read the server's program: the process has ended; look at another one")]
    Ended,
    /// Its program cannot be read.
    #[error("failed to read the server's program: {0}; run the agent as root")]
    Program(#[from] FileError),
    /// Nobody says where it is.
    #[error(
        "failed to find the server's configuration: neither its arguments nor its program name an \
         absolute path; start httpd with an absolute -d or -f"
    )]
    NowhereNamed,
    /// The main file cannot be read.
    #[error(
        "failed to read {path} below {root}: {why}; if httpd was started with other options, start \
         it with absolute -d and -f"
    )]
    MainFile {
        /// As the server names it.
        path: String,
        /// The root that it is below.
        root: PathBuf,
        /// A clause.
        why: String,
    },
}

/// A server's configuration, and what it was read from.
#[derive(Clone, Debug)]
pub struct Read {
    /// What it says.
    pub configuration: Configuration,
    /// Every directive of mod_wsgi, in httpd's order.
    pub seen: Vec<Seen>,
    /// How many files were read.
    pub files: usize,
    /// When the newest of these files, or a directory that was searched for them, was changed. A
    /// server that read its configuration before that may have read something else.
    pub newest: Option<SystemTime>,
}

/// Reads the configuration of a running server: `pid` is its master. This blocks, five seconds at
/// most for the configuration's files.
///
/// # Errors
///
/// When nothing can be read at all; what is wrong in a configuration is one of its `problems`.
pub fn read(proc_root: &Path, pid: u32) -> Result<Read, ReadError> {
    let directory = Directory::new(proc_root, pid);
    let arguments = directory.arguments()?;
    let program = directory.program()?.ok_or(ReadError::Ended)?;
    let environment = directory.environment()?.unwrap_or_default();
    let from = directory.working_directory();
    let start = start(&program, &arguments, &environment, from.as_deref())?;
    read_below(&directory.root(), &start)
}

/// How a server is started by this program with these arguments and this environment, each ended by
/// a NUL, in this directory.
///
/// # Errors
///
/// When the program cannot be read, or nothing names an absolute path.
pub fn start(
    program: &File,
    arguments: &str,
    environment: &str,
    from: Option<&str>,
) -> Result<Start, ReadError> {
    let defaults = defaults(program).map_err(FileError::Read)?;
    let options = command::options(arguments);
    let root = match options.root.or(defaults.root).unwrap_or_default() {
        root if root.starts_with('/') || root.is_empty() => root,
        root => paths::merge(from.ok_or(ReadError::NowhereNamed)?, &root),
    };
    let file = options.file.or(defaults.file).unwrap_or_default();
    if file.is_empty() || !(root.starts_with('/') || file.starts_with('/')) {
        return Err(ReadError::NowhereNamed);
    }
    Ok(Start {
        root,
        file,
        before: options.before,
        after: options.after,
        defines: options.defines,
        environment: variables(environment),
        version: defaults.version,
        modules: modules(program)?,
        error_log: defaults.error_log,
    })
}

/// Reads the configuration of a server that is started like this; its paths count from `root`, and
/// no link leads out of it.
///
/// # Errors
///
/// When the main file cannot be read.
pub fn read_below(root: &Path, start: &Start) -> Result<Read, ReadError> {
    let inside = Inside::open(root).map_err(|source| ScanError::Read {
        path: root.to_path_buf(),
        source,
    })?;
    let mut source = Files {
        inside,
        until: Instant::now() + TIME_MAX,
        files: 0,
        newest: None,
    };
    let reading = reader::read(&mut source, start);
    let configuration = reading.configuration;
    // With directives on the command line httpd does without its usual file.
    if source.files == 0 && start.before.is_empty() && start.after.is_empty() {
        let path = configuration.main_file;
        let why = source.text(&path).err();
        return Err(ReadError::MainFile {
            why: why.unwrap_or_else(|| "it was not there a moment ago".to_owned()),
            path,
            root: root.to_path_buf(),
        });
    }
    Ok(Read {
        configuration,
        seen: reading.seen,
        files: source.files,
        newest: source.newest,
    })
}

/// What the program has compiled in.
fn defaults(program: &File) -> io::Result<Defaults> {
    let mut defaults = Defaults::default();
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while at < PROGRAM_MAX && !defaults.is_whole() {
        let read = program.read_at(&mut piece, at)?;
        defaults.learn(&piece[..read]);
        if read <= program::OVERLAP {
            break;
        }
        at += (read - program::OVERLAP) as u64;
    }
    Ok(defaults)
}

/// The modules that are built in: a program exports each as `NAME_module`.
fn modules(program: &File) -> Result<Vec<String>, FileError> {
    let metadata = program.metadata()?;
    let exported = files::read(program, &metadata, |data| {
        let file = object::File::parse(data).ok()?;
        let names = file
            .dynamic_symbols()
            .filter(|symbol| symbol.is_definition() && symbol.kind() == object::SymbolKind::Data);
        let names = names.filter_map(|symbol| symbol.name().ok().map(str::to_owned));
        let names = names.filter(|name| name.ends_with("_module") && name.len() < 100);
        Some(names.take(MODULES_MAX).collect::<Vec<_>>())
    })?;
    let always = ALWAYS.map(str::to_owned).into_iter();
    Ok(exported
        .unwrap_or_default()
        .into_iter()
        .chain(always)
        .collect())
}

/// Variables of an environment; of two with one name the first counts, as for `getenv`.
fn variables(environment: &str) -> std::collections::HashMap<String, String> {
    let variables = environment.split('\0').rev();
    variables
        .filter_map(|variable| variable.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Files below a process's root.
struct Files {
    inside: Inside,
    until: Instant,
    files: usize,
    newest: Option<SystemTime>,
}

impl Files {
    fn saw(&mut self, metadata: &Metadata) {
        self.newest = self.newest.max(metadata.modified().ok());
    }

    fn read(&mut self, path: &str) -> Result<String, FileError> {
        let file = self.inside.file(path)?;
        let metadata = file.metadata()?;
        if metadata.len() > FILE_MAX {
            return Err(FileError::TooLarge(metadata.len()));
        }
        let mut bytes = Vec::new();
        file.take(FILE_MAX).read_to_end(&mut bytes)?;
        self.files += 1;
        self.saw(&metadata);
        let text = String::from_utf8(bytes);
        Ok(text.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }
}

impl Source for Files {
    fn kind(&mut self, path: &str) -> Option<Kind> {
        let kind = self.inside.metadata(path).ok()?.file_type();
        Some(if kind.is_dir() {
            Kind::Directory
        } else if kind.is_file() {
            Kind::File
        } else {
            Kind::Other
        })
    }

    fn entries(&mut self, directory: &str) -> Result<Vec<Entry>, String> {
        let names = self.inside.names(directory, NAMES_MAX);
        let (handle, names) =
            names.map_err(|error| format!("failed to list {directory}: {error}"))?;
        if let Ok(metadata) = handle.metadata() {
            self.saw(&metadata);
        }
        let names = names.into_iter();
        Ok(names
            .map(|(name, is_directory)| Entry { name, is_directory })
            .collect())
    }

    fn text(&mut self, path: &str) -> Result<String, String> {
        self.read(path).map_err(|error| match error {
            FileError::Read(error) => error.to_string(),
            other => other.to_string(),
        })
    }

    fn is_late(&mut self) -> bool {
        Instant::now() > self.until
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
