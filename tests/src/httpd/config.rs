//! What a server should be like, and the `httpd.conf` that says so.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{Httpd, Installation, Mpm, control::Program};
use crate::scratch::{self, Scratch};

/// The directory of the application's files, in the server's own.
pub(super) const APP: &str = "app";
/// Where another Python than the system's appears in it.
const PYTHON: &str = "python";
/// Where a mod_wsgi of the server's own is in it.
const MODULES: &str = "modules";

/// Which process and which interpreter run a script.
#[derive(Clone, Debug)]
pub struct Place {
    process_group: String,
    application_group: String,
}

impl Place {
    /// In httpd's own children.
    #[must_use]
    pub fn embedded(application_group: &str) -> Self {
        // An empty process group means embedded, but mod_wsgi wants it spelled like this.
        Self::daemon("%{GLOBAL}", application_group)
    }

    /// In a group that [`Builder::daemon`] defines. `%{GLOBAL}` is the main interpreter.
    #[must_use]
    pub fn daemon(process_group: &str, application_group: &str) -> Self {
        Self {
            process_group: process_group.to_owned(),
            application_group: application_group.to_owned(),
        }
    }
}

/// Describes a server; [`Builder::start`] starts it.
#[derive(Debug)]
pub struct Builder {
    pub(super) scratch: Scratch,
    pub(super) installation: Installation,
    pub(super) env: Vec<(String, String)>,
    pub(super) background: bool,
    mpm: Mpm,
    children: u32,
    threads: u32,
    /// Everything about mod_wsgi and what callers add, in order.
    lines: Vec<String>,
}

impl Builder {
    /// A server with one embedded child of five threads, and no application.
    ///
    /// # Errors
    /// When no httpd with mod_wsgi is installed, or no directory can be made for it.
    pub fn new(mpm: Mpm) -> Result<Self> {
        let installation = Installation::find().context(
            "failed to find httpd with mod_wsgi: `cargo xtask test` or `cargo xtask run` installs \
             them on Debian and Ubuntu; elsewhere install your system's packages",
        )?;
        Self::on(installation, mpm)
    }

    /// The same of an installation that is known.
    ///
    /// # Errors
    /// When no directory can be made for it.
    pub fn on(mut installation: Installation, mpm: Mpm) -> Result<Self> {
        let scratch = Scratch::new("httpd")?;
        scratch.make_dir(APP)?;
        scratch.make_dir("run")?;
        let mut env = Vec::new();
        let mut lines = Vec::new();
        if let Some(home) = &installation.python_home {
            // It may be in somebody's home directory, which workers may not enter.
            let at = scratch.make_dir(PYTHON)?;
            installation.namespaces.bind(home, &at);
            env.push((
                "LD_LIBRARY_PATH".to_owned(),
                at.join("lib").display().to_string(),
            ));
            lines.push(format!("WSGIPythonHome \"{}\"", at.display()));
        }
        Ok(Self {
            scratch,
            installation,
            env,
            background: false,
            mpm,
            children: 1,
            threads: 5,
            lines,
        })
    }

    /// Where the application's files are; it is on Python's path.
    #[must_use]
    pub fn app_dir(&self) -> PathBuf {
        self.scratch.path().join(APP)
    }

