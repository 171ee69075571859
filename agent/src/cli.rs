//! The command line, whose names are promised: other people's scripts rely on them.
//!
//! A flag beats the environment, the environment beats the file, the file beats the default.

mod audit;
mod captures;

use std::{
    ffi::OsString,
    fs::File,
    io::Read as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, builder::PossibleValuesParser};

pub use self::{
    audit::AuditArgs,
    captures::{RecordArgs, ReplayArgs},
};
use crate::{
    config::{Config, ConfigError, LogFormat, LogLevel},
    probe::hooks::{Chosen, INVENTORY, REGISTRATION, mechanisms},
};

/// A severity that `--fail-on` names was reached.
pub const REACHED: u8 = 2;

/// `EX_USAGE` of `sysexits.h`: bad usage or configuration.
pub const USAGE: u8 = 64;

/// `EX_UNAVAILABLE` of `sysexits.h`: the kernel or a privilege is missing.
pub const UNAVAILABLE: u8 = 69;

/// A longer file is not a configuration but a mistake, like naming a log or `/dev/zero`.
const FILE_LIMIT: u64 = 1 << 20;

/// Says who changed a signal handler in an Apache httpd worker, from which line of Python, and
/// whether mod_wsgi's restriction policy allows it.
#[derive(Debug, Parser)]
#[command(name = "sigblame", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Hear registrations by this mechanism or not at all (for the project's own tests: each has
    /// to be seen at work, and a kernel takes the best that it has)
    #[arg(
        long,
        global = true,
        hide = true,
        value_name = "MECHANISM",
        value_parser = PossibleValuesParser::new(mechanisms(REGISTRATION))
    )]
    pub registration_rung: Option<String>,
    /// Take the inventory by this mechanism (as above)
    #[arg(
        long,
        global = true,
        hide = true,
        value_name = "MECHANISM",
        value_parser = PossibleValuesParser::new(mechanisms(INVENTORY))
    )]
    pub inventory_rung: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent; it works with no configuration at all
    Run(RunArgs),
    /// Show each registration as it happens, with the stack under it; needs no agent
    Trace(TraceArgs),
    /// Show the servers, their workers and what stands on each of their signals; asks the running
    /// agent
    Status(StatusArgs),
    /// Say what this host offers, what is missing, what that costs and how to mend it
    Doctor(DoctorArgs),
    /// Tell, without running it, what code could do to signals: Python by its syntax tree, extension
    /// modules by what they import
    Audit(AuditArgs),
    /// Keep everything that an agent hears, for `replay`
    Record(RecordArgs),
    /// Judge a recording again, offline and without privileges; under another configuration or
    /// restriction, show what would differ
    Replay(ReplayArgs),
    /// Validate a configuration file and print the effective configuration
    CheckConfig(CheckConfigArgs),
}

/// Arguments of `run`.
#[derive(Args, Clone, Debug, Default)]
pub struct RunArgs {
    /// Configuration file (YAML)
    #[arg(long, value_name = "FILE", env = "SIGBLAME_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address and port to listen on [default: 127.0.0.1:9749]
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        env = "SIGBLAME_WEB_LISTEN_ADDRESS",
        value_parser = listen_address
    )]
    pub listen_address: Option<SocketAddr>,
    /// Directory for what outlives the agent: what is open is known again after a restart
    #[arg(long, value_name = "DIRECTORY", env = "SIGBLAME_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// The mildest message that is logged [default: info]
    #[arg(long = "log.level", value_name = "LEVEL", env = "SIGBLAME_LOG_LEVEL")]
    pub log_level: Option<LogLevel>,
    /// How findings and messages are written [default: text]
    #[arg(
        long = "log.format",
        value_name = "FORMAT",
        env = "SIGBLAME_LOG_FORMAT"
    )]
    pub log_format: Option<LogFormat>,
    /// Where the host's /proc is mounted [default: /proc]
    #[arg(long, value_name = "DIRECTORY", env = "SIGBLAME_PROC_ROOT")]
    pub proc_root: Option<PathBuf>,
    /// Keep everything that the agent hears, for a replay (for the project's own fixtures)
    #[arg(long, value_name = "FILE", hide = true)]
    pub capture: Option<PathBuf>,
}

/// Arguments of `trace`.
#[derive(Args, Clone, Debug, Default)]
pub struct TraceArgs {
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Show the registrations of httpd, mod_wsgi and the interpreter, too
    #[arg(long)]
    pub all: bool,
    /// Configuration file (YAML)
    #[arg(long, value_name = "FILE", env = "SIGBLAME_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where the host's /proc is mounted [default: /proc]
    #[arg(long, value_name = "DIRECTORY", env = "SIGBLAME_PROC_ROOT")]
    pub proc_root: Option<PathBuf>,
}

