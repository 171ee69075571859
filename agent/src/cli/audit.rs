//! The arguments of `audit`.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser as _},
};

use super::captures::{restriction, severity};
use crate::policy::{Severity, rules::Restriction};

/// Arguments of `audit`.
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    /// Virtual environments, directories, Python files or libraries
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// Exit with 2 if a use is as bad as this; those in tests, and what runs only where a file is the
    /// program, do not count
    #[arg(
        long,
        value_name = "SEVERITY",
        value_parser = PossibleValuesParser::new(Severity::ALL.map(Severity::name)).map(severity)
    )]
    pub fail_on: Option<Severity>,
    /// The restriction (WSGIRestrictSignal) to judge under
    #[arg(
        long,
        value_name = "VALUE",
        default_value = "on",
        value_parser = PossibleValuesParser::new(["on", "off"]).map(restriction)
    )]
    pub restrict_signal: Restriction,
    /// Tell and count everything that could happen, or only what importing does
    #[arg(
        long = "when",
        action = clap::ArgAction::Set,
        value_name = "WHEN",
        default_value = "any",
        value_parser = PossibleValuesParser::new(["any", "import"]).map(|name| name == "import")
    )]
    pub only_import: bool,
}