    /// Adds one file to the application.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(self, name: &str, text: &str) -> Result<Self> {
        scratch::write(&self.app_dir().join(name), text)?;
        Ok(self)
    }

    /// Copies a directory's files, not its subdirectories, to the application: workers run as
    /// another user, who may not be able to reach the original.
    ///
    /// # Errors
    /// When one cannot be copied.
    pub fn files(self, from: &Path) -> Result<Self> {
        let failed = || format!("failed to copy {}", from.display());
        for entry in fs::read_dir(from).with_context(failed)? {
            let entry = entry.with_context(failed)?;
            if entry.file_type().with_context(failed)?.is_file() {
                let text = fs::read(entry.path()).with_context(failed)?;
                scratch::write(&self.app_dir().join(entry.file_name()), text)?;
            }
        }
        Ok(self)
    }

    /// Starts it as a service is started: the process that we start makes the master and ends.
    #[must_use]
    pub fn background(mut self) -> Self {
        self.background = true;
        self
    }

    /// How many embedded children there are.
    #[must_use]
    pub fn children(mut self, children: u32) -> Self {
        self.children = children;
        self
    }

    /// How many threads each embedded child has; the prefork MPM knows none.
    #[must_use]
    pub fn threads(mut self, threads: u32) -> Self {
        self.threads = threads;
        self
    }

    /// A line of configuration.
    #[must_use]
    pub fn directive(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Loads another of httpd's modules, like `status`.
    #[must_use]
    pub fn module(self, name: &str) -> Self {
        let file = self.installation.modules.join(format!("mod_{name}.so"));
        self.directive(format!("LoadModule {name}_module \"{}\"", file.display()))
    }

    /// Another mod_wsgi than the system's, for another Python.
    #[must_use]
    pub fn mod_wsgi(mut self, file: &Path) -> Self {
        self.installation.mod_wsgi = file.to_path_buf();
        self
    }

    /// A copy of mod_wsgi in the server's own directory, changed by `edit`, is its mod_wsgi.
    ///
    /// # Errors
    /// When it cannot be copied, or `edit` fails.
    pub fn own_mod_wsgi(mut self, edit: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let from = &self.installation.mod_wsgi;
        let from = self.installation.namespaces.outside(from);
        let bytes = fs::read(&from);
        let bytes = bytes.with_context(|| format!("failed to read {}", from.display()))?;
        let file = self.scratch.make_dir(MODULES)?.join("mod_wsgi.so");
        scratch::write(&file, bytes)?;
        edit(&file)?;
        self.installation.mod_wsgi = file;
        Ok(self)
    }

    /// A copy of httpd's program under another name in the server's own directory is its program.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn own_httpd(mut self, name: &str) -> Result<Self> {
        let from = &self.installation.httpd;
        let file = self.scratch.make_dir("sbin")?.join(name);
        // With its mode: it is a program.
        fs::copy(from, &file).with_context(|| format!("failed to copy {}", from.display()))?;
        self.installation.httpd = file;
        Ok(self)
    }

    /// Gives the server process ids of its own.
    #[must_use]
    pub fn own_processes(mut self) -> Self {
        self.installation.namespaces.own_processes();
        self
    }

    /// A variable in the environment of the server, which has none of ours.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes `WSGIRestrictSignal`; without this call its default holds, which is On.
    #[must_use]
    pub fn restrict(self, on: bool) -> Self {
        self.directive(format!(
            "WSGIRestrictSignal {}",
            if on { "On" } else { "Off" }
        ))
    }

    /// Ends each child after so many connections.
    #[must_use]
    pub fn max_connections_per_child(self, connections: u32) -> Self {
        self.directive(format!("MaxConnectionsPerChild {connections}"))
    }

    /// Defines a process group; `options` as in `processes=1 threads=3`.
    #[must_use]
    pub fn daemon(self, process_group: &str, options: &str) -> Self {
        let path = self.app_dir();
        self.directive(format!(
            "WSGIDaemonProcess {process_group} {options} python-path=\"{}\"",
            path.display()
        ))
    }

    /// Serves `prefix` with a file of the application. The first prefix that fits wins.
    #[must_use]
    pub fn script(self, prefix: &str, file: &str, place: &Place) -> Self {
        let line = self.with_place("WSGIScriptAlias", &format!("{prefix} "), file, place);
        self.directive(line)
    }

    /// Loads a file of the application when a process of its place starts.
    #[must_use]
    pub fn import_script(self, file: &str, place: &Place) -> Self {
        let line = self.with_place("WSGIImportScript", "", file, place);
        self.directive(line)
    }

    fn with_place(&self, directive: &str, prefix: &str, file: &str, place: &Place) -> String {
        format!(
            "{directive} {prefix}\"{}\" process-group={} application-group={}",
            self.app_dir().join(file).display(),
            place.process_group,
            place.application_group
        )
    }

    /// Starts it and waits until it answers. No application is loaded by that.
    ///
    /// # Errors
    /// When it does not come up; the error holds what it said.
    pub fn start(self) -> Result<Httpd> {
        let (process, port) = Httpd::start(&self)?;
        let program = self.program();
        Ok(Httpd::from_parts(process, port, program, self.scratch))
    }

    pub(super) fn program(&self) -> Program {
        Program {
            file: self.installation.httpd.clone(),
            namespaces: self.installation.namespaces.clone(),
            env: self.env.clone(),
        }
    }

    /// The text of `httpd.conf`.
    pub(super) fn render(&self, port: u16) -> String {
        let dir = self.scratch.path().display();
        let modules = self.installation.modules.display();
        let mpm = self.mpm.name();
        let mut text = format!(
            "ServerRoot \"{dir}\"\n\
             ServerName localhost\n\
             Listen 127.0.0.1:{port}\n\
             PidFile \"{dir}/httpd.pid\"\n\
             DefaultRuntimeDir \"{dir}/run\"\n\
             ErrorLog \"{dir}/error.log\"\n\
             LogLevel notice\n\
             KeepAlive Off\n\
             LoadModule mpm_{mpm}_module \"{modules}/mod_mpm_{mpm}.so\"\n\
             LoadModule authz_core_module \"{modules}/mod_authz_core.so\"\n\
             LoadModule wsgi_module \"{}\"\n\
             WSGISocketPrefix \"{dir}/run/wsgi\"\n\
             WSGIPythonPath \"{}\"\n",
            self.installation.mod_wsgi.display(),
            self.app_dir().display(),
        );
        self.render_sizes(&mut text);
        if rustix::process::geteuid().is_root()
            && let Some((user, group)) = &self.installation.account
        {
            line(&mut text, format_args!("User {user}\nGroup #{group}"));
        }
        for directive in &self.lines {
            line(&mut text, format_args!("{directive}"));
        }
        text
    }

    /// The number of children is held constant, but for children that are on their way out.
    fn render_sizes(&self, text: &mut String) {
        let children = self.children;
        let slots = children + 8;
        line(
            text,
            format_args!("StartServers {children}\nServerLimit {slots}"),
        );
        if self.mpm == Mpm::Prefork {
            line(
                text,
                format_args!(
                    "MinSpareServers {children}\nMaxSpareServers {}\nMaxRequestWorkers {children}",
                    children + 1
                ),
            );
        } else {
            let threads = self.threads;
            let all = children * threads;
            line(
                text,
                format_args!(
                    "ThreadLimit {threads}\nThreadsPerChild {threads}\nMinSpareThreads {all}\n\
                     MaxSpareThreads {}\nMaxRequestWorkers {all}",
                    all + threads
                ),
            );
        }
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _infallible = writeln!(text, "{arguments}");
}
