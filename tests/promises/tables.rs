//! Tables for readers that repeat tables of the source: rules, commands, flags, misses.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use probe_abi::miss::Miss;
use sigblame::{cli::Cli, policy::rules::RULES};

use crate::files;

/// In the order of precedence, which the README explains by it.
#[test]
fn the_readme_has_every_rule_in_its_order() -> Result<()> {
    let rows = files::table("README.md", "rule")?;
    let found: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row[0].trim_matches('`'), row[2].as_str()))
        .collect();
    let expected: Vec<(&str, &str)> = RULES
        .iter()
        .map(|rule| (rule.id, rule.severity.name()))
        .collect();
    assert_eq!(found, expected);
    Ok(())
}

/// What `sigblame --help` offers is what the README explains.
#[test]
fn the_readme_has_every_command_and_the_flags_of_run() -> Result<()> {
    let rows = files::table("README.md", "command")?;
    let found: Vec<&str> = rows
        .iter()
        .filter_map(|row| row[0].strip_prefix("`sigblame ")?.split([' ', '`']).next())
        .collect();
    let cli = Cli::command();
    let commands: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).collect();
    assert_eq!(found, commands);

    let readme = files::text("README.md")?;
    for command in cli.get_subcommands() {
        let name = command.get_name();
        let row = rows
            .iter()
            .find(|row| row[0].starts_with(&format!("`sigblame {name}")))
            .context("a command without a row")?;
        for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
            let Some(long) = flag.get_long() else {
                continue;
            };
            let paragraph = readme
                .split("\n\n")
                .find(|text| text.starts_with("Flags of `run`"));
            let explained = match (name, row[0].contains(&format!("--{long}"))) {
                (_, true) => true,
                // The flags of `run` have a paragraph of their own; where another command has one
                // of these, it means the same.
                _ => {
                    paragraph.is_some_and(|text| text.contains(&format!("--{long}")))
                        || long == "config"
                }
            };
            assert!(
                explained,
                "README.md does not say what {name} --{long} does"
            );
        }
    }
    Ok(())
}

/// A label that nobody explains makes an alert that nobody can act on.
#[test]
fn every_miss_is_explained_to_operators() -> Result<()> {
    let rows = files::table("dashboards/README.md", "reason")?;
    let found: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| (row[0].trim_matches('`'), row[1].as_str()))
        .collect();
    assert_eq!(found, Miss::TABLE);
    let labels: BTreeSet<&str> = Miss::TABLE.iter().map(|(label, _)| *label).collect();
    assert_eq!(
        labels.len(),
        Miss::TABLE.len(),
        "a label stands for two reasons"
    );
    Ok(())
}
