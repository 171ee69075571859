//! The agent under measurement: its release build, asked over HTTP what it saw.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sigblame_tests::{http, process::Scoped, wait_for};

use super::{FRAMES, MARKS, quiet::Disturbed, server::Worker};
use crate::{
    stop,
    workspace::{log_dir, target_dir},
};

/// How long it may take to attach, and to count what it has seen.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to end.
const GRACE: Duration = Duration::from_secs(5);
/// It brings the kernel's counters up to date once a second.
const TICK: Duration = Duration::from_millis(1_100);

/// A running agent.
pub(super) struct Agent {
    process: Scoped,
    address: SocketAddr,
    /// From the start until its hooks were attached and the servers known.
    pub(super) ready: Duration,
    log: PathBuf,
}

impl Agent {
    /// Starts it and waits until it says that it is ready.
    pub(super) fn start() -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, http::free_port()?));
        let log = log_dir()?.join("bench-agent.log");
        let output =
            File::create(&log).with_context(|| format!("failed to make {}", log.display()))?;
        let mut command = Command::new(target_dir()?.join("release/sigblame"));
        command
            .args(["run", "--web.listen-address", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output);
        let begin = Instant::now();
        let process = Scoped::spawn(&mut command, GRACE)?;
        let mut agent = Self {
            process,
            address,
            ready: Duration::ZERO,
            log,
        };
        // Looked at often: the time until then is a figure.
        while agent.get("/-/ready").is_err() {
            stop::check()?;
            if agent.process.has_ended() || begin.elapsed() > PATIENCE {
                bail!("failed to start the agent; see {}", agent.log.display());
            }
            thread::sleep(Duration::from_millis(2));
        }
        agent.ready = begin.elapsed();
        Ok(agent)
    }

    /// Starts it and proves with one event that it sees the worker with its whole stack.
    pub(super) fn attach(worker: &mut Worker) -> Result<Self> {
        let agent = Self::start()?;
        let before = agent.seen()?;
        worker.toggle(MARKS)?;
        agent.check(before, MARKS)?;
        agent.check_finding(worker)?;
        Ok(agent)
    }

    /// The finding of the worker's SIGUSR2 has as many frames as the application has.
    fn check_finding(&self, worker: &Worker) -> Result<()> {
        let page: Value = serde_json::from_str(&self.get("/api/v1/findings")?)
            .context("failed to read the agent's findings")?;
        let config = worker.config();
        let finding = page["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|finding| {
                finding["server"]["config"] == *config && finding["signal"]["name"] == "SIGUSR2"
            });
        let finding = finding.context(
            "failed to see the worker's SIGUSR2 among the findings: the agent does not watch it",
        )?;
        let frames = finding["python"]["frames"].as_array().map_or(0, Vec::len);
        if frames != FRAMES as usize || finding["python"]["result"] != "complete" {
            bail!(
                "failed to see a complete stack of {FRAMES} frames: {}",
                finding["python"]
            );
        }
        Ok(())
    }

    /// How many changes of SIGUSR2 by applications it has counted.
    pub(super) fn seen(&self) -> Result<u64> {
        Ok(sum(
            &self.metrics()?,
            "sigblame_registrations_total",
            &TOGGLED,
        ))
    }

    /// Waits until it has counted so many more, and makes sure that each had its whole stack and
    /// that nothing was lost or folded.
    pub(super) fn check(&self, before: u64, events: u32) -> Result<()> {
        let expected = before + u64::from(events);
        let enough = || stop::asked() || self.seen().is_ok_and(|seen| seen >= expected);
        wait_for(PATIENCE, || enough().then_some(()));
        stop::check()?;
        thread::sleep(TICK);
        let text = self.metrics()?;
        let seen = sum(&text, "sigblame_registrations_total", &TOGGLED);
        let complete = sum(
            &text,
            "sigblame_python_stacks_total",
            &["result=\"complete\""],
        );
        let lost = sum(&text, "sigblame_events_lost_total", &[]);
        let missed = sum(&text, "sigblame_probe_misses_total", &[])
            // Other people's programs that start an interpreter.
            - sum(&text, "sigblame_probe_misses_total", &["reason=\"interpreter_unwatched\""]);
        if seen >= expected {
            self.alone(expected)?;
        }
        if complete > expected {
            let text = "failed to measure alone: another server started an interpreter";
            return Err(Disturbed(text.to_owned()).into());
        }
        if seen != expected || complete != expected || lost + missed != 0 {
            bail!(
                "failed to measure sigblame: of {expected} events it saw {seen}, {complete} with \
                 complete stacks, lost {lost}, missed {missed}; see {}",
                self.log.display()
            );
        }
        Ok(())
    }

    /// Waits until it has counted so many more, whatever their stacks, and lost none.
    pub(super) fn check_seen(&self, before: u64, events: u32) -> Result<()> {
        let expected = before + u64::from(events);
        let enough = || stop::asked() || self.seen().is_ok_and(|seen| seen >= expected);
        wait_for(PATIENCE, || enough().then_some(()));
        stop::check()?;
        let lost = sum(&self.metrics()?, "sigblame_events_lost_total", &[]);
        let seen = self.seen()?;
        if seen != expected || lost != 0 {
            bail!(
                "failed to measure sigblame: of {expected} events it saw {seen}, lost {lost}; see {}",
                self.log.display()
            );
        }
        Ok(())
    }

    /// Blocked attempts that it has counted.
    pub(super) fn attempts(&self) -> Result<u64> {
        Ok(sum(
            &self.metrics()?,
            "sigblame_events_total",
            &["kind=\"attempt\""],
        ))
    }

    /// Which rung the registration hook is on.
    pub(super) fn rung(&self) -> Result<String> {
        let text = self.metrics()?;
        let hook = "sigblame_hook_attached{hook=\"registration\",mechanism=\"";
        text.lines()
            .filter_map(|line| line.strip_prefix(hook)?.strip_suffix("\"} 1"))
            .next()
            .map(str::to_owned)
            .context("failed to find the registration hook's rung in the agent's metrics")
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Registrations of every kind that it has counted.
    pub(super) fn registrations(&self) -> Result<u64> {
        Ok(sum(
            &self.metrics()?,
            "sigblame_events_total",
            &["kind=\"registration\""],
        ))
    }

    /// Fails when another server's applications have set signals, too.
    pub(super) fn alone(&self, ours: u64) -> Result<()> {
        let registrations = sum(
            &self.metrics()?,
            "sigblame_registrations_total",
            &[APPLICATION],
        );
        if registrations != ours {
            let text = format!(
                "failed to measure alone: another server's application set signals \
                 ({registrations} in all, {ours} are ours)"
            );
            return Err(Disturbed(text).into());
        }
        Ok(())
    }

    pub(super) fn stop(self) -> Result<()> {
        self.process.stop().map(drop)
    }

    fn metrics(&self) -> Result<String> {
        self.get("/metrics")
    }

    fn get(&self, path: &str) -> Result<String> {
        let response = http::get(self.address, path, PATIENCE)?;
        if response.status != 200 {
            bail!(
                "failed to get {path} of the agent: {}",
                response.body.trim()
            );
        }
        Ok(response.body)
    }
}

const APPLICATION: &str = "origin=\"application\"";
const TOGGLED: [&str; 2] = ["signal=\"SIGUSR2\"", APPLICATION];

/// The sum of all series of a metric with these labels.
fn sum(text: &str, name: &str, labels: &[&str]) -> u64 {
    text.lines()
        .filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        })
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum::<f64>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_name_and_label() {
        let text =
            "# TYPE a_total counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_total_more 9\n";
        assert_eq!(sum(text, "a_total", &[]), 5);
        assert_eq!(sum(text, "a_total", &["x=\"2\""]), 3);
        assert_eq!(sum(text, "b_total", &[]), 0);
    }
}
