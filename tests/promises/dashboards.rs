//! The Grafana dashboard: the rules of Grafana's dashboard-linter, and what an import needs.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use regex::Regex;
use serde_json::Value;

use crate::{files, metrics, rules};

const DASHBOARD: &str = "dashboards/sigblame.json";
const VARIABLE: &str = "$datasource";
/// What a query may ask for; `process_group` is a label.
const METRIC: &str = r"\b(?:sigblame_\w+|process_(?:cpu|max|open|resident)_\w+|up|ALERTS\w*)\b";
/// Units of Grafana that the linter knows; a new panel may add to the list.
const UNITS: &[&str] = &[
    "bool_on_off",
    "bool_yes_no",
    "bytes",
    "cps",
    "dateTimeFromNow",
    "percentunit",
    "s",
    "short",
];

fn dashboard() -> Result<Value> {
    serde_json::from_str(&files::text(DASHBOARD)?).context("failed to parse the dashboard")
}

fn array(value: &Value) -> Result<&[Value]> {
    Ok(value.as_array().context("a list is missing")?)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The panels that show something; rows are headings.
fn panels(dashboard: &Value) -> Result<Vec<&Value>> {
    let all = array(&dashboard["panels"])?.iter();
    let panels: Vec<_> = all.filter(|panel| panel["type"] != "row").collect();
    assert!(!panels.is_empty(), "no panels");
    Ok(panels)
}

/// Every expression with its panel's title.
fn expressions(dashboard: &Value) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for panel in panels(dashboard)? {
        for target in array(&panel["targets"])? {
            found.push((
                word(&panel["title"]).to_owned(),
                word(&target["expr"]).to_owned(),
            ));
        }
    }
    Ok(found)
}

/// The linter's template rules: a data source of the reader's own, and a way to narrow the view.
#[test]
fn variables_choose_data_source_job_and_instance() -> Result<()> {
    let dashboard = dashboard()?;
    assert!(dashboard["schemaVersion"].as_u64() >= Some(39));
    assert_eq!(dashboard["editable"], false);
    let variables = array(&dashboard["templating"]["list"])?;
    let named = |name: &str| {
        variables
            .iter()
            .find(|variable| variable["name"] == name)
            .with_context(|| format!("no variable {name}"))
    };
    let source = named("datasource")?;
    assert_eq!(source["type"], "datasource");
    assert_eq!(source["query"], "prometheus");
    assert_eq!(source["label"], "Data source");
    for (name, label) in [("job", "Job"), ("instance", "Instance")] {
        let variable = named(name)?;
        assert_eq!(variable["label"], label);
        assert_eq!(variable["type"], "query", "{name}");
        assert_eq!(variable["multi"], true, "{name}");
        assert_eq!(variable["allValue"], ".+", "{name}");
    }
    for variable in variables.iter().filter(|one| one["type"] == "query") {
        let name = word(&variable["name"]);
        assert_eq!(variable["datasource"]["uid"], VARIABLE, "{name}");
        assert_eq!(variable["refresh"], 2, "{name} follows the time range");
    }
    // With `.+` as its value, “all jobs” would take in everybody's up and process_… series.
    assert_eq!(named("job")?["includeAll"], false);
    Ok(())
}

/// The linter's panel rules.
#[test]
fn every_panel_explains_itself() -> Result<()> {
    let dashboard = dashboard()?;
    let mut titles = BTreeSet::new();
    for panel in panels(&dashboard)? {
        let title = word(&panel["title"]);
        assert!(!title.is_empty(), "panel {} has no title", panel["id"]);
        assert!(titles.insert(title), "two panels are called {title}");
        assert!(
            word(&panel["description"]).len() > 20,
            "{title} has no description"
        );
        assert_eq!(panel["datasource"]["uid"], VARIABLE, "{title}");
        let unit = word(&panel["fieldConfig"]["defaults"]["unit"]);
        assert!(UNITS.contains(&unit), "{title} has unit {unit:?}");
        let mut references = BTreeSet::new();
        for target in array(&panel["targets"])? {
            assert_eq!(target["datasource"]["uid"], VARIABLE, "{title}");
            let reference = word(&target["refId"]);
            assert!(
                references.insert(reference),
                "{title}: two queries {reference}"
            );
        }
        assert!(!references.is_empty(), "{title} asks nothing");
        assert!(!array(&panel["links"])?.is_empty(), "{title} has no link");
    }
    Ok(())
}

