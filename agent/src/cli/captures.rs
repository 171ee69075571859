//! The arguments of `record` and `replay`.

use std::{path::PathBuf, time::Duration};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use jiff::SignedDuration;

use super::{LoadError, RunArgs, load};
use crate::{
    config::Config,
    policy::{Severity, rules::Restriction},
};

/// Arguments of `record`.
#[derive(Args, Clone, Debug)]
pub struct RecordArgs {
    /// Where to: a file that is not there yet, or `-` for standard output
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Overwrite a file that is there
    #[arg(long)]
    pub force: bool,
    /// End after this time, like 90s or 1h30m; else at Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub duration: Option<Duration>,
    /// End when the file would become longer, like 500M
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size)]
    pub max_size: u64,
    /// Configuration file (YAML)
    #[arg(long, value_name = "FILE", env = "SIGBLAME_CONFIG")]
    pub config: Option<PathBuf>,
    /// Where the host's /proc is mounted [default: /proc]
    #[arg(long, value_name = "DIRECTORY", env = "SIGBLAME_PROC_ROOT")]
    pub proc_root: Option<PathBuf>,
}

/// Arguments of `replay`.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// What `sigblame record` wrote; `-` for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Judge by this configuration file (YAML), too, and show the difference
    // Not by the environment's: that one is the agent's, and would make a what-if of each replay.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Judge as under this WSGIRestrictSignal, too, and show the difference
    #[arg(
        long,
        value_name = "on|off",
        value_parser = PossibleValuesParser::new(["on", "off"]).map(restriction)
    )]
    pub restrict_signal: Option<Restriction>,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Exit with 2 if a finding, by what is asked and without an exception, is as bad as this
    #[arg(
        long,
        value_name = "SEVERITY",
        value_parser = PossibleValuesParser::new(Severity::ALL.map(Severity::name)).map(severity)
    )]
    pub fail_on: Option<Severity>,
}

impl RecordArgs {
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

impl ReplayArgs {
    /// The configuration by which to judge, too, if one is named.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is wrong.
    pub fn load(&self) -> Result<Option<Config>, LoadError> {
        let path = self.config.as_deref();
        path.map(|path| load(Some(path))).transpose()
    }
}

pub(super) fn severity(name: String) -> Severity {
    let mut all = Severity::ALL.into_iter();
    // The parser lets no other name through.
    all.find(|severity| severity.name() == name)
        .unwrap_or(Severity::Notice)
}

/// What `--restrict-signal` takes.
pub(super) fn restriction(name: String) -> Restriction {
    // The parser lets no third name through.
    match name.as_str() {
        "on" => Restriction::On,
        _ => Restriction::Off,
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let said: Option<SignedDuration> = text.parse().ok();
    said.and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or("write a time with its unit, like 90s, 10m or 1h30m")
}

fn size(text: &str) -> Result<u64, &'static str> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit: u64 = match text[digits.len()..].trim_start() {
        "" | "B" => 1,
        "K" | "k" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        _ => 0,
    };
    let count: Option<u64> = digits.parse().ok();
    count
        .and_then(|count| count.checked_mul(unit))
        .filter(|size| *size > 0)
        .ok_or("write a size with its unit, like 500M or 2G")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
        for bad in ["", "90", "-5s", "0s", "soon", "1 month"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for (text, bytes) in [
            ("7", 7),
            ("1K", 1_024),
            ("500M", 500 << 20),
            ("2 GiB", 2 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "0", "-1", "1.5G", "G", "5X", "99999999999999T", "1é"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
