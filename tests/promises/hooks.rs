//! One table of hooks: the probe's programs, their heads and the README agree with it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use sigblame::probe::{
    budget::BUDGETS,
    hooks::{HOOKS, Hook, Rung},
};
use syn::{Attribute, Item};

use crate::files;

const PROBE: &str = "probe-ebpf/src";
/// What each program file says first, in this order.
const HEAD: [&str; 5] = ["Hook", "Since", "Fires when", "Emits", "Why this hook"];
/// Where unsafe code may be: each is named in `main.rs` with what it needs it for. `main` has the
/// licence's attributes.
const UNSAFE: &[&str] = &[
    "emit",
    "inventory",
    "main",
    "maps",
    "once",
    "read",
    "scratch",
    "walk",
];

/// The mechanism of `HOOKS` for which an attribute makes a function a program.
fn mechanism(attribute: &Attribute) -> Option<&'static str> {
    let is = |name: &str| attribute.path().is_ident(name);
    let meta = &attribute.meta;
    if let syn::Meta::List(list) = meta
        && is("unsafe")
        && list.tokens.to_string().contains("\"iter/")
    {
        return Some("iter");
    }
    let macros = ["tracepoint", "raw_tracepoint", "uprobe"];
    if is("fentry") || is("fexit") {
        return Some("fexit");
    }
    macros.into_iter().find(|name| is(name))
}

/// The programs of the probe by name: file and mechanism.
fn programs() -> Result<BTreeMap<String, (String, &'static str)>> {
    let mut programs = BTreeMap::new();
    for file in files::below(PROBE)? {
        let parsed = syn::parse_file(&files::text(&file)?);
        let parsed = parsed.with_context(|| format!("failed to parse {file}"))?;
        for item in parsed.items {
            if let Item::Fn(function) = item
                && let Some(mechanism) = function.attrs.iter().find_map(mechanism)
            {
                let name = function.sig.ident.to_string();
                assert!(
                    matches!(function.vis, syn::Visibility::Public(_)),
                    "{file}: {name} must be pub, or the linker drops it"
                );
                programs.insert(name, (file.clone(), mechanism));
            }
        }
    }
    assert!(!programs.is_empty(), "the search is broken");
    Ok(programs)
}

fn rungs() -> impl Iterator<Item = (&'static Hook, &'static Rung)> {
    HOOKS
        .iter()
        .flat_map(|hook| hook.rungs.iter().map(move |rung| (hook, rung)))
}

/// A program without a row is never attached; a row without a program never attaches.
#[test]
fn the_programs_are_those_of_the_table() -> Result<()> {
    let mut table = BTreeMap::new();
    for (_, rung) in rungs() {
        for (name, _) in rung.programs {
            assert_eq!(
                table.insert((*name).to_owned(), rung.mechanism),
                None,
                "{name}"
            );
        }
    }
    let programs = programs()?;
    let found: BTreeMap<String, &str> = programs
        .iter()
        .map(|(name, (_, mechanism))| (name.clone(), *mechanism))
        .collect();
    assert_eq!(found, table);
    let map = files::text(&format!("{PROBE}/main.rs"))?;
    for (name, (file, _)) in &programs {
        let file = file.rsplit('/').next().unwrap_or_default();
        let row = map
            .lines()
            .find(|line| line.starts_with("//! |") && line.contains(&format!("`{name}`")));
        assert!(
            row.is_some_and(|row| row.contains(&format!("`{file}`"))),
            "main.rs does not say that {name} is in {file}"
        );
    }
    Ok(())
}

/// The first question about a program is when it runs, the second why it is this hook.
#[test]
fn every_program_file_opens_with_its_head() -> Result<()> {
    for file in files_with_programs()? {
        let head = head(&file)?;
        let names: Vec<&str> = head.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, HEAD, "{file}");
        for (name, text) in &head {
            assert!(text.len() > 3, "{file}: {name} says nothing");
        }
    }
    Ok(())
}

/// What the head says and what the table says are one thing.
#[test]
fn every_head_agrees_with_the_table() -> Result<()> {
    let programs = programs()?;
    for (hook, rung) in rungs() {
        for (program, _) in rung.programs {
            let (file, _) = programs.get(*program).context("a row without a program")?;
            let head: BTreeMap<_, _> = head(file)?.into_iter().collect();
            assert!(
                head["Since"].contains(rung.since),
                "{file}: {} has it since {}",
                rung.mechanism,
                rung.since
            );
            let emits = hook.emits.split(':').next().unwrap_or_default();
            assert!(head["Emits"].contains(emits), "{file}: it emits {emits}");
        }
    }
    Ok(())
}

fn files_with_programs() -> Result<BTreeSet<String>> {
    Ok(programs()?.into_values().map(|(file, _)| file).collect())
}

/// The entries of a program file's head, each with its text in one line.
fn head(file: &str) -> Result<Vec<(&'static str, String)>> {
    let text = files::text(file)?;
    let mut head: Vec<(&str, String)> = Vec::new();
    for line in text.lines().map_while(|line| line.strip_prefix("//!")) {
        let line = line.trim();
        let entry = HEAD.into_iter().find_map(|name| {
            let rest = line.strip_prefix(name)?.strip_prefix(": ")?;
            Some((name, rest.to_owned()))
        });
        match (entry, head.last_mut()) {
            (Some(entry), _) => head.push(entry),
            (None, Some((_, text))) if !line.is_empty() => {
                text.push(' ');
                text.push_str(line);
            }
            _ => {}
        }
    }
    Ok(head)
}

/// The border between what the verifier proves and what we do is where it is said to be.
#[test]
fn unsafe_code_stays_where_it_is_explained() -> Result<()> {
    let map = files::text(&format!("{PROBE}/main.rs"))?;
    for file in files::below(PROBE)? {
        let name = file
            .strip_prefix(&format!("{PROBE}/"))
            .and_then(|name| name.strip_suffix(".rs"))
            .with_context(|| format!("{file} is no module"))?;
        let forbids = files::text(&file)?.contains("#![forbid(unsafe_code)]");
        assert_eq!(!forbids, UNSAFE.contains(&name), "{file}");
        assert!(
            forbids || name == "main" || map.contains(&format!("`{name}`")),
            "main.rs does not say why {name} needs unsafe code"
        );
    }
    Ok(())
}

/// Operators choose kernels and privileges by the README's table.
#[test]
fn the_readme_has_the_table() -> Result<()> {
    let expected: Vec<Vec<String>> = rungs()
        .map(|(hook, rung)| {
            let required = match (hook.required, hook.rungs.len()) {
                (false, _) => "no",
                (true, 1) => "yes",
                (true, 2) => "yes, one of the two",
                (true, _) => "yes, one of them",
            };
            let programs: Vec<String> = rung
                .programs
                .iter()
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            [
                hook.name,
                rung.mechanism,
                rung.since,
                required,
                &programs.join(", "),
            ]
            .map(str::to_owned)
            .to_vec()
        })
        .collect();
    assert_eq!(files::table("README.md", "hook")?, expected);
    Ok(())
}

/// What a program may cost stands in the guide as it is held.
#[test]
fn the_guide_has_every_budget() -> Result<()> {
    let rows = files::table("ARCHITECTURE.md", "program")?;
    let found: Vec<(String, String)> = rows
        .iter()
        .filter_map(|row| Some((row.first()?.clone(), row.last()?.replace(',', ""))))
        .collect();
    let budgets = BUDGETS
        .iter()
        .map(|(name, budget)| (format!("`{name}`"), budget.to_string()));
    assert_eq!(found, budgets.collect::<Vec<_>>());
    Ok(())
}
