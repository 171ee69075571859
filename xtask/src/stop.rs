//! Ctrl-C and SIGTERM. They end us on the spot, except while there is something of ours that has to
//! go first: a server, an agent, an installer's temporary policy.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result, bail};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

/// Whether a signal has its usual effect.
static AT_ONCE: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));
static ASKED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// While it lives, a signal is only noted; see [`asked`].
pub(crate) struct Deferred {
    before: bool,
}

impl Drop for Deferred {
    fn drop(&mut self) {
        AT_ONCE.store(self.before, Ordering::Relaxed);
    }
}

/// From here on signals go through this file.
pub(crate) fn listen() -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_default(signal, Arc::clone(&AT_ONCE))
            .and_then(|_| flag::register(signal, Arc::clone(&ASKED)))
            .with_context(|| format!("failed to handle signal {signal}"))?;
    }
    Ok(())
}

/// Keeps signals from ending us, until the value that it returns goes.
pub(crate) fn defer() -> Deferred {
    Deferred {
        before: AT_ONCE.swap(false, Ordering::Relaxed),
    }
}

/// Whether somebody asked us to stop.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Ends a task between two of its steps.
pub(crate) fn check() -> Result<()> {
    if asked() {
        bail!("stopped on request");
    }
    Ok(())
}
