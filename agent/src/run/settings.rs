//! What the policy is told of sigblame's own configuration.

use super::clock;
use crate::{
    config::{Config, RestrictSignal},
    policy::{Settings, rules::Restriction},
};

/// The settings that a configuration makes.
pub(super) fn of(config: &Config) -> Settings {
    Settings {
        restriction: match config.policy.restrict_signal {
            RestrictSignal::Auto => None,
            RestrictSignal::On => Some(Restriction::On),
            RestrictSignal::Off => Some(Restriction::Off),
        },
        clock: clock::wall(),
    }
}
