//! Habits that a reviewer would otherwise have to remember, file by file.

use std::io::Write as _;

use anyhow::Result;
use regex::Regex;

use crate::files;

/// Longer than this, and a file is about two things.
const LONG: usize = 300;
/// Longer than this, and it is cut.
const TOO_LONG: usize = 400;

/// Every file of the repository whose name ends like that, `""` for all.
fn sources(endings: &[&str]) -> Result<Vec<String>> {
    let all = files::all()?;
    assert!(all.len() > 100, "the search is broken: {all:?}");
    let wanted = |file: &String| endings.iter().any(|ending| file.ends_with(ending));
    Ok(all.into_iter().filter(wanted).collect())
}

/// Lines of text files in which a pattern is found, with file and number.
fn lines_with(pattern: &str, endings: &[&str]) -> Result<Vec<String>> {
    let pattern = Regex::new(pattern)?;
    let mut found = Vec::new();
    for file in sources(endings)? {
        // Pictures and other data are not written by hand.
        let Ok(text) = files::text(&file) else {
            continue;
        };
        for (number, line) in (1..).zip(text.lines()) {
            if pattern.is_match(line) {
                found.push(format!("{file}:{number}: {}", line.trim()));
            }
        }
    }
    Ok(found)
}

/// A reader who opens a file learns first what it is for.
#[test]
fn every_rust_file_says_what_it_is_for() -> Result<()> {
    for file in sources(&[".rs"])? {
        let text = files::text(&file)?;
        let head = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("//! "));
        assert!(
            head.is_some_and(|sentence| sentence.len() > 10),
            "{file} does not begin with a sentence after //!"
        );
    }
    Ok(())
}

#[test]
fn no_file_of_code_is_too_long() -> Result<()> {
    let mut long = Vec::new();
    for file in sources(&[".rs", ".py", ".c", ".sh"])? {
        let lines = files::text(&file)?.lines().count();
        assert!(lines <= TOO_LONG, "{file} has {lines} lines");
        if lines > LONG {
            long.push(format!("{file} ({lines})"));
        }
    }
    if !long.is_empty() {
        // Past libtest's capture, which would keep it for itself.
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nlonger than {LONG} lines: {}", long.join(", "))?;
    }
    Ok(())
}

/// `expect` with a reason goes red when it is no longer needed.
#[test]
fn no_lint_is_silenced_for_ever() -> Result<()> {
    let found = lines_with(r"#!?\[(?:cfg_attr\(.*)?allow\(", &[".rs"])?;
    assert!(found.is_empty(), "{found:#?}");
    Ok(())
}

/// What is left to do stands in an issue, where somebody finds it.
#[test]
fn nothing_is_left_to_do_in_the_source() -> Result<()> {
    let found = lines_with(
        r"\b(?:todo|unimplemented)!\s*\(|\b(?:FIXM[E]|TOD[O]|XX[X])\b",
        &[".rs", ".py", ".c", ".sh", ".toml", ".yaml", ".yml", ".md"],
    )?;
    assert!(found.is_empty(), "{found:#?}");
    Ok(())
}

/// A path of the machine that something was written on works nowhere else, and tells who wrote it.
#[test]
fn no_file_knows_the_machine_it_was_written_on() -> Result<()> {
    let found = lines_with(r"(?:^|[^\w./$}-])/(?:root|home|work|Users)/", &[""])?;
    assert!(found.is_empty(), "{found:#?}");
    Ok(())
}

/// A guide that leads to a file that was moved leads nowhere.
#[test]
fn the_guides_name_only_files_that_exist() -> Result<()> {
    let path = Regex::new(r"`([\w.-]+/[\w./-]*)`|\]\(([\w.-]+/?[\w./-]*)")?;
    let mut named = 0;
    for guide in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ] {
        for found in path.captures_iter(&files::text(guide)?) {
            let Some(name) = found.get(1).or(found.get(2)) else {
                continue;
            };
            named += 1;
            let name = name.as_str();
            assert!(files::path(name).exists(), "{guide} names {name}");
        }
    }
    assert!(named > 10, "only {named} paths: the search is broken");
    Ok(())
}

/// A file of Rust that nobody names is never compiled, and its tests never run.
#[test]
fn every_rust_file_is_a_module_of_something() {
    let all = files::all().unwrap();
    let sources: Vec<&String> = all.iter().filter(|file| file.ends_with(".rs")).collect();
    for file in &sources {
        let (dir, name) = file.rsplit_once('/').unwrap();
        let is_root = matches!(name, "main.rs" | "lib.rs" | "build.rs")
            || dir == "tests"
            || dir.ends_with("examples");
        if is_root {
            continue;
        }
        let (home, module) = match name {
            "mod.rs" => dir.rsplit_once('/').unwrap(),
            _ => (dir, name.trim_end_matches(".rs")),
        };
        let owner = format!("{home}.rs");
        let names = |other: &String| {
            let text = files::text(other).unwrap();
            [format!("mod {module};"), format!("{name}\"")]
                .iter()
                .any(|mention| text.contains(mention.as_str()))
        };
        let named = sources
            .iter()
            .filter(|other| *other != file)
            .filter(|other| ***other == owner || other.rsplit_once('/').unwrap().0 == home)
            .any(|other| names(other));
        assert!(named, "nothing names {file}: `mod {module};` is missing");
    }
}
