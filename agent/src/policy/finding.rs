//! A finding, in the shape that users see: the API, JSON lines and the store share it.

mod history;

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    event::{Action, Disposition, FLAGS, Frame, Instant, Signal},
    process::Container,
};

pub use self::history::{Cause, DriftRef, ExceptionRef, Extent, Lasting, ShutdownRef, TakenFrom};
pub use crate::process::origin::{Origin, Route};

/// How bad it is. Ordered: a `--fail-on` compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Notice,
    /// Against the policy, or likely to hurt.
    Warning,
    /// The server's own work is at stake.
    Critical,
}

impl Severity {
    /// Every severity, mildest first.
    pub const ALL: [Self; 3] = [Self::Notice, Self::Warning, Self::Critical];

    /// The name that JSON and metric labels use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Whether the takeover goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It goes on in at least one worker.
    Open,
    /// Restored, or the workers are gone.
    Resolved,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The disposition was set.
    Applied,
    /// mod_wsgi blocked it.
    Blocked,
    /// The kernel refused it.
    Failed,
}

impl Outcome {
    /// The name that JSON and metric labels use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
        }
    }
}

/// A finding's `signal` object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalRef {
    /// Signal number.
    pub number: u8,
    /// Its name, like `SIGTERM`.
    pub name: String,
}

impl From<Signal> for SignalRef {
    fn from(signal: Signal) -> Self {
        Self {
            number: signal.number(),
            name: signal.to_string(),
        }
    }
}

/// A finding's `server` object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRef {
    /// The metric label that stands for this server; never a path or a process id.
    pub name: String,
    /// The master's process id.
    pub pid: Option<u32>,
    /// The main configuration file.
    pub config: Option<String>,
    /// `on` or `off`: the restriction in force.
    pub restrict_signal: String,
    /// Where that was read: `file:line`, `default`, `configuration` (sigblame's own), or `assumed`
    /// while the server's configuration is not known.
    pub restrict_signal_from: String,
    /// mod_wsgi's version.
    pub mod_wsgi: Option<String>,
}

/// A finding's `worker` object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRef {
    /// Process id, in the initial pid namespace.
    pub pid: u32,
    /// Process id in the worker's own pid namespace.
    pub ns_pid: Option<u32>,
    /// `embedded`, `daemon`, `service-script`; `master` for the parent itself.
    pub role: String,
    /// `event`, `worker`, `prefork`.
    pub mpm: Option<String>,
    /// The `WSGIDaemonProcess` group, where it is known.
    pub process_group: Option<String>,
}

/// A finding's `application` object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationRef {
    /// The application group; `%{GLOBAL}` is the main interpreter.
    pub group: Option<String>,
    /// `PyInterpreterState.id`.
    pub interpreter: Option<i64>,
    /// The WSGI script.
    pub script: Option<String>,
}

/// A finding's `thread` object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadRef {
    /// Thread id, in the initial pid namespace.
    pub tid: u32,
    /// Whether it is the process's main thread.
    pub main: bool,
}

/// One side of a finding's `change` object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispositionRef {
    /// `default`, `ignore` or `handler`; `unknown` where a blocked call's wish could not be read, or
    /// nobody saw what stood there.
    pub kind: String,
    /// The mapped file that the handler lies in; `[anonymous]` for memory that no file backs.
    pub owner: Option<String>,
    /// The handler's symbol, where it is known.
    pub symbol: Option<String>,
}

impl DispositionRef {
    /// With the owner that the process table resolved, and the handler's symbol.
    #[must_use]
    pub fn new(disposition: &Disposition, owner: Option<&str>, symbol: Option<&str>) -> Self {
        let kind = match disposition.action {
            Action::Default => "default",
            Action::Ignore => "ignore",
            Action::Handler(_) => "handler",
        };
        Self {
            kind: kind.to_owned(),
            owner: owner.map(str::to_owned),
            symbol: symbol.map(str::to_owned),
        }
    }
}

/// A finding's `change` object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRef {
    /// Before.
    pub old: DispositionRef,
    /// After.
    pub new: DispositionRef,
    /// The new disposition's flags by name.
    pub flags: Vec<String>,
    /// Another thread set or rewrote the same disposition during the call.
    pub contested: bool,
}

/// Names of the flags in a mask that `sigaction(2)` knows.
#[must_use]
pub fn flag_names(flags: u64) -> Vec<String> {
    FLAGS
        .iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

/// A finding's `python` object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonRef {
    /// `3.11`, where an interpreter is known.
    pub version: Option<String>,
    /// `complete`, `truncated`, `none` or `failed(reason)`.
    pub result: String,
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// Outer frames that are not listed.
    pub left_out: u32,
}

