//! The table of CPython layouts, printed, or held against the headers that are installed here.
//!
//! `cargo xtask offsets` prints it. With `--check` a C program is compiled with each CPython's own
//! headers, which prints the same columns by `offsetof` and `sizeof`: rows are not believed, and a
//! new one is right when nothing differs.

mod columns;
mod headers;
mod printer;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Result;
use clap::Parser;
use sigblame::python::{Version, layout};

use self::{columns::columns, headers::Headers};

#[derive(Debug, Parser)]
struct Arguments {
    /// Holds the rows against headers.
    #[arg(long)]
    check: bool,
    /// More directories with a `Python.h`.
    #[arg(long, requires = "check")]
    include: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = if arguments.check {
        check(&arguments.include)
    } else {
        print();
        Ok(ExitCode::SUCCESS)
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn versions() -> impl Iterator<Item = Version> {
    layout::ROWS
        .iter()
        .filter_map(|row| layout::version(row.raw.version))
}

/// One line for each column, one column for each version.
fn print() {
    let rows: Vec<BTreeMap<&str, u64>> = layout::ROWS.iter().map(columns).collect();
    let names: BTreeSet<&str> = rows.iter().flat_map(|row| row.keys().copied()).collect();
    let heads: Vec<String> = versions()
        .map(|version| format!("{:>6}", version.to_string()))
        .collect();
    println!("{:24}{}", "", heads.join(" "));
    for name in names {
        let cell = |row: &BTreeMap<&str, u64>| match row.get(name) {
            Some(value) if *value > u64::from(u32::MAX) => format!("{:>6}", "~3"),
            Some(value) => format!("{value:>6}"),
            None => format!("{:>6}", "-"),
        };
        let cells: Vec<String> = rows.iter().map(cell).collect();
        println!("{name:24}{}", cells.join(" "));
    }
}

fn check(more: &[PathBuf]) -> Result<ExitCode> {
    let all = headers::find(more);
    let mut wrong = false;
    let mut seen = BTreeSet::new();
    for headers in &all {
        for version in headers.builds() {
            let release = &headers.release;
            let build = if version.free_threaded { "t" } else { "" };
            let differences = differences(headers, version)?;
            let result = match &differences {
                None => "no row".to_owned(),
                Some(found) if found.is_empty() => "as the row says".to_owned(),
                Some(found) => {
                    wrong = true;
                    found.join(", ")
                }
            };
            let release = format!("{release}{build}");
            println!("{release:<9} {result}  ({})", headers.dir.display());
            seen.insert(version);
        }
    }
    for version in versions().filter(|version| !seen.contains(version)) {
        println!("{:<9} no headers here", version.to_string());
    }
    Ok(if wrong {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Columns in which a row and the headers differ; `None` where there is no row.
fn differences(headers: &Headers, version: Version) -> Result<Option<Vec<String>>> {
    let Some((_, row)) = layout::find(version) else {
        return Ok(None);
    };
    let row = columns(row);
    let compiled = printer::compiled(headers, version)?;
    let names: BTreeSet<&str> = row
        .keys()
        .copied()
        .chain(compiled.keys().map(String::as_str))
        .collect();
    let show = |value: Option<&u64>| value.map_or_else(|| "none".to_owned(), u64::to_string);
    let differing = names
        .into_iter()
        .filter(|name| row.get(name) != compiled.get(*name));
    Ok(Some(
        differing
            .map(|name| {
                format!(
                    "{name}: row {}, headers {}",
                    show(row.get(name)),
                    show(compiled.get(name))
                )
            })
            .collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every CPython whose headers are installed here.
    #[test]
    fn rows_are_what_the_headers_say() {
        let all = headers::find(&[]);
        if all.is_empty() {
            eprintln!(
                "skipped: rows_are_what_the_headers_say: no headers of CPython are installed"
            );
        }
        for headers in &all {
            for version in headers.builds() {
                let found = differences(headers, version).expect("a C compiler");
                let dir = headers.dir.display();
                assert_eq!(
                    found.unwrap_or_default(),
                    Vec::<String>::new(),
                    "{dir}, {version}"
                );
            }
        }
    }
}
