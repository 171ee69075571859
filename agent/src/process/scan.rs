//! Looks at processes through a `/proc`: which are httpd's, and what is mapped in them.
//!
//! The root is a parameter, so that a recorded tree works as well. Facts come from files only:
//! such a tree needs `PID/exe` to be known as an httpd, and `PID/root` for the kinds of its
//! modules; without it they are [`ModuleKind::Other`].
//!
//! A process may vanish, exec or leave its id to another one at any moment. So its start and
//! its program are read before and after everything else, and a look that saw both differ is
//! thrown away.

mod targets;

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    path::PathBuf,
    sync::Arc,
};

use crate::{event::FileKey, native::Space};

use super::{
    Found, ModuleKind, Modules, ProcessKey, ServerFacts, command,
    daemon::{self, Network},
    directory::Directory,
    facts::FileFacts,
    files::FileCache,
    installed,
    modules::{self, Mapped},
    proc::{self, FileId, Mapping, Stat},
};
pub use super::{directory::ScanError, python_file::PythonAt};
pub use targets::{InterceptTarget, Open, ReloadTarget, UprobeTarget};

/// Looks at a process that changes under us, before it is taken for gone.
const TRIES: usize = 3;

/// What a look at a process of an httpd tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Who.
    pub key: ProcessKey,
    /// What the core is told.
    pub found: Found,
    /// The interpreter that is mapped.
    pub python: Option<PythonAt>,
    /// Where interpreters start, of every file that carries one.
    pub uprobes: Vec<UprobeTarget>,
    /// The signal intercept of every mod_wsgi that is mapped, once for each file.
    pub intercepts: Vec<InterceptTarget>,
    /// Where the server begins to read its configuration.
    pub reload: Option<ReloadTarget>,
    /// mod_wsgi is mapped: without it, the process is none of our business.
    pub has_mod_wsgi: bool,
}

/// Looks at processes and remembers the files it has read.
#[derive(Debug)]
pub struct Scanner {
    proc_root: PathBuf,
    files: FileCache,
    /// Facts by mapped file, within one call: processes of a server map the same files.
    seen: HashMap<FileId, Option<Arc<FileFacts>>>,
    /// What listens in a network namespace, and which sockets a master has, within one call as well.
    networks: HashMap<u64, Arc<Network>>,
    masters: HashMap<ProcessKey, Arc<HashSet<u64>>>,
}

impl Scanner {
    /// A scanner of this `/proc`.
    #[must_use]
    pub fn new(proc_root: impl Into<PathBuf>) -> Self {
        Self {
            proc_root: proc_root.into(),
            files: FileCache::default(),
            seen: HashMap::new(),
            networks: HashMap::new(),
            masters: HashMap::new(),
        }
    }

    /// Every process of an httpd, parents before their children.
    ///
    /// A process that vanishes meanwhile, or that cannot be read, is left out.
    pub fn all(&mut self) -> Vec<Look> {
        self.forget();
        let entries = fs::read_dir(&self.proc_root).into_iter().flatten();
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut looks: Vec<Look> = pids
            .filter_map(|pid| self.look_again(pid).ok().flatten())
            .collect();

        let parents: HashMap<_, _> = looks.iter().map(|l| (l.key, l.found.parent)).collect();
        for look in &mut looks {
            look.found.parent = look.found.parent.filter(|p| parents.contains_key(p));
        }
        // A recorded tree may hold a circle: the number of processes bounds the way up.
        let depth = |key: ProcessKey| {
            let up = |key: &ProcessKey| parents.get(key).copied().flatten();
            std::iter::successors(Some(key), up)
                .take(parents.len())
                .count()
        };
        looks.sort_by_cached_key(|look| (depth(look.key), look.key.pid));
        looks
    }

    /// One process; `None` when it is gone or is no httpd.
    ///
    /// # Errors
    ///
    /// When the process is there but cannot be read.
    pub fn look(&mut self, pid: u32) -> Result<Option<Look>, ScanError> {
        self.forget();
        self.look_again(pid)
    }

    /// What a process ignores and handles; `None` when it is gone.
    #[must_use]
    pub fn masks(&self, key: ProcessKey) -> Option<(u64, u64)> {
        let directory = self.directory(key.pid);
        let masks = directory.masks().ok()??;
        // Its id may have been another's while we read.
        (directory.stat().ok()??.start == key.start).then_some(masks)
    }

