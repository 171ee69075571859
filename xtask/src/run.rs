//! Builds the agent and runs it on this host, so that a newcomer sees findings within minutes.
//!
//! Everything that is started here is ended here, by process id. An httpd that was running before
//! is only watched.

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use sigblame_tests::{
    demo::{self, DAEMON_MOUNT, ROUTES},
    httpd::{Httpd, Mpm},
};

use self::agent::Agent;
use crate::{
    packages::Group,
    setup, stop,
    test::mount_tracefs,
    workspace::{cargo_run, is_root, target_dir},
};

pub(crate) mod agent;
mod servers;

/// The agent's own code for "the kernel or a privilege is missing".
const UNAVAILABLE: u8 = 69;

/// How the agent is run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// End by itself after so long, like `60s` or `5m`, with a summary.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    limit: Option<Duration>,
    /// Start the demo server even when an httpd with mod_wsgi is running.
    #[arg(long, conflicts_with = "no_demo")]
    demo: bool,
    /// Do not start the demo server.
    #[arg(long)]
    no_demo: bool,
    /// For `sigblame run`, as they are.
    #[arg(last = true)]
    agent: Vec<String>,
}

/// Runs the agent until Ctrl-C, or as long as the options say.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !is_root() {
        eprintln!(
            "error: the agent loads programs into the kernel, which needs root: run \
             `cargo xtask run` again in a root shell"
        );
        return Ok(ExitCode::from(UNAVAILABLE));
    }
    setup::setup(&[])?;
    mount_tracefs();
    cargo_run(&["build", "--release", "-p", "sigblame"], &[])?;

    let _deferred = stop::defer();
    let wants_demo = wants_demo(options)?;
    let mut agent = Agent::start(&target_dir()?.join("release/sigblame"), &options.agent)?;
    if !agent.wait_until_ready()? {
        return agent.exit_code();
    }
    eprintln!("the agent is ready: {}", agent.url("/"));
    // What its workers attempt when they start is heard by an agent that is there already.
    let server = wants_demo.then(start_demo).transpose()?;
    let begin = Instant::now();
    if let Some(server) = &server {
        click_through(server)?;
    }
    if !stop::asked() {
        match options.limit {
            Some(limit) => eprintln!("watching for {} s", limit.as_secs()),
            None => eprintln!("watching; Ctrl-C stops everything that was started here"),
        }
    }
    while !stop::asked() && options.limit.is_none_or(|limit| begin.elapsed() < limit) {
        if agent.has_ended() {
            return agent.exit_code();
        }
        thread::sleep(Duration::from_millis(100));
    }

    let summary = agent.summary();
    if server.is_some()
        && summary
            .as_ref()
            .is_ok_and(|text| text.starts_with("0 findings"))
    {
        bail!(
            "failed to hear the demo site, which took signals over; \
             `target/release/sigblame doctor` says what is missing here"
        );
    }
    agent.stop()?;
    if let Some(server) = server {
        eprintln!("stopping the demo server; a daemon whose SIGTERM was taken costs three seconds");
        server.stop()?;
    }
    println!("{}", summary?);
    Ok(ExitCode::SUCCESS)
}

/// Whether a server of our own is to run; what it needs is installed then.
fn wants_demo(options: &Options) -> Result<bool> {
    let running = servers::running()?;
    for server in &running {
        eprintln!("found a running server with {server}; it is watched, not touched");
    }
    if options.no_demo || (!running.is_empty() && !options.demo) {
        if running.is_empty() {
            eprintln!("no httpd with mod_wsgi is running; one that starts will be seen");
        }
        return Ok(false);
    }
    setup::add(Group::Demo)?;
    Ok(true)
}

fn start_demo() -> Result<Httpd> {
    let server = demo::start(Mpm::Event)?;
    eprintln!(
        "started a demo server of our own, process {}\n  embedded: {}\n  daemon:   {}",
        server.pid(),
        server.url("/"),
        server.url(&format!("{DAEMON_MOUNT}/")),
    );
    Ok(server)
}

/// Visits every link once, so that the first findings stand there without a click.
pub(crate) fn click_through(server: &Httpd) -> Result<()> {
    for mount in ["", DAEMON_MOUNT] {
        for route in ROUTES {
            if stop::asked() {
                return Ok(());
            }
            let path = format!("{mount}{}", route.path);
            let status = server.get(&path)?.status;
            eprintln!("clicked {} ({status})", server.url(&path));
            if status != 200 {
                bail!(
                    "failed to use the demo site; its server said:\n{}",
                    server.error_log()
                );
            }
        }
    }
    Ok(())
}

/// `90`, `90s`, `5m`, `1h`.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        unit => return Err(format!("`{unit}` is no unit of time: use s, m or h")),
    };
    digits
        .parse::<u32>()
        .map(|number| Duration::from_secs(u64::from(number) * factor))
        .map_err(|_| "a time looks like 60s, 5m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_time("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_time("5"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "s", "5 parsecs", "-5s", "5ms", "99999999999s"] {
            parse_time(wrong).unwrap_err();
        }
    }
}
