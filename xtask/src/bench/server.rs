//! The watched process: the one worker of a real httpd with mod_wsgi, whose application calls a
//! loop in C from a Python stack of known depth.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::Pid;
use serde_json::Value;
use sigblame_tests::{
    demo,
    httpd::{Builder, Httpd, Mpm, Place},
    package_dir,
};

use super::{FRAMES, load};

/// The probe counts what a process registers in windows of one second; requests that begin
/// further apart than that share none.
const PACE: Duration = Duration::from_millis(1_100);

/// A server with one worker.
pub(super) struct Worker {
    server: Httpd,
    /// The worker's process id.
    pub(super) pid: u32,
    /// Of the interpreter in it.
    pub(super) python: String,
    /// Of the module.
    pub(super) mod_wsgi: String,
    last: Instant,
}

impl Worker {
    /// Starts the server and loads the application.
    pub(super) fn start() -> Result<Self> {
        let source = package_dir().join("apps/bench");
        let builder = Builder::new(Mpm::Prefork)?.files(&source)?;
        demo::compile(
            &source.join("bench.c"),
            &builder.app_dir().join("libbench.so"),
        )?;
        let server = builder
            // mod_wsgi logs each blocked attempt, with its stack: what a disk takes is not measured.
            .directive("LogLevel emerg")
            .script("/", "bench.py", &Place::embedded("bench"))
            .start()?;
        let answer = ask(&server, &format!("/repeat/1/{FRAMES}"))?;
        let pid = answer["pid"].as_u64().and_then(|pid| pid.try_into().ok());
        let pid: u32 = pid.context("failed to read the worker's process id")?;
        load::pin(i32::try_from(pid).ok().and_then(Pid::from_raw))?;
        let text = |key: &str| answer[key].as_str().unwrap_or("unknown").to_owned();
        Ok(Self {
            server,
            pid,
            python: text("python"),
            mod_wsgi: text("mod_wsgi"),
            last: Instant::now(),
        })
    }

    /// Changes SIGUSR2 so many times. Nanoseconds per call.
    pub(super) fn toggle(&mut self, calls: u32) -> Result<f64> {
        self.calls("toggle", calls)
    }

    /// Sets SIGPIPE so many times to what it is, which no rule objects to. Nanoseconds per call.
    pub(super) fn repeat(&mut self, calls: u32) -> Result<f64> {
        self.calls("repeat", calls)
    }

    /// Changes SIGUSR2 so many times from a stack of so many Python frames and frames in C.
    /// Nanoseconds per call.
    pub(super) fn deep(&mut self, calls: u32, python: u32, native: u32) -> Result<f64> {
        match native {
            1 => self.ask(&format!("/toggle/{calls}/{python}"), calls),
            _ => self.ask(&format!("/deep/{calls}/{python}/{native}"), calls),
        }
    }

    /// Tries so many times to register for SIGALRM, which mod_wsgi blocks. Nanoseconds per call.
    pub(super) fn attempt(&mut self, calls: u32) -> Result<f64> {
        self.calls("attempt", calls)
    }

    fn calls(&mut self, kind: &str, calls: u32) -> Result<f64> {
        self.ask(&format!("/{kind}/{calls}/{FRAMES}"), calls)
    }

    fn ask(&mut self, path: &str, calls: u32) -> Result<f64> {
        thread::sleep(PACE.saturating_sub(self.last.elapsed()));
        self.last = Instant::now();
        let answer = ask(&self.server, path)?;
        if answer["pid"].as_u64() != Some(self.pid.into()) {
            bail!("failed to measure one worker: httpd has started another one meanwhile");
        }
        match answer["nanoseconds"].as_f64() {
            Some(time) if time >= 0.0 => Ok(time / f64::from(calls)),
            _ => bail!("failed to set signals in the worker: {answer}"),
        }
    }

    /// Where the server's configuration is, by which findings name it.
    pub(super) fn config(&self) -> String {
        self.server.dir().join("httpd.conf").display().to_string()
    }

    /// Stops the server.
    pub(super) fn stop(self) -> Result<()> {
        self.server.stop().map(drop)
    }
}

fn ask(server: &Httpd, path: &str) -> Result<Value> {
    let response = server.get(path)?;
    if response.status != 200 {
        bail!(
            "failed to use the application of the benchmark; its server said:\n{}",
            server.error_log()
        );
    }
    serde_json::from_str(&response.body)
        .with_context(|| format!("failed to read the application's answer: {}", response.body))
}
