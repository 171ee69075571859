//! The agent as a child process, and the two things that we ask it over HTTP.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sigblame_tests::{http, process::Scoped, wait_for};

use crate::stop;

/// Where the agent listens unless somebody says otherwise.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9749);
const LISTEN: &str = "--web.listen-address";
const FORMAT: &str = "--log.format";
/// How long attaching and the first look at the host may take.
const READY: Duration = Duration::from_secs(30);
/// How long the agent may take to put its things in order at the end.
const GRACE: Duration = Duration::from_secs(5);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A running agent.
pub(crate) struct Agent {
    process: Scoped,
    address: SocketAddr,
}

impl Agent {
    /// Starts this build. Findings go to our standard output, the rest to standard error.
    pub(crate) fn start(program: &Path, arguments: &[String]) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("run").stdin(Stdio::null());
        let address = match value_of(arguments, LISTEN) {
            Some(text) => text
                .parse()
                .with_context(|| format!("failed to read {LISTEN} {text}: give ADDRESS:PORT"))?,
            None => {
                let address = choose_address()?;
                command.args([LISTEN, &address.to_string()]);
                address
            }
        };
        if value_of(arguments, FORMAT).is_none() {
            command.args([FORMAT, "text"]);
        }
        command.args(arguments);
        let process = Scoped::spawn(&mut command, GRACE)?;
        Ok(Self { process, address })
    }

    /// The address of one of its pages.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Whether it ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// Waits until its hooks are attached and the servers that run are known. False: it ended.
    pub(crate) fn wait_until_ready(&mut self) -> Result<bool> {
        let ready = wait_for(READY, || {
            if self.has_ended() {
                return Some(Ok(false));
            }
            if let Err(error) = stop::check() {
                return Some(Err(error));
            }
            http::get(self.address, "/-/ready", ANSWER)
                .is_ok_and(|response| response.status == 200)
                .then_some(Ok(true))
        });
        ready.unwrap_or_else(|| {
            bail!(
                "failed to see the agent ready within {} s; {} says why",
                READY.as_secs(),
                self.url("/-/ready")
            )
        })
    }

    /// The code of an agent that ended by itself, which has said why.
    pub(crate) fn exit_code(self) -> Result<ExitCode> {
        let status = self.process.stop()?.status;
        eprintln!("the agent ended by itself: {status}");
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        // Nobody asked it to end, so that even a zero is not a success.
        Ok(ExitCode::from(code.filter(|code| *code != 0).unwrap_or(1)))
    }

    /// Stops it.
    pub(crate) fn stop(self) -> Result<()> {
        if self.process.stop()?.forced {
            eprintln!(
                "the agent did not end within {} s and was killed",
                GRACE.as_secs()
            );
        }
        Ok(())
    }

    /// How many findings there are by rule.
    pub(crate) fn summary(&self) -> Result<String> {
        let mut rules: BTreeMap<String, u64> = BTreeMap::new();
        let mut cursor = String::new();
        loop {
            let response = http::get(self.address, &format!("/api/v1/findings{cursor}"), ANSWER)?;
            if response.status != 200 {
                bail!("failed to get the findings: {}", response.body.trim());
            }
            let page: Value = serde_json::from_str(&response.body)
                .context("failed to read the agent's list of findings")?;
            for finding in page["findings"].as_array().into_iter().flatten() {
                let rule = finding["rule"].as_str().unwrap_or("unknown");
                *rules.entry(rule.to_owned()).or_default() += 1;
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("?cursor={next}"),
                None => return Ok(describe(&rules)),
            }
        }
    }
}

fn describe(rules: &BTreeMap<String, u64>) -> String {
    let mut text = format!("{} findings", rules.values().sum::<u64>());
    for (rule, number) in rules {
        // Writing to a string cannot fail.
        let _infallible = write!(text, "\n  {number:4} {rule}");
    }
    text
}

/// The agent's usual address; another port when that one is taken.
fn choose_address() -> Result<SocketAddr> {
    if TcpListener::bind(DEFAULT).is_ok() {
        return Ok(DEFAULT);
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, http::free_port()?));
    eprintln!("{DEFAULT} is taken, so the agent listens on {address}");
    Ok(address)
}

/// What the user gave for a flag, as `--flag value` or `--flag=value`.
fn value_of<'a>(arguments: &'a [String], flag: &str) -> Option<&'a str> {
    arguments.iter().enumerate().find_map(|(index, argument)| {
        let rest = argument.strip_prefix(flag)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => arguments.get(index + 1).map(String::as_str),
            None => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_found_in_both_spellings() {
        let arguments = ["--log.level", "debug", "--web.listen-address=[::1]:1"].map(str::to_owned);
        assert_eq!(value_of(&arguments, LISTEN), Some("[::1]:1"));
        assert_eq!(value_of(&arguments, "--log.level"), Some("debug"));
        assert_eq!(value_of(&arguments, "--log"), None);
        assert_eq!(value_of(&arguments, FORMAT), None);
    }

    #[test]
    fn a_summary_counts_by_rule() {
        let rules = BTreeMap::from([("sigalrm".to_owned(), 2), ("reserved-signal".to_owned(), 1)]);
        assert_eq!(
            describe(&rules),
            "3 findings\n     1 reserved-signal\n     2 sigalrm"
        );
    }
}
