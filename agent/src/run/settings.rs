//! What the policy is told of sigblame's own configuration.

use std::sync::Arc;

use super::clock;
use crate::{
    config::Config,
    event::{Event, What},
    policy::{self, Settings},
    process::ProcessKey,
};

/// The settings that a configuration makes.
pub(super) fn of(config: &Config) -> Settings {
    Settings {
        restriction: policy::forced(config.policy.restrict_signal),
        clock: clock::wall(),
        exceptions: Arc::from(config.exceptions.as_slice()),
    }
}

/// What the engine is told when the configuration was read again.
pub(super) fn read_again(config: &Config) -> Event {
    Event {
        when: clock::now(),
        process: ProcessKey::NONE,
        tid: 0,
        what: What::PolicyRead {
            restrict_signal: config.policy.restrict_signal,
            exceptions: Arc::from(config.exceptions.as_slice()),
        },
    }
}
