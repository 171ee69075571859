//! How long a large configuration takes to read, beside httpd's own reading of the same files.

use std::{fmt::Write as _, fs, path::Path, process::Command, time::Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use sigblame_tests::{httpd::Installation, scratch::Scratch};

use super::spread::Spread;
use crate::workspace::{cargo_run, target_dir};

/// Files that are included, and lines of each.
const FILES: usize = 2_000;
const LINES: usize = 25;

/// Seconds, one value per round.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The agent's look at the program and at all files.
    read: Vec<f64>,
    /// A whole process that does it.
    process: Vec<f64>,
    /// `httpd -t`.
    httpd: Vec<f64>,
}

/// Reads the same files by turns.
pub(super) fn measure(rounds: u32) -> Result<Reading> {
    let example = [
        "build",
        "--release",
        "-p",
        "sigblame",
        "--example",
        "configuration",
    ];
    cargo_run(&example, &[])?;
    let program = target_dir()?.join("release/examples/configuration");
    let installation = Installation::find().context(
        "failed to find httpd with mod_wsgi: `cargo xtask setup` installs it on Debian and Ubuntu",
    )?;
    let scratch = Scratch::new("configuration")?;
    write(scratch.path(), &installation.modules)?;
    let main = scratch.path().join("httpd.conf").display().to_string();
    let mut reading = Reading::default();
    for _ in 0..rounds {
        let ours = Command::new(&program)
            .arg(&installation.httpd)
            .args(["-f", &main])
            .timed()?;
        let made: Value = serde_json::from_slice(&ours.output).context("no JSON was printed")?;
        let scripts = made["configuration"]["scripts"]
            .as_array()
            .map_or(0, Vec::len);
        if scripts != FILES || made["files"] != json!(FILES + 1) {
            bail!("failed to read the whole configuration: {scripts} scripts of {FILES}");
        }
        let seconds = made["seconds"]["whole"]
            .as_f64()
            .context("no time was printed")?;
        reading.read.push(seconds);
        reading.process.push(ours.seconds);
        let httpd = Command::new(&installation.httpd)
            .args(["-t", "-f", &main])
            .timed()?;
        reading.httpd.push(httpd.seconds);
    }
    Ok(reading)
}

/// One program's run.
struct Run {
    output: Vec<u8>,
    seconds: f64,
}

/// Runs a command to its end, which has to be a good one.
trait Timed {
    fn timed(&mut self) -> Result<Run>;
}

impl Timed for Command {
    fn timed(&mut self) -> Result<Run> {
        let begin = Instant::now();
        let output = self
            .output()
            .with_context(|| format!("failed to start {self:?}"))?;
        let seconds = begin.elapsed().as_secs_f64();
        if !output.status.success() {
            bail!(
                "{self:?} failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let output = output.stdout;
        Ok(Run { output, seconds })
    }
}

/// A virtual host with an application in each file.
fn write(dir: &Path, modules: &Path) -> Result<()> {
    let (at, modules) = (dir.display(), modules.display());
    let mut main =
        format!("ServerRoot {at}\nServerName localhost\nListen 127.0.0.1:80\nErrorLog {at}/log\n");
    for (name, file) in [
        ("mpm_event", "mod_mpm_event"),
        ("authz_core", "mod_authz_core"),
        ("alias", "mod_alias"),
        ("wsgi", "mod_wsgi"),
    ] {
        writeln!(main, "LoadModule {name}_module {modules}/{file}.so")?;
    }
    main.push_str("WSGIDaemonProcess all threads=5\nDefine ROOT /srv\nInclude sites/*.conf\n");
    fs::create_dir(dir.join("sites")).context("failed to make a directory")?;
    for file in 0..FILES {
        let mut text = format!(
            "<VirtualHost 127.0.0.1:80>\n  ServerName host{file}.example.org\n  # An application.\n  \
             WSGIScriptAlias / ${{ROOT}}/app{file}/app.wsgi\n  <Directory ${{ROOT}}/app{file}>\n    \
             WSGIProcessGroup all\n    WSGIApplicationGroup %{{GLOBAL}}\n    Require all granted\n  \
             </Directory>\n  <IfModule mod_alias.c>\n"
        );
        let rest = LINES - text.lines().count() - 2;
        for line in 0..rest {
            let static_files = format!("${{ROOT}}/app{file}/static/{line}");
            writeln!(text, "    Alias \"/static{line}\" {static_files}")?;
        }
        text.push_str("  </IfModule>\n</VirtualHost>\n");
        fs::write(dir.join(format!("sites/{file:04}.conf")), text)
            .context("failed to write a file")?;
    }
    fs::write(dir.join("httpd.conf"), main).context("failed to write a file")
}

impl Reading {
    /// A table of it.
    pub(super) fn table(&self) -> String {
        let row = |title: &str, values: &[f64]| {
            let milliseconds: Vec<f64> = values.iter().map(|value| value * 1e3).collect();
            format!("{title:<37}{}\n", Spread::of(&milliseconds).whole())
        };
        format!(
            "\nA configuration of {} lines in {} files; milliseconds, median (least–most) of {} rounds.\n",
            FILES * LINES,
            FILES + 1,
            self.read.len()
        ) + &row("sigblame", &self.read)
            + &row("… as a process of its own", &self.process)
            + &row("httpd -t", &self.httpd)
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "lines": FILES * LINES, "files": FILES + 1, "unit": "seconds",
            "sigblame": self.read, "sigblame_process": self.process, "httpd": self.httpd,
        })
    }
}
