//! ARCHITECTURE.md's floors, held against the agent's source: imports point down only, and the
//! lower floors do nothing but think.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use regex::Regex;

use crate::{
    files,
    source::{Name, Source},
};

/// Where the modules do IO and must not know one another.
const IO: u32 = 4;
/// The modules that neither ask the world nor change it.
const PURE: std::ops::RangeInclusive<u32> = 1..=3;
/// What asks the world or changes it: files, sockets, processes, clocks, the kernel, the log.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "aya",
    "axum",
    "hyper",
    "hyper_util",
    "libc",
    "prometheus",
    "rustix",
    "tokio",
    "tracing",
    "tracing_subscriber",
    "dbg",
    "eprint",
    "eprintln",
    "print",
    "println",
];
/// Addresses are numbers; only sockets are IO.
const ADDRESSES: &[&str] = &[
    "AddrParseError",
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
];

/// A line of the table; the modules in it may import one another.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row {
    floor: u32,
    line: usize,
}

/// Module names with their rows, from the block under the heading.
fn table() -> Result<BTreeMap<Name, Row>> {
    let text = files::text("ARCHITECTURE.md")?;
    let block = text
        .split_once("\n## Floors\n")
        .and_then(|(_, rest)| rest.split_once("```text\n")?.1.split_once("```"))
        .context("ARCHITECTURE.md has no table of floors")?
        .0;
    let remark = Regex::new(r"\([^)]*\)|\s(?:IO|pure)$")?;
    let entry = Regex::new(r"([\w-]+(?:::\w+)*)?(?:::)?(?:\{([^}]*)\})?")?;
    let mut table = BTreeMap::new();
    for (line, text) in block.lines().enumerate() {
        let (floor, names) = text.split_once(' ').context("a floor without modules")?;
        let row = Row {
            floor: floor.parse().with_context(|| format!("no floor: {text}"))?,
            line,
        };
        for found in entry.captures_iter(&remark.replace_all(names, "")) {
            let head: Name = found.get(1).map_or(Name::new(), |head| name(head.as_str()));
            let members = found.get(2).map(|members| members.as_str());
            match members {
                None if head.is_empty() => {}
                None => assert_eq!(table.insert(head, row), None, "{text}"),
                Some(members) => {
                    for member in members.split(',') {
                        let name = [&head[..], &name(member.trim())].concat();
                        assert_eq!(table.insert(name, row), None, "{text}");
                    }
                }
            }
        }
    }
    assert!(table.len() > 10, "the search is broken: {table:?}");
    Ok(table)
}

fn name(text: &str) -> Name {
    text.split("::").map(str::to_owned).collect()
}

/// A module without a row of its own stands where its parent does.
fn row_of(table: &BTreeMap<Name, Row>, name: &Name) -> Option<Row> {
    (1..=name.len())
        .rev()
        .find_map(|end| table.get(&name[..end]))
        .copied()
}

/// A module that stands nowhere is held to nothing, and a row without a module is a lie.
#[test]
fn every_module_has_its_floor_and_every_row_its_module() -> Result<()> {
    let table = table()?;
    let source = Source::read()?;
    for (name, module) in &source.modules {
        assert!(
            row_of(&table, name).is_some() || !module.has_content,
            "ARCHITECTURE.md gives no floor to {}",
            name.join("::")
        );
    }
    for name in table.keys().filter(|name| name[0] != "probe-abi") {
        assert!(
            source.modules.contains_key(name),
            "ARCHITECTURE.md names {}, which does not exist",
            name.join("::")
        );
    }
    let on_disk = files::below("agent/src")?;
    for file in on_disk.iter().filter(|file| file.ends_with(".rs")) {
        assert!(source.files.contains(file), "{file} belongs to no module");
    }
    Ok(())
}

#[test]
fn imports_point_down_only() -> Result<()> {
    let table = table()?;
    let source = Source::read()?;
    let mut wrong = Vec::new();
    let mut seen = 0;
    for name in source.modules.keys() {
        let Some(from) = row_of(&table, name) else {
            continue;
        };
        for import in source.imports(name) {
            let Some(to) = row_of(&table, import) else {
                continue;
            };
            seen += 1;
            if to.floor > from.floor || (from.floor == IO && to.floor == IO && to != from) {
                wrong.push(format!(
                    "{} (floor {}) names {} (floor {})",
                    name.join("::"),
                    from.floor,
                    import.join("::"),
                    to.floor
                ));
            }
        }
    }
    assert!(seen > 50, "only {seen} imports: the search is broken");
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}

fn is_impure(path: &[String]) -> bool {
    // The core has no clock of its own, by whatever crate.
    if path.last().is_some_and(|last| last == "now") {
        return true;
    }
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    match parts[..] {
        ["std", "net", address, ..] if ADDRESSES.contains(&address) => return false,
        // Traits and errors are no IO; the process's own streams are.
        ["std", "io", stream, ..] | ["io", stream, ..] => return stream.starts_with("std"),
        ["std", "io"] => return false,
        _ => {}
    }
    IMPURE.iter().any(|impure| {
        let impure = name(impure);
        // `use std;` or `use std::time;` would open the door to what is behind it.
        let common = impure.len().min(path.len());
        !path.is_empty() && impure[..common] == path[..common]
    })
}

/// What a replay cannot repeat must not be known to what a replay runs.
#[test]
fn the_core_is_pure() -> Result<()> {
    let table = table()?;
    let source = Source::read()?;
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (name, module) in &source.modules {
        if !row_of(&table, name).is_some_and(|row| PURE.contains(&row.floor)) {
            continue;
        }
        seen += module.outside.len();
        for path in module.outside.iter().filter(|path| is_impure(path)) {
            wrong.push(format!("{} names {}", name.join("::"), path.join("::")));
        }
    }
    assert!(seen > 100, "only {seen} paths: the search is broken");
    assert!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}
