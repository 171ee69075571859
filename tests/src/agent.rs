//! The agent as a child process: started, asked, stopped.
//!
//! It sees every server of the host, those of other people's tests, too. So everything that is
//! asked here is asked about one server, by the process id of its master.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    agent_program, http,
    process::{Ended, Scoped},
    scratch::Scratch,
    wait_for,
};

/// How long the agent may take to attach and to look at the host, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// A running `sigblame run`.
#[derive(Debug)]
pub struct Agent {
    // Fields drop in this order: the process goes before the directory of its output.
    process: Scoped,
    address: SocketAddr,
    scratch: Scratch,
}

impl Agent {
    /// Starts it on a free port and waits until it is ready.
    ///
    /// # Errors
    /// When it ends before, or takes too long; the error holds what it said.
    pub fn start() -> Result<Self> {
        Self::with(&[])
    }

    /// The same, with more arguments.
    ///
    /// # Errors
    /// As [`Agent::start`].
    pub fn with(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(agent_program()?);
        command.arg("run").args(arguments);
        Self::run(&mut command)
    }

    /// Starts what `command` says, which ends in `sigblame run` and its arguments.
    ///
    /// # Errors
    /// As [`Agent::start`].
    pub fn run(command: &mut Command) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, http::free_port()?));
        command.args(["--web.listen-address", &address.to_string()]);
        let (process, scratch) = spawn(command)?;
        let agent = Self {
            process,
            address,
            scratch,
        };
        let ready = wait_for(PATIENCE, || {
            if agent.process.has_ended() {
                return Some(false);
            }
            agent
                .get("/-/ready")
                .is_ok_and(|body| body.status == 200)
                .then_some(true)
        });
        if ready != Some(true) {
            bail!("failed to see the agent ready; it said:\n{}", agent.log());
        }
        Ok(agent)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Asks for one of its pages.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn get(&self, path: &str) -> Result<http::Response> {
        http::get(self.address, path, PATIENCE)
    }

    /// Every finding about the server whose master has this process id, oldest first.
    ///
    /// # Errors
    /// When the agent does not answer with a list of findings.
    pub fn findings(&self, master: u32) -> Result<Vec<Value>> {
        let mut findings = Vec::new();
        let mut page = "/api/v1/findings?limit=1000".to_owned();
        loop {
            let response = self.get(&page)?;
            if response.status != 200 {
                bail!("failed to get {page}: {}", response.body.trim());
            }
            let mut answer: Value = serde_json::from_str(&response.body)
                .with_context(|| format!("failed to read the answer to {page}"))?;
            let Value::Array(list) = answer["findings"].take() else {
                bail!("the answer to {page} has no list of findings");
            };
            findings.extend(list.into_iter().filter(|f| f["server"]["pid"] == master));
            match answer["next_cursor"].as_str() {
                Some(cursor) => page = format!("/api/v1/findings?limit=1000&cursor={cursor}"),
                None => break,
            }
        }
        findings.reverse();
        Ok(findings)
    }

    /// What it counts now.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics(self.get("/metrics")?.body))
    }

    /// What it wrote to standard output so far.
    #[must_use]
    pub fn output(&self) -> String {
        read(&self.scratch, OUTPUT)
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        read(&self.scratch, ERRORS)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// Ends it with SIGTERM.
    ///
    /// # Errors
    /// When its exit status cannot be read.
    pub fn stop(self) -> Result<Ended> {
        self.process.stop()
    }
}

/// A scrape.
#[derive(Debug)]
pub struct Metrics(pub String);

impl Metrics {
    /// The sum of the series of `name` that have these labels; 0 where there is none.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        self.0
            .lines()
            .filter_map(|line| {
                let (series, value) = line.rsplit_once(' ')?;
                let rest = series.strip_prefix(name)?;
                let labels = rest.trim_matches(['{', '}']);
                let is_name = rest.is_empty() || rest.starts_with('{');
                let has_all = wanted.iter().all(|w| labels.split(',').any(|l| l == w));
                (is_name && has_all).then(|| value.parse::<f64>().ok())?
            })
            .sum()
    }
}

/// A running `sigblame trace --json`.
#[derive(Debug)]
pub struct Trace {
    process: Scoped,
    scratch: Scratch,
    lines: Vec<Value>,
    position: u64,
}