/// The linter's target rules.
#[test]
fn every_query_keeps_to_job_and_instance_and_the_rate_interval() -> Result<()> {
    let metric = Regex::new(&format!(r"{METRIC}(\{{[^}}]*\}})?"))?;
    let rate = Regex::new(r"\bi?rate\([^\[]*\[([^\]]*)\]")?;
    let expressions = expressions(&dashboard()?)?;
    let mut rates = 0;
    for (title, expression) in &expressions {
        let mut selectors = 0;
        for found in metric.captures_iter(expression) {
            selectors += 1;
            let matchers = found.get(1).map_or("", |matchers| matchers.as_str());
            for matcher in ["job=~\"$job\"", "instance=~\"$instance\""] {
                assert!(
                    matchers.contains(matcher),
                    "{title}: {} without {matcher}",
                    &found[0]
                );
            }
        }
        assert!(selectors > 0, "{title} asks for no metric: {expression}");
        for found in rate.captures_iter(expression) {
            rates += 1;
            assert_eq!(&found[1], "$__rate_interval", "{title}");
        }
    }
    assert!(rates > 0, "no rate: the search is broken");
    Ok(())
}

/// What Grafana would replace is replaced; the rest must be PromQL.
#[test]
fn every_query_parses() -> Result<()> {
    let mut expressions = expressions(&dashboard()?)?;
    for (_, expression) in &mut expressions {
        for (variable, value) in [
            ("$__rate_interval", "5m0s"),
            ("$__range", "21600s"),
            ("$job", "sigblame"),
            ("$instance", ".+"),
            ("$server", ".+"),
        ] {
            *expression = expression.replace(variable, value);
        }
        assert!(!expression.contains('$'), "unknown variable: {expression}");
    }
    files::check_promql("every_query_parses", &expressions)
}

/// Grafana moves panels that overlap, and mixes up panels that share an id.
#[test]
fn panels_have_their_own_id_and_place() -> Result<()> {
    let dashboard = dashboard()?;
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in array(&dashboard["panels"])? {
        let title = word(&panel["title"]);
        let id = panel["id"].as_u64().context("a panel has no id")?;
        assert!(ids.insert(id), "{title}: id {id} is taken");
        let at = |side: &str| {
            panel["gridPos"][side]
                .as_u64()
                .with_context(|| format!("{title} has no {side}"))
        };
        let (x, y, width, height) = (at("x")?, at("y")?, at("w")?, at("h")?);
        assert!(width > 0 && height > 0, "{title} has no size");
        assert!(x + width <= 24, "{title} leaves the grid");
        for column in x..x + width {
            for line in y..y + height {
                assert!(
                    taken.insert((column, line)),
                    "{title} overlaps at {column}, {line}"
                );
            }
        }
    }
    Ok(())
}

/// Links with a variable in them are held by the runbooks' own tests.
#[test]
fn every_link_leads_to_a_runbook() -> Result<()> {
    let text = files::text(DASHBOARD)?;
    let url = Regex::new(r#""url": "([^"]*)""#)?;
    let mut links = 0;
    for found in url.captures_iter(&text) {
        links += 1;
        let page = found[1]
            .strip_prefix(rules::RUNBOOKS)
            .with_context(|| format!("{} is no runbook", &found[1]))?;
        let file = page.split('#').next().unwrap_or_default();
        assert!(
            file == "${__value.raw}.md"
                || files::path(&format!("dashboards/runbooks/{file}")).is_file(),
            "no runbook {file}"
        );
    }
    assert!(links > 0, "no links: the search is broken");
    Ok(())
}

/// The table says which question a panel answers; a panel that is not in it answers none.
#[test]
fn the_readme_lists_every_panel_with_its_metrics() -> Result<()> {
    let readme = files::text("dashboards/README.md")?;
    let dashboard = dashboard()?;
    let metric = Regex::new(METRIC)?;
    for (title, expression) in expressions(&dashboard)? {
        let row = readme
            .lines()
            .find(|line| line.starts_with(&format!("| {title} |")))
            .with_context(|| format!("README.md does not list {title}"))?;
        for found in metric.find_iter(&expression) {
            let name = metrics::base(found.as_str());
            assert!(
                row.contains(&format!("`{name}`")),
                "README.md: {title} shows {name}"
            );
        }
    }
    let table = readme
        .split("| panel |")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .context("README.md has no table of panels")?;
    // The heading's rest and the ruler are the first two lines.
    let rows = table.lines().skip(2).count();
    assert_eq!(rows, array(&dashboard["panels"])?.len(), "rows and panels");
    Ok(())
}
