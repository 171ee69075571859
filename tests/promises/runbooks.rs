//! The runbooks: one for every alert, findable, and with queries that parse.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use crate::{files, known, rules};

const FOLDER: &str = "dashboards/runbooks";

/// At three in the morning every page looks the same.
#[test]
fn every_runbook_belongs_to_an_alert_and_has_all_parts() -> Result<()> {
    let alerts = rules::alerts()?;
    let index = files::text(&format!("{FOLDER}/README.md"))?;
    let mut pages = BTreeSet::new();
    for file in files::below(FOLDER)? {
        let page = file
            .strip_prefix(FOLDER)
            .and_then(|name| name.strip_prefix('/'))
            .and_then(|name| name.strip_suffix(".md"))
            .with_context(|| format!("{file} is no runbook"))?;
        if page == "README" {
            continue;
        }
        assert!(alerts.contains_key(page), "{file} belongs to no alert");
        assert!(
            index.contains(&format!("[{page}]({page}.md)")),
            "README.md does not list {page}"
        );
        let text = files::text(&file)?;
        for part in [
            &format!("# {page}"),
            "## Meaning",
            "## Impact",
            "## Diagnosis",
            "## Mitigation",
            "```promql",
        ] {
            assert!(
                text.lines().any(|line| line == part),
                "{file} has no line {part}"
            );
        }
        pages.insert(page.to_owned());
    }
    assert_eq!(pages, alerts.into_keys().collect());
    Ok(())
}

/// The dashboard links a finding's rule to a heading; the page of a finding asks the API for it.
#[test]
fn every_rule_has_its_heading_and_its_question_to_the_api() -> Result<()> {
    let index = files::text(&format!("{FOLDER}/README.md"))?;
    let alerts = rules::alerts()?;
    for (rule, _) in known::rules() {
        assert!(
            index.lines().any(|line| line == format!("### {rule}")),
            "README.md has no heading {rule}"
        );
        let selector = format!("rule=\"{rule}\"");
        let (alert, _) = alerts
            .iter()
            .find(|(_, alert)| {
                alert["expr"]
                    .as_str()
                    .is_some_and(|expr| expr.contains(&selector))
            })
            .with_context(|| format!("rule {rule} has no alert"))?;
        let page = files::text(&format!("{FOLDER}/{alert}.md"))?;
        assert!(
            page.contains(&format!("/api/v1/findings?rule={rule}")),
            "{alert}.md does not ask for its findings"
        );
    }
    Ok(())
}

/// A query that does not parse costs minutes when there are none. One query a line.
#[test]
fn every_query_of_the_runbooks_parses() -> Result<()> {
    let mut queries = Vec::new();
    for file in files::below(FOLDER)? {
        let mut inside = false;
        for line in files::text(&file)?.lines() {
            if line.starts_with("```") {
                inside = line == "```promql";
            } else if inside && !line.is_empty() {
                queries.push((file.clone(), line.to_owned()));
            }
        }
    }
    assert!(!queries.is_empty(), "no queries: the search is broken");
    files::check_promql("every_query_of_the_runbooks_parses", &queries)
}
