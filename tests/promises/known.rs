//! What the agent has: metrics, rules, configuration keys. The files that operators install are
//! held to the agent's own tables, never to a copy of them.

use anyhow::Result;
use sigblame::{config::Config, policy::rules::RULES, sink::metrics};

/// Every metric of the agent; a histogram without its suffixes.
pub(crate) fn metrics() -> &'static [&'static str] {
    metrics::NAMES
}

/// Id and severity of every rule.
pub(crate) fn rules() -> impl Iterator<Item = (&'static str, &'static str)> {
    RULES.iter().map(|rule| (rule.id, rule.severity.name()))
}

/// Accepts what the agent accepts as its configuration.
pub(crate) fn check_configuration(text: &str) -> Result<()> {
    Config::parse(text, "the configuration")?;
    Ok(())
}