impl Trace {
    /// Starts it with these arguments after `--json`, and waits until its hooks are attached.
    ///
    /// # Errors
    /// When it ends before, or takes too long; the error holds what it said.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(agent_program()?);
        command.args(["trace", "--json"]).args(arguments);
        let (process, scratch) = spawn(&mut command)?;
        let trace = Self {
            process,
            scratch,
            lines: Vec::new(),
            position: 0,
        };
        let ready = wait_for(PATIENCE, || {
            if trace.process.has_ended() {
                return Some(false);
            }
            read(&trace.scratch, ERRORS)
                .contains("tracing registrations")
                .then_some(true)
        });
        if ready != Some(true) {
            let said = read(&trace.scratch, ERRORS);
            bail!("failed to see the trace begin; it said:\n{said}");
        }
        Ok(trace)
    }

    /// The lines so far about the server whose master has this process id.
    ///
    /// # Errors
    /// When a line is not what it should be.
    pub fn lines(&mut self, master: u32) -> Result<Vec<&Value>> {
        self.read_on()?;
        Ok(about(&self.lines, master))
    }

    /// Ends it and gives all its lines about one server: what happened before is in them.
    ///
    /// # Errors
    /// When it does not end well, or a line is not what it should be.
    pub fn finish(mut self, master: u32) -> Result<Vec<Value>> {
        self.process.signal(Signal::TERM)?;
        // It first tells all that it has heard, which takes a while on a busy host.
        if wait_for(PATIENCE, || self.process.has_ended().then_some(())).is_none() {
            bail!("failed to see the trace end");
        }
        self.read_on()?;
        // Shown where the test fails.
        eprintln!("the trace said:\n{}", read(&self.scratch, ERRORS));
        Ok(about(&self.lines, master).into_iter().cloned().collect())
    }

    fn read_on(&mut self) -> Result<()> {
        let mut file = File::open(self.scratch.path().join(OUTPUT))?;
        file.seek(SeekFrom::Start(self.position))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        // The last line may still be half a line.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for line in text[..whole].lines() {
            let value = serde_json::from_str(line)
                .with_context(|| format!("failed to read a line of the trace: {line}"))?;
            self.lines.push(value);
        }
        self.position += whole as u64;
        Ok(())
    }
}

fn about(lines: &[Value], master: u32) -> Vec<&Value> {
    lines
        .iter()
        .filter(|line| line["server"]["pid"] == master)
        .collect()
}

/// What a program that ended had said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; `None` when a signal ended it, or we did.
    pub code: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

/// Runs a program that is expected to end by itself within `limit`, and ends it otherwise.
///
/// # Errors
/// When it cannot be started or waited for.
pub fn run_to_end(command: &mut Command, limit: Duration) -> Result<Said> {
    let (process, scratch) = spawn(command)?;
    let _late = wait_for(limit, || process.has_ended().then_some(()));
    let ended = process.stop()?;
    Ok(Said {
        code: ended.status.code(),
        output: read(&scratch, OUTPUT),
        errors: read(&scratch, ERRORS),
    })
}

const OUTPUT: &str = "output";
const ERRORS: &str = "errors";

/// Starts a program whose two outputs go to files, which never fill up as a pipe does.
fn spawn(command: &mut Command) -> Result<(Scoped, Scratch)> {
    let scratch = Scratch::new("agent")?;
    let file = |name| {
        File::create(scratch.path().join(name))
            .with_context(|| format!("failed to make the agent's file for its {name}"))
    };
    command
        .stdin(Stdio::null())
        .stdout(file(OUTPUT)?)
        .stderr(file(ERRORS)?)
        // A tester's own settings are not the test's.
        .env_remove("SIGBLAME_CONFIG")
        .env_remove("SIGBLAME_STATE_DIR");
    let process = Scoped::spawn(command, GRACE)?;
    Ok((process, scratch))
}

fn read(scratch: &Scratch, name: &str) -> String {
    let bytes = fs::read(scratch.path().join(name)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_their_labels() {
        let metrics = Metrics(
            "# HELP a_total Many.\na_total{x=\"1\",y=\"2\"} 3\na_total{x=\"1\",y=\"3\"} 4\n\
             a_total_more{x=\"1\"} 9\nb 5\n"
                .to_owned(),
        );
        assert_eq!(metrics.sum("a_total", &[("x", "1")]), 7.0);
        assert_eq!(metrics.sum("a_total", &[("x", "1"), ("y", "3")]), 4.0);
        assert_eq!(metrics.sum("a_total", &[("y", "4")]), 0.0);
        assert_eq!(metrics.sum("b", &[]), 5.0);
    }
}
