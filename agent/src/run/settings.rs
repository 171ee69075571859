//! What the policy is told of sigblame's own configuration.

use super::clock;
use crate::{
    config::{Config, RestrictSignal},
    policy::{Settings, finding::WallClock, rules::Restriction},
};

/// How many seconds a worker may take to go.
pub(super) fn grace(config: &Config) -> u64 {
    config.policy.shutdown_grace_seconds
}

/// The settings that a configuration makes.
pub(super) fn of(config: &Config) -> Settings {
    settings(config, clock::wall())
}

/// The settings that a configuration makes under another clock: a capture's.
#[must_use]
pub fn settings(config: &Config, clock: WallClock) -> Settings {
    Settings {
        restriction: match config.policy.restrict_signal {
            RestrictSignal::Auto => None,
            RestrictSignal::On => Some(Restriction::On),
            RestrictSignal::Off => Some(Restriction::Off),
        },
        clock,
    }
}
