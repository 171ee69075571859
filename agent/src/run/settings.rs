//! What the policy is told of sigblame's own configuration.

use std::sync::Arc;

use anyhow::Result;
use tracing::{error, info};

use super::{Agent, clock};
use crate::{
    config::Config,
    event::{Event, What},
    policy::{self, Settings},
    probe::ring::Ring,
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
fn read_again(config: &Config) -> Event {
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

impl Agent {
    /// All or nothing: a configuration that is wrong changes nothing.
    pub(super) fn reload(
        &mut self,
        load: &impl Fn() -> Result<Config>,
        ring: &mut Ring,
    ) -> Result<()> {
        match load() {
            Ok(config) => {
                // What happened until then was judged by what was in force.
                self.drain(ring)?;
                self.whole(read_again(&config));
                info!("configuration read again");
            }
            Err(reason) => error!("configuration kept as it was: {reason:#}"),
        }
        Ok(())
    }
}