    /// What is mapped in a process of an httpd now, and where its code is; `None` when it is gone,
    /// runs another program or cannot be read.
    pub fn modules(&mut self, key: ProcessKey) -> Option<(Modules, Space)> {
        self.forget();
        let directory = self.directory(key.pid);
        // The helpers of a server (piped logs) register as httpd, and run their own program
        // before we look: its maps say nothing of httpd's handlers.
        let program = directory.program().ok()??;
        let same = || Some(directory.stat().ok()??.start == key.start);
        if !same()? || !self.is_httpd(&program) {
            return None;
        }
        let text = directory.maps().ok()??;
        let mapped = self.group(&directory, &text);
        let facts = |mapping: &Mapping, file| self.facts(&directory, mapping, file);
        let space = Space::new(proc::mappings(&text), facts);
        // A process that ends gives its memory back before anything else, perhaps while we read:
        // what is not mapped then is no anonymous memory. Only with it does the program go.
        (directory.runs(&program) && same()?).then(|| (modules::modules(&mapped), space))
    }

    /// Whether a process runs httpd; `None` when it is gone or cannot be read.
    ///
    /// The kernel's threads and zombies run no program, so they run no httpd.
    pub fn program(&mut self, pid: u32) -> Option<bool> {
        let directory = self.directory(pid);
        match directory.program() {
            Ok(Some(file)) => Some(self.is_httpd(&file)),
            Ok(None) => directory.exists().then_some(false),
            Err(_) => None,
        }
    }

    /// What holds for one call only.
    fn forget(&mut self) {
        self.seen.clear();
        self.networks.clear();
        self.masters.clear();
    }

    fn directory(&self, pid: u32) -> Directory {
        Directory::new(&self.proc_root, pid)
    }

    fn is_httpd(&mut self, program: &File) -> bool {
        self.files.facts(program).is_ok_and(|facts| facts.httpd)
    }

    /// Interpreters that are installed where the dynamic loader looks, mapped or not.
    pub fn installed_pythons(&mut self) -> Vec<UprobeTarget> {
        installed::pythons(&self.proc_root, &mut self.files)
    }

    /// The intercept of each mod_wsgi that is installed where distributions put it.
    pub fn installed_mod_wsgis(&mut self) -> Vec<InterceptTarget> {
        installed::mod_wsgis(&self.proc_root, &mut self.files)
    }

    /// The intercept of the mod_wsgi that stands at a path in a process's root, mapped or not.
    pub fn mod_wsgi_at(&mut self, pid: u32, path: &str) -> Option<InterceptTarget> {
        let file = self
            .directory(pid)
            .open_inside(path.trim_start_matches('/'))?;
        installed::intercept(path.into(), file, &mut self.files)
    }

    /// Where the program of a process begins to read its configuration, if it is an httpd.
    pub fn reload(&mut self, pid: u32) -> Option<ReloadTarget> {
        let program = self.directory(pid).program().ok()??;
        installed::reload(&program, &mut self.files)
    }

    /// Servers that are installed where distributions put them, running or not.
    pub fn installed_httpds(&mut self) -> Vec<(FileKey, Option<ReloadTarget>)> {
        installed::httpds(&self.proc_root, &mut self.files)
    }

    fn look_again(&mut self, pid: u32) -> Result<Option<Look>, ScanError> {
        let directory = self.directory(pid);
        for _ in 0..TRIES {
            let Some(program) = directory.program()? else {
                return Ok(None);
            };
            if !self.is_httpd(&program) {
                return Ok(None);
            }
            let Some(before) = directory.stat()? else {
                return Ok(None);
            };
            let mut look = self.look_inside(&directory, &before)?;
            if let Some(look) = &mut look {
                look.reload = installed::reload(&program, &mut self.files);
            }
            let same_start = directory
                .stat()?
                .is_some_and(|now| now.start == before.start);
            if same_start && directory.runs(&program) {
                return Ok(look);
            }
        }
        Ok(None)
    }

    fn look_inside(
        &mut self,
        directory: &Directory,
        stat: &Stat,
    ) -> Result<Option<Look>, ScanError> {
        let (Some(status), Some(mapped)) = (directory.status()?, self.mapped(directory)?) else {
            return Ok(None);
        };
        if status.tgid != stat.pid {
            // `/proc` answers to the ids of threads, too.
            return Ok(None);
        }
        let arguments = directory.arguments()?;
        let modules = modules::modules(&mapped);
        let program = directory.program_name();
        let parent = self.parent(stat);
        Ok(Some(Look {
            key: key_of(stat),
            python: modules::python(&mapped),
            uprobes: self.uprobes(directory, &mapped),
            intercepts: self.intercepts(directory, &mapped),
            reload: None,
            has_mod_wsgi: modules.has(ModuleKind::ModWsgi),
            found: Found {
                daemon: parent.and_then(|parent| self.daemon(directory, parent)),
                parent,
                ns_pid: status.ns_pid,
                server: ServerFacts {
                    program: program.unwrap_or_else(|| stat.comm.clone()),
                    config: command::config(&arguments),
                    mpm: modules::mpm(&mapped),
                    mod_wsgi: modules::mod_wsgi(&mapped),
                },
                modules,
                container: proc::cgroup(&directory.cgroup()?),
                command: command::line(&arguments),
            },
        }))
    }

