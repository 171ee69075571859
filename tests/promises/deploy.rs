//! What operators install on a host or build: configuration, systemd unit, container file.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

use crate::{files, known};

const CONFIGURATION: &str = "deploy/sigblame.yaml";
const UNIT: &str = "deploy/systemd/sigblame.service";
const DOCKERFILE: &str = "deploy/container/Dockerfile";
const BINARY: &str = "/usr/local/bin/sigblame";

/// Directives of the unit, in order; some may be given more than once.
fn unit() -> Result<BTreeMap<String, Vec<String>>> {
    let mut directives: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in files::text(UNIT)?.lines() {
        if line.is_empty() || line.starts_with(['#', '[']) {
            continue;
        }
        let (name, value) = line
            .split_once('=')
            .with_context(|| format!("{UNIT}: {line}"))?;
        directives
            .entry(name.to_owned())
            .or_default()
            .push(value.to_owned());
    }
    Ok(directives)
}

/// The capabilities that the unit gives; the manifests are held to the same.
pub(crate) fn capabilities() -> Result<BTreeSet<String>> {
    let unit = unit()?;
    let ambient = unit.get("AmbientCapabilities");
    assert_eq!(ambient, unit.get("CapabilityBoundingSet"));
    let ambient = ambient.context("the unit gives no capability")?.join(" ");
    Ok(ambient.split_whitespace().map(str::to_owned).collect())
}

/// The file that everybody copies must be one that the agent takes.
#[test]
fn the_agent_accepts_the_reference_configuration() -> Result<()> {
    known::check_configuration(&files::text(CONFIGURATION)?)
}

/// Nobody reads the source to learn what a key means.
#[test]
fn every_key_of_the_reference_configuration_is_explained() -> Result<()> {
    let text = files::text(CONFIGURATION)?;
    let mut before = "";
    for line in text.lines() {
        let key = line.trim_start();
        // A section needs no comment of its own: its keys have theirs.
        if !key.is_empty() && !key.starts_with('#') && !key.ends_with(':') {
            assert!(
                before.trim_start().starts_with('#'),
                "{CONFIGURATION}: nothing explains {key}"
            );
        }
        before = line;
    }
    Ok(())
}

/// Least privilege is a claim; each exception to it states its reason.
#[test]
fn every_capability_of_the_unit_has_its_reason() -> Result<()> {
    let text = files::text(UNIT)?;
    let readme = files::text("deploy/README.md")?;
    let capabilities = capabilities()?;
    assert!(!capabilities.is_empty());
    for capability in &capabilities {
        assert!(
            text.contains(&format!("# {capability}: ")),
            "{UNIT} gives no reason for {capability}"
        );
        assert!(
            readme.contains(&format!("| {capability} |")),
            "deploy/README.md does not say what is missing without {capability}"
        );
    }
    Ok(())
}

/// Directives that would blind the agent, and those without which an operator is stuck.
#[test]
fn the_unit_sees_processes_reloads_and_stays_down_when_it_must() -> Result<()> {
    let unit = unit()?;
    for hides in ["PrivatePIDs", "PrivateUsers", "ProcSubset", "ProtectProc"] {
        assert!(!unit.contains_key(hides), "{hides}= hides the workers");
    }
    let has = |name: &str, value: &str| {
        assert!(
            unit.get(name).is_some_and(|all| all == &[value]),
            "{name} is {:?}, not {value}",
            unit.get(name)
        );
    };
    has("ExecReload", "/bin/kill -HUP $MAINPID");
    has("StateDirectory", "sigblame");
    // The exit codes of bad configuration and of a kernel or privilege that is missing.
    has("RestartPreventExitStatus", "64 69");
    has("NoNewPrivileges", "yes");
    let start = unit.get("ExecStart").context("no ExecStart")?.join(" ");
    assert!(start.starts_with(&format!("{BINARY} run ")), "{start}");
    Ok(())
}

/// The binary is not installed where the tests run; any other stands in for it.
#[test]
fn systemd_accepts_the_unit() -> Result<()> {
    let test = "systemd_accepts_the_unit";
    let unit = files::text(UNIT)?.replace(BINARY, "/bin/true");
    let unit = files::scratch(test, "sigblame.service", &unit)?;
    let unit = unit.to_string_lossy();
    let arguments = ["verify", "--man=no", &unit];
    if let Some(printed) = files::tool(test, "systemd-analyze", &arguments)? {
        // Unknown directives are ignored with a warning and exit status 0.
        assert!(!printed.contains("sigblame.service"), "{printed}");
    }
    Ok(())
}

/// Instructions of the container file, continued lines joined.
fn instructions() -> Result<Vec<(String, String)>> {
    let text = files::text(DOCKERFILE)?.replace("\\\n", " ");
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, rest) = line
                .split_once(' ')
                .with_context(|| format!("{DOCKERFILE}: {line}"))?;
            Ok((name.to_owned(), rest.trim().to_owned()))
        })
        .collect()
}

/// A base image without a tag is another one every month; the toolchain is pinned in one place.
#[test]
fn the_container_file_pins_its_images_and_says_who_runs_what() -> Result<()> {
    let instructions = instructions()?;
    let all = |name: &str| -> Vec<&str> {
        instructions
            .iter()
            .filter(|(found, _)| found == name)
            .map(|(_, rest)| rest.as_str())
            .collect()
    };
    let images = all("FROM");
    assert_eq!(images.len(), 2, "a stage that builds and one that runs");
    for image in &images {
        let image = image.split(' ').next().unwrap_or_default();
        let (_, tag) = image
            .split_once(':')
            .with_context(|| format!("{image} has no tag"))?;
        assert_ne!(tag, "latest", "{image}");
    }
    let toolchain = files::text("rust-toolchain.toml")?;
    let version = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = \""))
        .and_then(|rest| rest.strip_suffix('"'))
        .context("rust-toolchain.toml pins no channel")?;
    assert!(
        images[0].starts_with(&format!("rust:{version}-")),
        "{} is not the toolchain {version}",
        images[0]
    );
    assert_eq!(all("USER"), ["0:0"]);
    assert_eq!(all("ENTRYPOINT"), [format!("[\"{BINARY}\"]")]);
    Ok(())
}

/// A source that was moved fails only after minutes of building, and only where somebody builds.
#[test]
fn the_container_file_copies_what_exists_and_is_let_in() -> Result<()> {
    let ignore = files::text(&format!("{DOCKERFILE}.dockerignore"))?;
    let mut sources = BTreeSet::new();
    for (name, rest) in instructions()? {
        let mut words: Vec<_> = rest.split(' ').map(str::to_owned).collect();
        if name != "COPY" || words[0].starts_with("--from=") {
            continue;
        }
        words.pop();
        sources.extend(words);
    }
    for source in &sources {
        assert!(files::path(source).exists(), "{source} does not exist");
    }
    let let_in = ignore.lines().filter_map(|line| line.strip_prefix('!'));
    assert_eq!(sources, let_in.map(str::to_owned).collect());
    Ok(())
}
