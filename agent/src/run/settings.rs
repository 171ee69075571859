//! What the policy is told of sigblame's own configuration.

use std::sync::Arc;

use anyhow::Result;
use tracing::{error, info};

use super::{Agent, clock};
use crate::{
    capture::{Input, Judged},
    config::Config,
    policy::{self, Settings, finding::WallClock},
    probe::ring::Ring,
};

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
        shutdown_grace_seconds: config.policy.shutdown_grace_seconds,
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
                let settings = of(&config);
                self.keep
                    .keep(|| Some(Input::Settings(clock::now(), Judged::from(&settings))));
                self.engine.configure(settings);
                info!("configuration read again");
            }
            Err(reason) => error!("configuration kept as it was: {reason:#}"),
        }
        Ok(())
    }
}
