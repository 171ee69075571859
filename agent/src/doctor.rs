//! What this host must offer, what it does offer, what a lack costs and how to mend it.
//!
//! Looking is one thing ([`Facts::gather`]), judging another ([`checks`]), telling a third
//! ([`render`]). What other modules know — servers, hooks — comes in as a parameter.

mod facts;
mod gather;

use std::fmt::Write as _;

use serde::Serialize;

pub use self::facts::Facts;
use crate::{config::LogFormat, escape};

/// How much of a requirement is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All of it.
    Found,
    /// Enough to work with, at a cost.
    Degraded,
    /// Nothing.
    Missing,
}

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which.
    pub name: String,
    /// How much of it is there.
    pub state: State,
    /// Without it the agent cannot do its main job.
    pub required: bool,
    /// What was seen.
    pub seen: String,
    /// What the lack costs.
    pub cost: Option<String>,
    /// How to mend it.
    pub mend: Option<String>,
}

/// A try to attach a hook, best mechanism first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRow {
    /// Which hook.
    pub hook: String,
    /// By which mechanism.
    pub mechanism: String,
    /// Without this hook the agent cannot do its main job.
    pub required: bool,
    /// Whether it worked.
    pub attached: bool,
    /// Why not.
    pub error: Option<String>,
}

/// A program of the probe, and what it cost here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProgramRow {
    /// Which.
    pub name: String,
    /// Whether the kernel took it; of a hook with several mechanisms, only one is tried.
    pub loaded: bool,
    /// How many instructions the verifier looked at; kernels before 5.16 do not tell.
    pub verified_instructions: Option<u32>,
    /// How many it may.
    pub budget: u32,
}

impl Check {
    fn found(name: &str, required: bool, seen: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            state: State::Found,
            required,
            seen: seen.into(),
            cost: None,
            mend: None,
        }
    }

    fn lacking(self, state: State, cost: &str, mend: &str) -> Self {
        Self {
            state,
            cost: Some(cost.to_owned()),
            mend: Some(mend.to_owned()),
            ..self
        }
    }
}

/// Judges everything. `servers` is how many httpd with mod_wsgi the scan found, or why it could
/// not look; `hooks` are the tries to attach, in their order.
#[must_use]
pub fn checks(facts: &Facts, servers: &Result<usize, String>, hooks: &[HookRow]) -> Vec<Check> {
    let mut checks = facts.checks();
    checks.push(server_check(servers));
    let mut names: Vec<&str> = Vec::new();
    for row in hooks {
        if !names.contains(&row.hook.as_str()) {
            names.push(&row.hook);
        }
    }
    for name in names {
        let rungs: Vec<_> = hooks.iter().filter(|row| row.hook == name).collect();
        checks.push(hook_check(name, &rungs));
    }
    checks
}

fn server_check(servers: &Result<usize, String>) -> Check {
    const NAME: &str = "httpd with mod_wsgi";
    match servers {
        Ok(0) => Check::found(NAME, false, "none is running").lacking(
            State::Missing,
            "there is nothing to watch yet; a server that starts later is found by itself",
            "start httpd, or see that mod_wsgi is loaded: apachectl -M | grep wsgi",
        ),
        Ok(1) => Check::found(NAME, false, "one is running"),
        Ok(count) => Check::found(NAME, false, format!("{count} are running")),
        Err(error) => Check::found(NAME, false, error).lacking(
            State::Missing,
            "servers that run already are not found",
            "mend the capabilities and the proc root above",
        ),
    }
}

fn hook_check(name: &str, rungs: &[&HookRow]) -> Check {
    let required = rungs.iter().any(|row| row.required);
    let title = format!("hook {name}");
    let errors = rungs
        .iter()
        .take_while(|row| !row.attached)
        .map(|row| match &row.error {
            Some(error) => format!("{}: {error}", row.mechanism),
            None => format!("{}: not attached", row.mechanism),
        })
        .collect::<Vec<_>>()
        .join("; ");
    match rungs.iter().position(|row| row.attached) {
        Some(0) => Check::found(&title, required, format!("by {}", rungs[0].mechanism)),
        Some(at) => {
            let seen = format!("by {} ({errors})", rungs[at].mechanism);
            Check::found(&title, required, seen).lacking(
                State::Degraded,
                "the hook works at a higher price, or sees less",
                "nothing need be done; a kernel that allows the first mechanism is better",
            )
        }
        None => Check::found(&title, required, errors).lacking(
            State::Missing,
            "what this hook hears is not heard",
            "mend what is missing above; if nothing is, report the error as a bug",
        ),
    }
}

/// Whether the agent can do its main job.
#[must_use]
pub fn is_well(checks: &[Check]) -> bool {
    !checks
        .iter()
        .any(|check| check.required && check.state == State::Missing)
}

/// The checks for people or, as one object and with the price of each probe, for programs.
#[must_use]
pub fn render(checks: &[Check], programs: &[ProgramRow], format: LogFormat) -> String {
    match format {
        LogFormat::Text => text(checks),
        LogFormat::Json => json(checks, programs),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    checks: &'a [Check],
    programs: &'a [ProgramRow],
}

fn json(checks: &[Check], programs: &[ProgramRow]) -> String {
    let report = Report {
        ok: is_well(checks),
        checks,
        programs,
    };
    // Strings and flags always have a form in JSON.
    let mut line = escape::json(&report).unwrap_or_default();
    line.push('\n');
    line
}

fn text(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max();
    let width = width.unwrap_or_default();
    let mut out = String::new();
    for check in checks {
        let state = match (check.state, check.required) {
            (State::Found, _) => "found",
            (State::Degraded, _) => "degraded",
            (State::Missing, true) => "MISSING",
            (State::Missing, false) => "missing",
        };
        let seen = escape::text(&check.seen);
        let _ = writeln!(out, "{state:<9} {:<width$}  {seen}", check.name);
        for (word, sentence) in [("costs", &check.cost), ("mend ", &check.mend)] {
            if let Some(sentence) = sentence {
                let _ = writeln!(out, "{:10}{word}  {}", "", escape::text(sentence));
            }
        }
    }
    let missing = checks
        .iter()
        .filter(|check| check.required && check.state == State::Missing);
    match missing.count() {
        0 => out.push_str("\nsigblame can do its main job here.\n"),
        count => {
            let _ = writeln!(
                out,
                "\nsigblame cannot do its main job here: mend each MISSING above ({count})."
            );
        }
    }
    out
}

#[cfg(test)]
mod tests;
