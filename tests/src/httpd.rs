//! A real Apache httpd with mod_wsgi of our own: own directory, own loopback port, own processes.
//!
//! It shares nothing with the system's server: no configuration, no runtime directory, no service.
//! Describe one with [`Builder`], start it, ask it, stop it; dropping it stops it, too.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use crate::{
    http::{self, Response},
    process::Ended,
    scratch::Scratch,
    wait_for,
};

mod config;
mod control;
mod express;
mod install;
mod master;
mod namespace;
mod pythons;

pub use config::{Builder, Place};
use control::{CONFIG, Program};
pub use install::Installation;
use master::{Detached, Master};
pub use namespace::Namespaces;
pub use pythons::{BUILT, LINKED_IN, Python, linked_in};

/// How long a server may take to start, to restart, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a server may take to stop. httpd kills a deaf daemon after three seconds, and an
/// embedded worker after up to ten.
const GRACE: Duration = Duration::from_secs(5);
/// What httpd logs when it has started or restarted.
const RESUMING: &str = "resuming normal operations";

/// How httpd spreads its work over processes and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mpm {
    /// Threads, and one that waits for idle connections.
    Event,
    /// Threads.
    Worker,
    /// One request per process, on its main thread.
    Prefork,
}

impl Mpm {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Event, Self::Worker, Self::Prefork];

    /// As in `mod_mpm_NAME.so`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Worker => "worker",
            Self::Prefork => "prefork",
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Httpd {
    // Fields drop in this order: the processes go before their directory.
    process: Master,
    port: u16,
    program: Program,
    scratch: Scratch,
}

impl Httpd {
    /// Starts what `builder` describes and waits until it answers, without waking an application.
    fn start(builder: &Builder) -> Result<(Master, u16)> {
        // Between our look and httpd's bind somebody else may take the port.
        for _ in 0..3 {
            let port = http::free_port()?;
            let dir = builder.scratch.path();
            let config = dir.join(CONFIG);
            crate::scratch::write(&config, builder.render(port))?;
            let output = fs::File::create(dir.join("output.log"))
                .context("failed to make the server's output file")?;
            let program = builder.program();
            let mut command = program.command(&config);
            command.stdout(output.try_clone()?).stderr(output);
            let process = if program.namespaces.has_own_processes() {
                Master::inside(&mut command)?
            } else if builder.background {
                Detached::start(&mut command, &dir.join("httpd.pid"))
                    .with_context(|| read_logs(dir))?
            } else {
                Master::foreground(&mut command)?
            };
            let answered = wait_for(PATIENCE, || {
                if process.has_ended() {
                    return Some(false);
                }
                // Answered by httpd's core: no script is loaded for it.
                http::request(address(port), "OPTIONS", "*", Duration::from_secs(2))
                    .is_ok()
                    .then_some(true)
            });
            if answered == Some(true) {
                return Ok((process, port));
            }
            let log = read_logs(dir);
            if !log.contains("could not bind to address") {
                bail!(
                    "failed to start {}; it said:\n{log}",
                    builder.installation.httpd.display()
                );
            }
        }
        bail!("failed to find a port for httpd: each one was taken before httpd had it");
    }

    fn from_parts(process: Master, port: u16, program: Program, scratch: Scratch) -> Self {
        Self {
            process,
            port,
            program,
            scratch,
        }
    }

    /// The loopback port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a page.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", address(self.port))
    }

    /// The master's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its own directory; `httpd.conf` and `error.log` are in it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// Where a file of the application is, as a finding names it.
    #[must_use]
    pub fn app_file(&self, name: &str) -> PathBuf {
        self.dir().join(config::APP).join(name)
    }

    /// Asks for a page. With `MaxConnectionsPerChild` under the event MPM now and then a child goes
    /// with a connection in its hands; a test that churns workers asks again.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn get(&self, path: &str) -> Result<Response> {
        http::get(address(self.port), path, PATIENCE)
    }

    /// The master's children: embedded workers, and daemons, too.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn children(&self) -> Result<Vec<u32>> {
        let pid = self.pid();
        let path = format!("/proc/{pid}/task/{pid}/children");
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
        Ok(text
            .split_whitespace()
            .filter_map(|id| id.parse().ok())
            .collect())
    }

    /// What httpd, mod_wsgi and the applications wrote to the error log so far.
    #[must_use]
    pub fn error_log(&self) -> String {
        read_logs(self.dir())
    }

    /// Sends the master a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Restarts it gracefully and waits until the master is back; old workers may linger.
    ///
    /// # Errors
    /// When the master does not come back.
    pub fn graceful(&self) -> Result<()> {
        let resumed = |log: String| log.matches(RESUMING).count();
        let before = resumed(self.error_log());
        self.signal(Signal::USR1)?;
        wait_for(PATIENCE, || {
            (resumed(self.error_log()) > before).then_some(())
        })
        .with_context(|| {
            format!(
                "failed to restart httpd gracefully; it said:\n{}",
                self.error_log()
            )
        })
    }

    /// Stops it. A worker that does not heed SIGTERM is killed by httpd after some seconds; where
    /// that takes too long we kill the whole server, and the answer says `forced`.
    ///
    /// # Errors
    /// When the master cannot be waited for.
    pub fn stop(self) -> Result<Ended> {
        self.process.stop()
    }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn read_logs(dir: &Path) -> String {
    ["output.log", "error.log"]
        .into_iter()
        .filter_map(|name| fs::read(dir.join(name)).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}
