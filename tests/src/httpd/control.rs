//! What an operator does to a running server: httpd's own commands, and a new configuration.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::{Httpd, Namespaces, PATIENCE, RESUMING};
use crate::wait_for;

/// How httpd's program is called for a server.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) file: PathBuf,
    pub(super) namespaces: Namespaces,
    pub(super) env: Vec<(String, String)>,
}

impl Program {
    /// The program with the server's configuration and environment, and none of ours.
    pub(super) fn command(&self, config: &Path) -> Command {
        let mut command = self.bare_command();
        command.arg("-f").arg(config);
        command
    }

    /// The program in the server's place and environment.
    pub(super) fn bare_command(&self) -> Command {
        let mut command = self.namespaces.command(&self.file);
        command
            .current_dir("/")
            // CPython derives its prefix from PATH, so a tester's own Python must not be on it.
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("LANG", "C.UTF-8")
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null());
        command
    }
}

impl Httpd {
    /// Where its configuration is.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir().join(CONFIG)
    }

    /// The line of its configuration, from 1, that begins with these words.
    ///
    /// # Errors
    /// When there is none.
    pub fn line_of(&self, words: &str) -> Result<usize> {
        let text = self.config_text()?;
        let position = text.lines().position(|line| line.starts_with(words));
        let position = position.with_context(|| format!("no line of the server is {words}"))?;
        Ok(position + 1)
    }

    /// Writes another text in the place of one that is in the configuration; the server does not
    /// know yet.
    ///
    /// # Errors
    /// When the text is not there, or the file cannot be written.
    pub fn reconfigure(&self, old: &str, new: &str) -> Result<()> {
        let text = self.config_text()?;
        if !text.contains(old) {
            bail!("the server's configuration has no {old}");
        }
        crate::scratch::write(&self.config(), text.replacen(old, new, 1))
    }

    fn config_text(&self) -> Result<String> {
        let config = self.config();
        fs::read_to_string(&config).with_context(|| format!("failed to read {}", config.display()))
    }

    /// Runs httpd's program with `-k ACTION`, as operators and service managers do.
    ///
    /// # Errors
    /// When it fails.
    pub fn control(&self, action: &str) -> Result<()> {
        let mut command = self.program.command(&self.config());
        let output = command.args(["-k", action]).output();
        let output = output.with_context(|| format!("failed to start httpd -k {action}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("failed to do httpd -k {action}: {said}");
        }
        Ok(())
    }

    /// The same for `graceful` and `restart`, after which the server is there; this waits until its
    /// first process has read the configuration. Old workers may linger.
    ///
    /// # Errors
    /// When the server does not come back.
    pub fn control_and_wait(&self, action: &str) -> Result<()> {
        let resumed = || self.error_log().matches(RESUMING).count();
        let before = resumed();
        self.control(action)?;
        wait_for(PATIENCE, || (resumed() > before).then_some(())).with_context(|| {
            let log = self.error_log();
            format!("failed to see httpd back after -k {action}; it said:\n{log}")
        })
    }

    /// Waits until the first process has ended by itself.
    #[must_use]
    pub fn ends(&self) -> bool {
        wait_for(PATIENCE, || self.process.has_ended().then_some(())).is_some()
    }
}

/// The name of the configuration in the server's directory.
pub(super) const CONFIG: &str = "httpd.conf";
