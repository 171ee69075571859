//! Ctrl-C and SIGTERM. Neither ends us on the spot: what we started has to go first.

use std::sync::{Arc, OnceLock, atomic::AtomicBool, atomic::Ordering};

use anyhow::{Context as _, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on the signals only set a flag.
pub(crate) fn listen() -> Result<()> {
    let flag = ASKED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag))
            .with_context(|| format!("failed to handle signal {signal}"))?;
    }
    Ok(())
}

/// Whether somebody asked us to stop.
pub(crate) fn asked() -> bool {
    ASKED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Ends a task between two of its steps.
pub(crate) fn check() -> Result<()> {
    if asked() {
        bail!("stopped on request");
    }
    Ok(())
}
