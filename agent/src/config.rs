//! The configuration file: YAML text in, [`Config`] out. Nothing is opened, bound or looked up.
//!
//! Every key is optional, so an empty file is a whole configuration. A key that nobody knows is an
//! error and not a warning, because a policy that silently does not apply is worse than an agent
//! that does not start.

pub mod exceptions;
mod read;

use std::{
    fmt::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

pub use self::exceptions::{Exception, Pattern};

/// Where the agent listens when nobody says otherwise.
pub const LISTEN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9749);

/// Most findings that may be kept in memory. The store lets no more than 8 KiB a finding pile up.
pub const KEEP_LIMIT: usize = 1_000_000;

/// Everything that a user can set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP side.
    #[serde(deserialize_with = "read::section")]
    pub web: Web,
    /// Where findings outlive the agent; without it they live in memory.
    pub state_dir: Option<PathBuf>,
    /// The agent's own log.
    #[serde(deserialize_with = "read::section")]
    pub log: Log,
    /// What is allowed.
    #[serde(deserialize_with = "read::section")]
    pub policy: Policy,
    /// What is known and accepted.
    #[serde(deserialize_with = "read::section")]
    pub exceptions: Vec<Exception>,
    /// What is kept.
    #[serde(deserialize_with = "read::section")]
    pub findings: Findings,
    /// Where the host's `/proc` is mounted.
    pub proc_root: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            web: Web::default(),
            state_dir: None,
            log: Log::default(),
            policy: Policy::default(),
            exceptions: Vec::new(),
            findings: Findings::default(),
            proc_root: PathBuf::from("/proc"),
        }
    }
}

/// Section `web`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Address and port of the HTTP listener.
    #[serde(deserialize_with = "read::listen_address")]
    pub listen_address: SocketAddr,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen_address: LISTEN_ADDRESS,
        }
    }
}

/// Section `log`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The mildest message that is written.
    pub level: LogLevel,
    /// How messages and findings are written.
    pub format: LogFormat,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What stops work.
    Error,
    /// What hinders work.
    Warn,
    /// What an operator wants to know.
    #[default]
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The name that files and flags use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The name that files and flags use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Section `policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Under which `WSGIRestrictSignal` to judge.
    #[serde(deserialize_with = "read::restrict_signal")]
    pub restrict_signal: RestrictSignal,
    /// How long a worker may take to go before a takeover that is in its way is told.
    #[serde(deserialize_with = "read::grace")]
    pub shutdown_grace_seconds: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            restrict_signal: RestrictSignal::default(),
            // httpd kills daemons after three.
            shutdown_grace_seconds: 2,
        }
    }
}

/// Under which `WSGIRestrictSignal` to judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestrictSignal {
    /// The one in force in each interpreter, from its server's own configuration.
    #[default]
    Auto,
    /// As if it were On everywhere.
    On,
    /// As if it were Off everywhere.
    Off,
}

impl RestrictSignal {
    /// The name that files use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// Section `findings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Findings {
    /// How many findings are kept.
    #[serde(deserialize_with = "read::keep")]
    pub keep: usize,
}

impl Default for Findings {
    fn default() -> Self {
        Self { keep: 10_000 }
    }
}

/// Why a text is no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file, as the user named it.
    pub name: String,
    /// Where in it, from 1.
    pub line: Option<u64>,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.name, self.what),
            None => write!(f, "{}: {}", self.name, self.what),
        }
    }
}

impl Config {
    /// Reads `text`; `name` stands in the errors.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its line.
    pub fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        let options = serde_saphyr::options! { with_snippet: false };
        // An empty document is null to YAML and the default to us.
        serde_saphyr::from_str_with_options::<Option<Self>>(text, options)
            .map(Option::unwrap_or_default)
            .map_err(|error| ConfigError {
                name: name.to_owned(),
                line: error
                    .location()
                    .map(|at| at.line())
                    .filter(|line| *line > 0),
                what: read::explain(&error),
            })
    }

    /// The whole configuration as YAML, defaults included; reading it again gives an equal one.
    #[must_use]
    pub fn effective(&self) -> String {
        let state_dir = match &self.state_dir {
            Some(path) => quoted(&path.to_string_lossy()),
            None => "null".to_owned(),
        };
        let mut exceptions = vec!["exceptions:".to_owned()];
        exceptions.extend(self.exceptions.iter().map(Exception::effective));
        if self.exceptions.is_empty() {
            exceptions = vec!["exceptions: []".to_owned()];
        }
        [
            "web:".to_owned(),
            format!(
                "  listen_address: {}",
                quoted(&self.web.listen_address.to_string())
            ),
            format!("state_dir: {state_dir}"),
            "log:".to_owned(),
            format!("  level: {}", self.log.level.name()),
            format!("  format: {}", self.log.format.name()),
            "policy:".to_owned(),
            format!("  restrict_signal: {}", self.policy.restrict_signal.name()),
            format!(
                "  shutdown_grace_seconds: {}",
                self.policy.shutdown_grace_seconds
            ),
            exceptions.join("\n"),
            "findings:".to_owned(),
            format!("  keep: {}", self.findings.keep),
            format!("proc_root: {}\n", quoted(&self.proc_root.to_string_lossy())),
        ]
        .join("\n")
    }
}

/// A double-quoted YAML scalar, in printable characters only.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            _ if character.is_control() => {
                // The formatter of a String cannot fail.
                let _ = write!(out, "\\x{:02x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
