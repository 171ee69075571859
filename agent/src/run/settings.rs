//! What the policy is told of sigblame's own configuration.

use std::sync::Arc;

use super::clock;
use crate::{
    config::Config,
    policy::{self, Settings, finding::WallClock},
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
        restriction: policy::forced(config.policy.restrict_signal),
        clock,
        exceptions: Arc::from(config.exceptions.as_slice()),
    }
}
