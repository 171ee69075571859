//! Who: processes, their identity, their part in a server, and what is mapped in them.

pub mod application;
pub mod command;
mod daemon;
pub(crate) mod directory;
pub mod elf;
pub mod facts;
pub mod files;
mod installed;
pub mod intercept_file;
mod modules;
pub mod origin;
pub mod proc;
pub mod python_file;
#[cfg(test)]
pub(crate) mod sample;
pub mod scan;
pub mod server;
pub mod shutdown;
pub mod stack;
pub mod table;
pub mod takeover;
#[cfg(test)]
mod tree;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Dispositions;

/// A process's identity. Process ids are reused, starts are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessKey {
    /// Process id, in the initial pid namespace.
    pub pid: u32,
    /// Start in clock ticks of 10 ms since boot, as field 22 of `/proc/PID/stat` has it.
    pub start: u64,
}

impl ProcessKey {
    /// No process at all: what happens to none.
    pub const NONE: Self = Self { pid: 0, start: 0 };

    /// From the kernel's `start_boottime`, in nanoseconds.
    ///
    /// `/proc/PID/stat` shows the same value in units of `USER_HZ`, which is 100 on every
    /// architecture that we support (`fs/proc/array.c`, `nsec_to_clock_t`).
    #[must_use]
    pub fn from_kernel(pid: u32, start_ns: u64) -> Self {
        Self {
            pid,
            start: start_ns / 10_000_000,
        }
    }
}

/// What part a process plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The server's parent process.
    Master,
    /// A child of the MPM: runs Python in embedded mode.
    Embedded,
    /// A process of a `WSGIDaemonProcess` group.
    Daemon,
    /// A daemon with `threads=0`.
    ServiceScript,
    /// Something a worker made; exempt.
    Child,
}

impl Role {
    /// Whether it is a process of a `WSGIDaemonProcess` group.
    #[must_use]
    pub fn is_daemon(self) -> bool {
        matches!(self, Self::Daemon | Self::ServiceScript)
    }

    /// The name that JSON and metric labels use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Embedded => "embedded",
            Self::Daemon => "daemon",
            Self::ServiceScript => "service-script",
            Self::Child => "child",
        }
    }
}

/// Whose a mapped file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModuleKind {
    /// The httpd program itself (it exports `ap_run_mpm` or the like).
    Httpd,
    /// A multi-processing module; the MPM's name is the server's `mpm`.
    Mpm,
    /// mod_wsgi (it exports `wsgi_module`).
    ModWsgi,
    /// Another module of httpd (it exports a `…_module` structure), APR or APR-util.
    HttpdPart,
    /// A file that carries the CPython runtime (it exports `_PyRuntime` or the like).
    Python,
    /// The C library or the dynamic loader.
    Libc,
    /// Anything else: an extension, a library.
    Other,
}

/// One mapped file of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// First address of the file's mappings.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// Path as the process sees it.
    pub path: Arc<str>,
    /// Whose it is.
    pub kind: ModuleKind,
}

impl Module {
    /// The path's last part.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// The mapped files of a process, by address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modules(pub Arc<[Module]>);

impl Modules {
    /// The module in which an address lies; `None` for anonymous or unknown memory.
    #[must_use]
    pub fn at(&self, address: u64) -> Option<&Module> {
        self.0.iter().find(|m| (m.start..m.end).contains(&address))
    }

    /// Whether a module of this kind is mapped.
    #[must_use]
    pub fn has(&self, kind: ModuleKind) -> bool {
        self.0.iter().any(|m| m.kind == kind)
    }
}

/// What a look at `/proc` tells of one process of an httpd with mod_wsgi.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The parent, if that one belongs to an httpd, too.
    pub parent: Option<ProcessKey>,
    /// Process id in its own innermost pid namespace.
    pub ns_pid: u32,
    /// What is mapped.
    pub modules: Modules,
    /// Facts of the server that its processes share.
    pub server: ServerFacts,
    /// Container, read from the cgroup path.
    pub container: Option<Container>,
    /// The command line, arguments joined by blanks, at most 4 KiB.
    pub command: String,
    /// For a daemon, the place of its `WSGIDaemonProcess` in the configuration, from 1.
    #[serde(default)]
    pub daemon: Option<u32>,
}

/// What one look at a process tells about its server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// File name of the program: `apache2`, `httpd`.
    pub program: String,
    /// The main configuration file, where the command line names it.
    pub config: Option<String>,
    /// `event`, `worker`, `prefork`, …: which MPM module is mapped.
    pub mpm: Option<String>,
    /// mod_wsgi's version, from the module file.
    pub mod_wsgi: Option<String>,
}

/// A container, by the cgroup path that its runtime made.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Container {
    /// The container's id, 64 hexadecimal digits.
    pub id: String,
    /// The Kubernetes pod's UID.
    pub pod_uid: Option<String>,
}

/// Dispositions of a process that have not been seen yet.
#[must_use]
pub fn unknown_dispositions() -> Box<Dispositions> {
    Box::new([crate::event::Disposition::default(); probe_abi::record::SIGNALS])
}
