//! Every phase of a server's life: a clean application gives no finding in any, and one attempt and
//! one change past mod_wsgi in each worker before it, and after it, give exactly theirs, with the
//! worker and the restriction as Python in the worker says them.

use std::{fs, path::Path, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Builder, Mpm},
    wait_for,
};

use crate::{
    restriction::{Restriction, Watched, site, system, whole},
    support::PATIENCE,
};

mod recycle;
mod reload;
mod start;
mod stopped;

/// An agent and a trace.
struct Watchers {
    agent: Agent,
    trace: Trace,
}

impl Watchers {
    fn start() -> Self {
        Self {
            agent: Agent::start().unwrap(),
            trace: Trace::start(&[]).unwrap(),
        }
    }

    /// A server of the event MPM with the system's mod_wsgi and nothing said about the restriction,
    /// which `shape` may change, and which they watch.
    fn watch(&mut self, options: &str, shape: impl FnOnce(Builder) -> Builder) -> Watched<'_> {
        let builder = site(&system().unwrap(), whole, Mpm::Event, options);
        self.watch_it(shape(builder), Mpm::Event, Restriction::Default)
    }

    fn watch_it(&mut self, builder: Builder, mpm: Mpm, restriction: Restriction) -> Watched<'_> {
        Watched::start(&self.agent, &mut self.trace, builder, (mpm, restriction))
    }
}

/// Sends a signal to a worker.
pub(crate) fn kill(pid: u64, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Waits until a process is gone.
pub(crate) fn wait_until_gone(pid: u64, what: &str) {
    let is_gone = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A dead one that nobody has waited for does nothing more, either.
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    };
    assert!(wait_for(PATIENCE, is_gone).is_some(), "{what}: {pid} stays");
}

/// Asserts that processes are others than before.
fn assert_new(before: [u64; 3], after: [u64; 3], what: &str) {
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(before, after, "{what}: a worker is still the same one");
    }
}

/// A file that mod_wsgi looks at has changed: the time of its change has to be another.
fn touch(file: &Path) {
    // mod_wsgi compares whole times, but file systems may have coarse ones.
    std::thread::sleep(Duration::from_millis(20));
    let text = fs::read(file).unwrap();
    fs::write(file, text).unwrap();
}
