//! The master process of a server: our child, or one that went into the background.

use std::{
    fs, io,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, ExitStatus},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, kill_process_group,
    set_child_subreaper, waitid, waitpid,
};

use super::{GRACE, PATIENCE};
use crate::{
    process::{Ended, Scoped},
    wait_for,
};

/// A server's first process.
#[derive(Debug)]
pub(super) enum Master {
    /// It runs in the foreground.
    Child(Scoped),
    /// It was started like a service, and left its parent.
    Detached(Detached),
}

impl Master {
    /// Starts httpd in the foreground.
    pub(super) fn foreground(command: &mut Command) -> Result<Self> {
        command.arg("-DFOREGROUND");
        Ok(Self::Child(Scoped::spawn(command, GRACE)?))
    }

    /// Starts httpd in the foreground, by a program that waits for it outside of its namespace.
    pub(super) fn inside(command: &mut Command) -> Result<Self> {
        command.arg("-DFOREGROUND");
        // `unshare` blocks SIGTERM while it waits, and takes its child along when it is killed.
        let mut outer = Scoped::spawn_bound(command, GRACE, Signal::KILL)?;
        let pid = wait_for(PATIENCE, || {
            let id = outer.pid();
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
            Pid::from_raw(children.trim().parse().ok()?)
        });
        outer.signal_instead(pid.context("failed to find httpd in its namespace")?);
        Ok(Self::Child(outer))
    }

    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Child(process) => process.signalled(),
            Self::Detached(process) => process.pid.as_raw_nonzero().get().unsigned_abs(),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Child(process) => process.has_ended(),
            Self::Detached(process) => process.has_ended(),
        }
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        match self {
            Self::Child(process) => process.signal(signal),
            Self::Detached(process) => process.signal(signal),
        }
    }

    pub(super) fn stop(self) -> Result<Ended> {
        match self {
            Self::Child(process) => process.stop(),
            Self::Detached(mut process) => process.end(),
        }
    }
}

/// A process that has made a session of its own. The kernel gives it to us when its parent ends,
/// but cannot end it should we be killed.
#[derive(Debug)]
pub(super) struct Detached {
    pid: Pid,
    ended: bool,
}

impl Detached {
    /// Runs `apache2 -k start`, which ends when the real master is on its way, and reads who that is.
    pub(super) fn start(command: &mut Command, pid_file: &Path) -> Result<Master> {
        set_child_subreaper(Some(getpid())).context("failed to become a reaper")?;
        let status = command
            .args(["-k", "start"])
            .status()
            .with_context(|| format!("failed to start {}", command.get_program().display()))?;
        if !status.success() {
            bail!("failed to start httpd in the background: {status}");
        }
        let pid = wait_for(PATIENCE, || {
            let text = fs::read_to_string(pid_file).ok()?;
            Pid::from_raw(text.trim().parse().ok()?)
        });
        let pid = pid.with_context(|| {
            let file = pid_file.display();
            format!("failed to find httpd in the background: it never wrote {file}")
        })?;
        Ok(Master::Detached(Self { pid, ended: false }))
    }

    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.ended || !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid, signal)
            .with_context(|| format!("failed to send {signal:?} to process {}", self.pid))
    }

    fn end(&mut self) -> Result<Ended> {
        let mut forced = false;
        if !self.has_ended() {
            self.signal(Signal::TERM)?;
            let gone = wait_for(GRACE, || self.has_ended().then_some(()));
            forced = gone.is_none();
        }
        // It leads its group, whose number stays its own until it is waited for.
        let _gone = kill_process_group(self.pid, Signal::KILL);
        self.ended = true;
        let status = waitpid(Some(self.pid), WaitOptions::empty())
            .map_err(io::Error::from)?
            .map_or(0, |(_, status)| status.as_raw());
        // Workers that were left to us.
        while wait_for(Duration::ZERO, || {
            let any = WaitOptions::NOHANG;
            rustix::process::waitpgid(self.pid, any).ok().flatten()
        })
        .is_some()
        {}
        Ok(Ended {
            status: ExitStatus::from_raw(status),
            forced,
        })
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if !self.ended
            && let Err(error) = self.end()
        {
            eprintln!("{error:#}");
        }
    }
}
