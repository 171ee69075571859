//! Child processes that never outlive us.
//!
//! A child gets a process group of its own, so that a Ctrl-C at the terminal reaches only us and
//! we end things in order; and the kernel sends it SIGTERM should we die without a word.

use std::{
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, getppid, kill_process, kill_process_group,
    set_parent_process_death_signal, waitid,
};

use crate::wait_for;

/// A child process with everything it starts in turn, ended when this value goes.
///
/// The kernel ties a child to the *thread* that started it: keep that thread alive as long as
/// the child is needed. A server in a `static` that several tests share would end with the first.
#[derive(Debug)]
pub struct Scoped {
    child: Child,
    pid: Pid,
    /// Who gets our signals.
    signalled: Pid,
    grace: Duration,
    reaped: bool,
}

/// How a process went.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Whether it took more than a SIGTERM.
    pub forced: bool,
}

impl Scoped {
    /// Starts `command`; on drop it has `grace` to end after SIGTERM.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(command: &mut Command, grace: Duration) -> Result<Self> {
        Self::spawn_bound(command, grace, Signal::TERM)
    }

    /// The same, with another signal that the kernel sends it should we die.
    ///
    /// # Errors
    /// As [`Scoped::spawn`].
    pub fn spawn_bound(command: &mut Command, grace: Duration, death: Signal) -> Result<Self> {
        let parent = getpid();
        command.process_group(0);
        // SAFETY: the closure runs between fork and exec and makes a few system calls, which are
        // async-signal-safe; it allocates nothing and takes no lock.
        unsafe {
            command.pre_exec(move || {
                // A shell ignores them for what it starts in the background, and what is ignored
                // cannot be taken.
                for number in [libc::SIGINT, libc::SIGQUIT] {
                    libc::signal(number, libc::SIG_DFL);
                }
                set_parent_process_death_signal(Some(death))?;
                // We may have died before the line above.
                if getppid() == Some(parent) {
                    Ok(())
                } else {
                    Err(io::ErrorKind::BrokenPipe.into())
                }
            });
        }
        let child = command
            .spawn()
            .with_context(|| format!("failed to start {}", command.get_program().display()))?;
        let pid = Pid::from_child(&child);
        Ok(Self {
            child,
            pid,
            signalled: pid,
            grace,
            reaped: false,
        })
    }

    /// Its process id, which is its process group's, too.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends what signals there are to another process from now on, for which this one only waits.
    pub(crate) fn signal_instead(&mut self, pid: Pid) {
        self.signalled = pid;
    }

    /// The process that gets our signals.
    pub(crate) fn signalled(&self) -> u32 {
        self.signalled.as_raw_nonzero().get().unsigned_abs()
    }

    /// The pipes and the rest of the standard library's view.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether it has ended. It is not reaped, so that its id stays ours.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.reaped || !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.signalled;
        kill_process(pid, signal)
            .with_context(|| format!("failed to send {signal:?} to process {pid}"))
    }

    /// Ends it: SIGTERM to the process, its time of grace, SIGKILL to what is left of its group.
    ///
    /// # Errors
    /// When its exit status cannot be read.
    pub fn stop(mut self) -> Result<Ended> {
        self.end()
    }

    fn end(&mut self) -> Result<Ended> {
        let mut forced = false;
        if !self.has_ended() {
            self.signal(Signal::TERM)?;
            forced = wait_for(self.grace, || self.has_ended().then_some(())).is_none();
        }
        // The leader is not reaped yet, so the group's number cannot have become another's.
        let _gone = kill_process_group(self.pid, Signal::KILL);
        self.reaped = true;
        let status = self
            .child
            .wait()
            .with_context(|| format!("failed to wait for process {}", self.pid))?;
        Ok(Ended {
            status,
            forced: forced || status.signal() == Some(Signal::KILL.as_raw()),
        })
    }
}

impl Drop for Scoped {
    fn drop(&mut self) {
        if !self.reaped
            && let Err(error) = self.end()
        {
            eprintln!("{error:#}");
        }
    }
}
