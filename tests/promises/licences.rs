//! What we build with may be passed on: every package's licence, against `deny.toml`'s list.
//!
//! The same list is cargo-deny's, which checks more and takes longer to install than all tests take
//! to run: `cargo deny check`.

use std::{collections::BTreeSet, env, process::Command};

use anyhow::{Context as _, Result, bail};
use regex::Regex;
use serde_json::Value;
use spdx::{Expression, ParseMode, expression::ExprNode};

use crate::files;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The licences that `deny.toml` allows.
fn allowed() -> Result<BTreeSet<String>> {
    let text = files::text("deny.toml")?;
    let list = text
        .split_once("\nallow = [\n")
        .and_then(|(_, rest)| rest.split_once("\n]"))
        .context("deny.toml has no list `allow`")?
        .0;
    let entry = Regex::new(r#"^\s*"([^"]+)","#)?;
    let mut allowed = BTreeSet::new();
    let mut before = "";
    for line in list.lines() {
        if let Some(found) = entry.captures(line) {
            assert!(
                before.trim().starts_with('#'),
                "deny.toml gives no reason for {}",
                &found[1]
            );
            allowed.insert(found[1].to_owned());
        }
        before = line;
    }
    assert!(!allowed.is_empty(), "deny.toml allows nothing");
    Ok(allowed)
}

/// The packages of the lock file that are built for Linux on this processor, tests included.
/// Offline: cargo has fetched just these to build the tests.
fn packages() -> Result<Vec<Value>> {
    let platform = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--offline", "--locked", "--format-version=1"])
        .args(["--filter-platform", &platform])
        .current_dir(files::path(""))
        .output()
        .context("failed to start cargo")?;
    if !output.status.success() {
        bail!(
            "failed to list the packages: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().context("no packages")?;
    assert!(packages.len() > 50, "only {} packages", packages.len());
    Ok(packages.clone())
}

/// The licences that an expression asks for, as `deny.toml` writes them.
fn asked(expression: &Expression) -> impl Iterator<Item = String> {
    expression.iter().filter_map(|node| match node {
        ExprNode::Req(asked) => Some(asked.req.to_string()),
        ExprNode::Op(_) => None,
    })
}

#[test]
fn every_package_has_a_licence_that_is_allowed() -> Result<()> {
    let allowed = allowed()?;
    let mut met = BTreeSet::new();
    for package in packages()? {
        let name = package["name"]
            .as_str()
            .context("a package without a name")?;
        let licence = package["license"]
            .as_str()
            .with_context(|| format!("{name} names no licence"))?;
        // Older packages write a slash for OR.
        let licence = Expression::parse_mode(licence, ParseMode::LAX)
            .with_context(|| format!("{name}: no SPDX expression: {licence}"))?;
        assert!(
            licence.evaluate(|asked| allowed.contains(&asked.to_string())),
            "{name} is under {licence}, which deny.toml does not allow"
        );
        met.extend(asked(&licence));
    }
    let stale: Vec<&String> = allowed.difference(&met).collect();
    assert!(stale.is_empty(), "no package asks for {stale:?}");
    Ok(())
}

/// Code of a branch or of a stranger's registry is another thing tomorrow.
#[test]
fn every_package_is_ours_or_from_crates_io() -> Result<()> {
    for package in packages()? {
        let source = package["source"].as_str();
        assert!(
            source.is_none_or(|source| source == CRATES_IO),
            "{} comes from {source:?}",
            package["name"]
        );
    }
    Ok(())
}
