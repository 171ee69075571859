//! Servers that are not started by httpd's own program: `mod_wsgi-express start-server` writes a
//! configuration of its own and starts httpd with it.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

use super::{Builder, GRACE, Httpd, PATIENCE, address, master::Master, read_logs};
use crate::{http, process::Scoped, wait_for};

impl Builder {
    /// Starts a file of the application by the `mod_wsgi-express` that pip installed in `package`,
    /// with the installation's Python and these options, and waits until it answers. What the
    /// builder says about httpd's configuration does not count.
    ///
    /// # Errors
    /// When it does not come up; the error holds what it said.
    pub fn start_by_express(
        mut self,
        package: &Path,
        script: &str,
        options: &[&str],
    ) -> Result<Httpd> {
        let home = self.installation.python_home.clone();
        let home =
            home.context("failed to start mod_wsgi-express: it needs a Python of its own")?;
        let at = self.scratch.make_dir("package")?;
        // Like the Python, it may be where workers cannot go.
        self.installation.namespaces.bind(package, &at);
        let dir = self.scratch.path().to_path_buf();
        let version = fs::read_dir(home.join("bin"))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .find(|name| {
                let minor = name.strip_prefix("python3.");
                minor.is_some_and(|minor| minor.parse::<u32>().is_ok())
            });
        let version = version.context("failed to find the program of the Python")?;
        let python = dir.join("python/bin").join(version);
        let mut program = self.program();
        program.file = python;
        program
            .env
            .push(("PYTHONPATH".to_owned(), at.display().to_string()));
        let port = http::free_port()?;
        let output = fs::File::create(dir.join("output.log"))
            .context("failed to make the server's output file")?;
        let mut command = program.bare_command();
        command
            .arg(at.join("bin/mod_wsgi-express"))
            .args(["start-server", "--host", "127.0.0.1"])
            .args(["--error-log-name", "error.log"])
            .args(["--port", &port.to_string()])
            .args(options)
            .arg("--server-root")
            .arg(&dir)
            .arg("--python-path")
            .arg(self.app_dir())
            .arg(self.app_dir().join(script))
            .stdout(output.try_clone()?)
            .stderr(output);
        if rustix::process::geteuid().is_root()
            && let Some((user, group)) = &self.installation.account
        {
            command.args(["--user", user, "--group", &format!("#{group}")]);
        }
        let process = Master::Child(Scoped::spawn(&mut command, GRACE)?);
        let answered = wait_for(PATIENCE, || {
            if process.has_ended() {
                return Some(false);
            }
            let limit = std::time::Duration::from_secs(2);
            http::request(address(port), "OPTIONS", "*", limit)
                .is_ok()
                .then_some(true)
        });
        if answered != Some(true) {
            bail!(
                "failed to start mod_wsgi-express; it said:\n{}",
                read_logs(&dir)
            );
        }
        let program = self.program();
        Ok(Httpd::from_parts(process, port, program, self.scratch))
    }
}