/// Arguments of `status`.
#[derive(Args, Clone, Debug, Default)]
pub struct StatusArgs {
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// Show every signal of every worker
    #[arg(long)]
    pub all: bool,
    /// Address and port at which the agent listens [default: 127.0.0.1:9749]
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        env = "SIGBLAME_WEB_LISTEN_ADDRESS",
        value_parser = listen_address
    )]
    pub listen_address: Option<SocketAddr>,
    /// The agent's configuration file (YAML)
    #[arg(long, value_name = "FILE", env = "SIGBLAME_CONFIG")]
    pub config: Option<PathBuf>,
}

/// Arguments of `doctor`.
#[derive(Args, Clone, Debug, Default)]
pub struct DoctorArgs {
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// Where the host's /proc is mounted [default: /proc]
    #[arg(long, value_name = "DIRECTORY", env = "SIGBLAME_PROC_ROOT")]
    pub proc_root: Option<PathBuf>,
}

/// Arguments of `check-config`.
#[derive(Args, Clone, Debug)]
pub struct CheckConfigArgs {
    /// Configuration file (YAML)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Why there is no configuration. Every one of them ends the program with [`USAGE`].
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("failed to read {}: {cause}; name another with --config", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The host's processes are not where they are said to be.
    #[error(
        "failed to find the host's processes below {}; say with --proc-root where its /proc is \
         mounted", path.display()
    )]
    ProcRoot {
        /// Where.
        path: PathBuf,
    },
    /// The file is too long to be meant.
    #[error("failed to read {}: it is longer than 1 MiB, no configuration is", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
    },
    /// The file says something that cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Cli {
    /// Reads the command line. Help, the version and complaints are printed here.
    ///
    /// # Errors
    ///
    /// The exit code with which to end: 0 after `--help` and `--version`, else [`USAGE`].
    pub fn read<I, T>(arguments: I) -> Result<Self, ExitCode>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        Self::try_parse_from(arguments).map_err(|error| {
            // Where even the complaint cannot be printed, the code still tells.
            let _ = error.print();
            if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            }
        })
    }

    /// The mechanisms that were chosen.
    #[must_use]
    pub fn chosen(&self) -> Chosen {
        Chosen {
            registration: self.registration_rung.clone(),
            inventory: self.inventory_rung.clone(),
        }
    }
}

impl RunArgs {
    /// The configuration in force: the file, if one is named, under environment and flags.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is wrong.
    pub fn load(&self) -> Result<Config, LoadError> {
        let mut config = load(self.config.as_deref())?;
        if let Some(address) = self.listen_address {
            config.web.listen_address = address;
        }
        if let Some(directory) = &self.state_dir {
            config.state_dir = Some(directory.clone());
        }
        if let Some(level) = self.log_level {
            config.log.level = level;
        }
        if let Some(format) = self.log_format {
            config.log.format = format;
        }
        if let Some(root) = &self.proc_root {
            config.proc_root.clone_from(root);
        }
        Ok(config)
    }
}

impl TraceArgs {
    /// The configuration in force.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is wrong.
    pub fn load(&self) -> Result<Config, LoadError> {
        RunArgs {
            config: self.config.clone(),
            proc_root: self.proc_root.clone(),
            ..RunArgs::default()
        }
        .load()
    }
}

impl StatusArgs {
    /// The configuration of the agent that is asked.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is wrong.
    pub fn load(&self) -> Result<Config, LoadError> {
        RunArgs {
            config: self.config.clone(),
            listen_address: self.listen_address,
            ..RunArgs::default()
        }
        .load()
    }
}

impl CheckConfigArgs {
    /// The configuration that the file alone makes.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is wrong.
    pub fn load(&self) -> Result<Config, LoadError> {
        load(Some(&self.file))
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write an address with a port, like 127.0.0.1:9749 or [::1]:9749")
}

fn load(path: Option<&Path>) -> Result<Config, LoadError> {
    let Some(path) = path else {
        return Ok(Config::default());
    };
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_LIMIT + 1).read_to_string(&mut text))
        .map_err(|cause| LoadError::Read {
            path: path.to_owned(),
            cause,
        })?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(LoadError::TooLong {
            path: path.to_owned(),
        });
    }
    Ok(Config::parse(&text, &path.display().to_string())?)
}

#[cfg(test)]
mod tests;