    fn parent(&mut self, child: &Stat) -> Option<ProcessKey> {
        let stat = self.directory(child.parent).stat().ok()??;
        // A younger "parent" has got the id of the real one.
        let real = stat.start <= child.start && self.program(child.parent)?;
        real.then(|| key_of(&stat))
    }

    /// The group of a daemon of this master.
    fn daemon(&mut self, directory: &Directory, master: ProcessKey) -> Option<u32> {
        let of_master = self.directory(master.pid);
        let ns_pid = of_master.status().ok()??.ns_pid;
        let network = self.network(directory);
        // To look at what a process has open takes much longer.
        if !network.has_groups(ns_pid) {
            return None;
        }
        let read = || of_master.sockets().collect::<HashSet<_>>().into();
        let masters = self.masters.entry(master).or_insert_with(read);
        network.group(ns_pid, masters, &directory.sockets().collect())
    }

    fn network(&mut self, directory: &Directory) -> Arc<Network> {
        let read = || {
            let listeners = daemon::listeners(&directory.unix_sockets());
            let tcp = if listeners.is_empty() {
                HashSet::new()
            } else {
                directory.tcp_listeners()
            };
            Arc::new(Network { listeners, tcp })
        };
        match directory.network() {
            Some(id) => Arc::clone(self.networks.entry(id).or_insert_with(read)),
            None => read(),
        }
    }

    fn mapped(&mut self, directory: &Directory) -> Result<Option<Vec<Mapped>>, ScanError> {
        let Some(text) = directory.maps()? else {
            return Ok(None);
        };
        Ok(Some(self.group(directory, &text)))
    }

    fn group(&mut self, directory: &Directory, text: &str) -> Vec<Mapped> {
        let facts = |mapping: &Mapping, file| self.facts(directory, mapping, file);
        modules::group(proc::mappings(text), facts)
    }

    fn uprobes(&mut self, directory: &Directory, mapped: &[Mapped]) -> Vec<UprobeTarget> {
        let mut target = |mapped: &Mapped| {
            mapped.facts.as_ref()?.python.as_ref()?;
            let (open, path) = directory.open(&mapped.code, mapped.file)?;
            // What is there now need not be what was there a moment ago.
            let python = self.files.facts(&open).ok()?.python.clone()?;
            Some(UprobeTarget {
                path,
                open: Open::new(open),
                file: mapped.file,
                start: python.start?,
                python,
            })
        };
        mapped.iter().filter_map(&mut target).collect()
    }

    fn intercepts(&mut self, directory: &Directory, mapped: &[Mapped]) -> Vec<InterceptTarget> {
        let mut targets: Vec<InterceptTarget> = Vec::new();
        for mapped in mapped {
            let is_new = targets.iter().all(|target| target.file != mapped.file);
            if is_new && let Some(target) = self.intercept(directory, mapped) {
                targets.push(target);
            }
        }
        targets
    }

    fn intercept(&mut self, directory: &Directory, mapped: &Mapped) -> Option<InterceptTarget> {
        mapped.facts.as_ref()?.intercept.as_ref()?;
        let (open, path) = directory.open(&mapped.code, mapped.file)?;
        // What is there now need not be what was there a moment ago.
        let found = self.files.facts(&open).ok()?.intercept.clone()?;
        Some(InterceptTarget {
            path,
            open: Open::new(open),
            file: mapped.file,
            found,
        })
    }

    fn facts(
        &mut self,
        directory: &Directory,
        mapping: &Mapping,
        file: FileId,
    ) -> Option<Arc<FileFacts>> {
        if let Some(facts) = self.seen.get(&file) {
            return facts.clone();
        }
        let (open, _) = directory.open(mapping, file)?;
        let facts = self.files.facts(&open).ok();
        self.seen.insert(file, facts.clone());
        facts
    }
}

fn key_of(stat: &Stat) -> ProcessKey {
    ProcessKey {
        pid: stat.pid,
        start: stat.start,
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
