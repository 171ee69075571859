//! What the agent has: metrics, rules, configuration keys. The files that operators install are
//! held to these.
//!
//! AT MERGE: each function here stands in for a table of the agent, taken from the contract. Once
//! the table exists, give `sigblame-tests` the dev-dependency `sigblame.workspace = true`, let the
//! function return the table, and delete the copy:
//!
//! | here | there |
//! |---|---|
//! | `metrics` | `sigblame::sink::metrics::NAMES` |
//! | `rules` | id and severity of each row of `sigblame::policy::rules::RULES` |
//! | `check_configuration` | `sigblame::config::Config::parse` |

use anyhow::{Result, bail};
use serde_json::Value;

/// Every metric of the agent; a histogram without its suffixes.
pub(crate) fn metrics() -> &'static [&'static str] {
    &[
        "sigblame_build_info",
        "sigblame_event_delay_seconds",
        "sigblame_events_lost_total",
        "sigblame_events_total",
        "sigblame_findings_open",
        "sigblame_findings_total",
        "sigblame_hook_attached",
        "sigblame_override_seconds",
        "sigblame_probe_misses_total",
        "sigblame_probe_run_seconds_total",
        "sigblame_python_stacks_total",
        "sigblame_registrations_total",
        "sigblame_restrict_signal",
        "sigblame_ring_used_ratio",
        "sigblame_workers",
    ]
}

/// Id and severity of every rule.
pub(crate) fn rules() -> &'static [(&'static str, &'static str)] {
    &[
        ("reserved-signal", "critical"),
        ("restricted-registration", "warning"),
        ("secondary-thread", "warning"),
        ("sigalrm", "notice"),
        ("sigpipe-not-ignored", "critical"),
    ]
}

/// Accepts what the agent accepts as its configuration.
pub(crate) fn check_configuration(text: &str) -> Result<()> {
    const KEYS: &[&str] = &[
        "web.listen_address",
        "state_dir",
        "log.level",
        "log.format",
        "policy.restrict_signal",
        "findings.keep",
        "proc_root",
    ];
    let Value::Object(sections) = serde_saphyr::from_str(text)? else {
        bail!("a configuration is a mapping");
    };
    for (section, value) in &sections {
        let paths = match value {
            Value::Object(keys) => keys.keys().map(|key| format!("{section}.{key}")).collect(),
            _ => vec![section.clone()],
        };
        for path in paths {
            if !KEYS.contains(&path.as_str()) {
                bail!("the configuration has no key {path}");
            }
        }
    }
    Ok(())
}
