//! What stands on every signal of every worker, in the shape that users see: the API and
//! `sigblame status` share it. Pure; made on demand, so that it costs nothing per event.

mod facts;
#[cfg(test)]
pub(crate) mod sample;
mod take;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use super::exceptions::ExceptionStatus;
use crate::{
    policy::{
        Severity,
        finding::{ApplicationRef, Blame, ExceptionRef},
    },
    process::Container,
};

/// The format of these objects.
pub const SCHEMA: u32 = 1;

/// Everything that `sigblame status` shows: the answer of `/api/v1/status`, and the workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The agent and the servers.
    #[serde(flatten)]
    pub status: Status,
    /// The workers of all servers, newest first.
    pub workers: Vec<Worker>,
}

/// The answer of `/api/v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Format of this object, [`SCHEMA`].
    pub schema: u32,
    /// RFC 3339: when the servers were in this state.
    pub time: String,
    /// Who tells.
    pub agent: Agent,
    /// What the agent hears by.
    pub hooks: Vec<Hook>,
    /// The exceptions of the configuration, in its order.
    pub exceptions: Vec<ExceptionStatus>,
    /// Every httpd with mod_wsgi, newest first.
    pub servers: Vec<Server>,
}

/// The answer of `/api/v1/workers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workers {
    /// The workers of all servers, newest first.
    pub workers: Vec<Worker>,
}

/// What the engine knows at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// RFC 3339.
    pub time: String,
    /// The exceptions of the configuration, in its order.
    pub exceptions: Vec<ExceptionStatus>,
    /// Every httpd with mod_wsgi, newest first.
    pub servers: Vec<Server>,
    /// The workers of all servers, newest first.
    pub workers: Vec<Worker>,
}

/// The agent itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its version.
    pub version: String,
    /// Its process id, in its own pid namespace.
    pub pid: u32,
    /// RFC 3339: when it was started.
    pub started: String,
}

/// One way of attaching a hook, best first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Which hook.
    pub hook: String,
    /// By which mechanism.
    pub mechanism: String,
    /// Without this hook the agent cannot do its main job.
    pub required: bool,
    /// Whether this one is in use.
    pub attached: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// One httpd instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// The metric label that stands for this server.
    pub name: String,
    /// The master's process id.
    pub pid: u32,
    /// RFC 3339: when the master was started.
    pub started: String,
    /// File name of the program.
    pub program: String,
    /// `event`, `worker`, `prefork`.
    pub mpm: Option<String>,
    /// mod_wsgi's version.
    pub mod_wsgi: Option<String>,
    /// The main configuration file, where it is known.
    pub config: Option<String>,
    /// `on` or `off`: the restriction in force.
    pub restrict_signal: String,
    /// Where that was read: `file:line`, `default`, `configuration` (sigblame's own), or `assumed`
    /// while the server's configuration is not known.
    pub restrict_signal_from: String,
    /// What of the configuration could not be read or made sense of.
    pub problems: Vec<String>,
    /// How many workers it has.
    pub workers: Counts,
    /// In which container the master runs.
    pub container: Option<Container>,
    /// What stands in the master, which its workers inherit.
    pub signals: Vec<SignalStatus>,
}

/// Workers by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Children of the MPM.
    pub embedded: usize,
    /// Processes of `WSGIDaemonProcess` groups.
    pub daemon: usize,
    /// Daemons with `threads=0`.
    pub service_script: usize,
}

/// One process that runs Python.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// Process id, in the initial pid namespace.
    pub pid: u32,
    /// Process id in the worker's own pid namespace.
    pub ns_pid: Option<u32>,
    /// RFC 3339: when it was started.
    pub started: String,
    /// `embedded`, `daemon`, `service-script`.
    pub role: String,
    /// The [`Server::name`] of its server.
    pub server: String,
    /// The `WSGIDaemonProcess` group, where it is known.
    pub process_group: Option<String>,
    /// `on` or `off`: the restriction in its interpreters, where no section names one of them.
    pub restrict_signal: String,
    /// As in [`Server::restrict_signal_from`].
    pub restrict_signal_from: String,
    /// What may run in it, where that is known.
    pub applications: Vec<ApplicationRef>,
    /// In which container it runs.
    pub container: Option<Container>,
    /// The handlers that its applications believe to have and have not: mod_wsgi blocked them.
    pub blocked_attempts: Vec<BlockedStatus>,
    /// Every signal, by its number.
    pub signals: Vec<SignalStatus>,
}

/// A call of `signal.signal` that mod_wsgi blocked in a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockedStatus {
    /// The signal's name, like `SIGTERM`.
    pub signal: String,
    /// The open finding about it.
    pub by: TakenBy,
}

/// What stands on one signal of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalStatus {
    /// Signal number.
    pub number: u8,
    /// Its name, like `SIGTERM`.
    pub name: String,
    /// `default`, `ignore` or `handler`; `unknown` where nobody has looked yet.
    pub kind: String,
    /// The mapped file that the handler lies in.
    pub owner: Option<String>,
    /// Whose code the handler is: `server`, `interpreter`, `c-library`, `application` or `unknown`.
    pub code: Option<String>,
    /// The handler's symbol, where it is known.
    pub symbol: Option<String>,
    /// The flags by name.
    pub flags: Vec<String>,
    /// The open finding about it.
    pub taken_by: Option<TakenBy>,
}

/// An open finding, in a few words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakenBy {
    /// The finding's id: `/api/v1/findings/{id}` has all of it.
    pub id: String,
    /// The rule that says most.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// RFC 3339: since when it is open, in the first worker.
    pub since: String,
    /// Who did it.
    pub blame: Blame,
    /// The exception of the configuration that covers it.
    pub exception: Option<ExceptionRef>,
}
