//! Reads the tree, and runs the tools that judge it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// A path from the root of the repository.
pub(crate) fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(relative)
}

/// A file's text, by its path from the root of the repository.
pub(crate) fn text(relative: &str) -> Result<String> {
    fs::read_to_string(path(relative)).with_context(|| format!("failed to read {relative}"))
}

/// A file's one YAML document.
pub(crate) fn yaml(relative: &str) -> Result<Value> {
    serde_saphyr::from_str(&text(relative)?).with_context(|| format!("failed to parse {relative}"))
}

/// Paths from the root of the repository of all files below a folder, in order.
pub(crate) fn below(folder: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path(folder)).with_context(|| format!("failed to list {folder}"))? {
        let entry = entry?;
        let name = entry
            .file_name()
            .into_string()
            .ok()
            .with_context(|| format!("a name in {folder} is not UTF-8"))?;
        let relative = format!("{folder}/{name}");
        if entry.file_type()?.is_dir() {
            found.append(&mut below(&relative)?);
        } else {
            found.push(relative);
        }
    }
    found.sort();
    Ok(found)
}

/// Paths of all files that a clone has, or would have: what cargo and Python leave behind is not
/// among them, nor is what is hidden, but for three.
pub(crate) fn all() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path("")).context("failed to list the repository")? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok();
        let name = name.context("a name is not UTF-8")?;
        if name.starts_with('.') && ![".cargo", ".ci", ".gitignore"].contains(&name.as_str()) {
            continue;
        }
        // cargo marks a target directory only where it makes it itself.
        let is_cache = name == "target" || entry.path().join("CACHEDIR.TAG").exists();
        if !entry.file_type()?.is_dir() {
            found.push(name);
        } else if !is_cache {
            found.append(&mut below(&name)?);
        }
    }
    found.retain(|file| !file.contains("/__pycache__/"));
    found.sort();
    Ok(found)
}

/// The rows of the one table of a guide whose heading begins with that word, cell by cell.
pub(crate) fn table(guide: &str, heading: &str) -> Result<Vec<Vec<String>>> {
    let text = text(guide)?;
    let mut lines = text.lines();
    lines
        .find(|line| line.starts_with(&format!("| {heading} |")))
        .with_context(|| format!("{guide} has no table of {heading}s"))?;
    let cells = |line: &str| -> Option<Vec<String>> {
        let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(row.split(" | ").map(str::to_owned).collect())
    };
    // The ruler comes first.
    Ok(lines.skip(1).map_while(cells).collect())
}

/// A scratch file with the given text, in a folder of its own that cargo cleans.
pub(crate) fn scratch(folder: &str, name: &str, content: &str) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    fs::create_dir_all(&folder).context("failed to create a scratch folder")?;
    let file = folder.join(name);
    fs::write(&file, content).context("failed to write a scratch file")?;
    Ok(file)
}

/// Runs a tool and returns what it printed; fails when the tool does. Without the tool, says which
/// test is skipped, and returns nothing.
pub(crate) fn tool(test: &str, program: &str, arguments: &[&str]) -> Result<Option<String>> {
    let output = match Command::new(program).args(arguments).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            sigblame_tests::skip(test, &format!("{program} is not installed"));
            return Ok(None);
        }
        other => other.with_context(|| format!("failed to start {program}"))?,
    };
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if !output.status.success() {
        bail!("{program} {} failed:\n{printed}", arguments.join(" "));
    }
    Ok(Some(printed))
}

/// Has promtool parse PromQL expressions, each with the place it comes from.
pub(crate) fn check_promql(test: &str, expressions: &[(String, String)]) -> Result<()> {
    let mut rules = String::from("groups:\n  - name: expressions\n    rules:\n");
    for (number, (place, expression)) in expressions.iter().enumerate() {
        // JSON strings are YAML strings.
        let place = serde_json::to_string(place)?;
        let expression = serde_json::to_string(expression)?;
        rules.push_str(&format!(
            "      - record: expression:{number}\n        expr: {expression}\n        labels: {{ place: {place} }}\n"
        ));
    }
    let file = scratch(test, "rules.yml", &rules)?;
    let file = file.to_string_lossy();
    if let Some(printed) = tool(test, "promtool", &["check", "rules", &file])? {
        let count = format!("{} rules found", expressions.len());
        if !printed.contains(&count) {
            bail!(
                "promtool did not read all {}:\n{printed}",
                expressions.len()
            );
        }
    }
    Ok(())
}