/// One frame of a finding's `native` object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeFrame {
    /// The mapped file.
    pub module: Arc<str>,
    /// The symbol, where the file has one.
    pub symbol: Option<Arc<str>>,
    /// Bytes from the symbol's, or else the file's, start.
    pub offset: u64,
    /// Whose code it is: `application`, `server`, `interpreter`, `c-library`, `carrier` (libffi),
    /// `kernel` or `unknown`.
    pub code: Cow<'static, str>,
    /// How many of the Python frames are further inside: both stacks read as one.
    pub python_inside: usize,
}

/// A finding's `native` object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeRef {
    /// `complete`, `truncated`, `none` or `failed(reason)`.
    pub result: String,
    /// Innermost first.
    pub frames: Vec<NativeFrame>,
}

/// A finding's `blame` object: the first frame that is neither the server's, the
/// interpreter's nor the standard library's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Blame {
    /// Python file.
    pub file: Option<String>,
    /// Line in it.
    pub line: Option<u32>,
    /// Qualified name.
    pub function: Option<String>,
    /// Native module.
    pub module: Option<String>,
}

/// What was seen of one registration or blocked attempt. A finding and a line of `trace` share it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Which signal.
    pub signal: SignalRef,
    /// How.
    pub route: Route,
    /// With what result.
    pub outcome: Outcome,
    /// Who told: `probe`; `error-log` where a mod_wsgi's intercept cannot be found; `inventory` or
    /// `masks` (of `/proc/PID/status`) where nobody saw the call.
    pub source: String,
    /// Whose server.
    pub server: ServerRef,
    /// Which worker, the first one.
    pub worker: WorkerRef,
    /// Which application.
    pub application: ApplicationRef,
    /// Which thread; null where nobody saw the call.
    pub thread: Option<ThreadRef>,
    /// From what to what.
    pub change: ChangeRef,
    /// The Python stack.
    pub python: PythonRef,
    /// The native stack.
    pub native: NativeRef,
    /// Who did it.
    pub blame: Blame,
    /// In which container.
    pub container: Option<Container>,
}

/// One line of `sigblame trace --json`: unfolded, not judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceLine {
    /// Format of this object, 1.
    pub schema: u32,
    /// `registration` or `blocked-attempt`.
    pub kind: String,
    /// RFC 3339.
    pub time: String,
    /// Who asked.
    pub origin: Origin,
    /// What was seen.
    #[serde(flatten)]
    pub evidence: Evidence,
}

/// A takeover that a rule has something to say about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Format of this object, 1.
    pub schema: u32,
    /// Names this finding for ever.
    pub id: String,
    /// Names its cause: the same for every worker and every repetition.
    pub fingerprint: String,
    /// RFC 3339, of the first event.
    pub time: String,
    /// The rule that says most.
    pub rule: String,
    /// The other rules that hold.
    pub also: Vec<String>,
    /// Of `rule`.
    pub severity: Severity,
    /// Open or resolved.
    pub state: State,
    /// RFC 3339; null while open.
    pub resolved_at: Option<String>,
    /// Seconds during which at least one worker was exposed; null while open.
    pub exposure_seconds: Option<f64>,
    /// Takeovers with this fingerprint since `time`.
    pub count: u64,
    /// In how many workers, and how they ended.
    pub extent: Extent,
    /// Temporary or permanent, by what happened; null while nothing has ended.
    pub lasting: Option<Lasting>,
    /// The takeover from which this one took the signal; null where it was the server's.
    pub taken_from: Option<TakenFrom>,
    /// The takeover that made a shutdown hang; null but for `shutdown-blocked`.
    pub cause: Option<Cause>,
    /// The shutdown that hung; null but for `shutdown-blocked`.
    pub shutdown: Option<ShutdownRef>,
    /// How it was noticed; null but for `disposition-drift`.
    pub drift: Option<DriftRef>,
    /// The exception of the configuration that covers it.
    pub exception: Option<ExceptionRef>,
    /// What was seen.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// One sentence: what happened.
    pub message: String,
    /// One sentence: what to do.
    pub remedy: String,
}

/// Turns the core's clock into RFC 3339. The core has no clock of its own; this is an offset
/// measured once, at the agent's start, or kept in a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WallClock {
    /// `CLOCK_REALTIME` minus `CLOCK_BOOTTIME`, nanoseconds.
    pub offset: i64,
}

impl WallClock {
    /// RFC 3339 in UTC with microseconds.
    #[must_use]
    pub fn rfc3339(self, when: Instant) -> String {
        let nanoseconds = i128::from(when.0) + i128::from(self.offset);
        jiff::Timestamp::from_nanosecond(nanoseconds)
            .map(|stamp| format!("{stamp:.6}"))
            .unwrap_or_else(|_| "1970-01-01T00:00:00.000000Z".to_owned())
    }
}
