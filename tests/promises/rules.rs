//! The alert rules: complete, one for every rule of the policy, and proved by their own unit tests.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use regex::Regex;
use serde_json::Value;

use crate::{files, known};

const RULES: &str = "dashboards/prometheus/rules.yml";
const TESTS: &str = "dashboards/prometheus/rules_test.yml";
/// Where the runbooks are published.
pub(crate) const RUNBOOKS: &str =
    "https://github.com/sigblame/sigblame/blob/main/dashboards/runbooks/";

/// Every alert by name.
pub(crate) fn alerts() -> Result<BTreeMap<String, Value>> {
    let rules = files::yaml(RULES)?;
    let mut alerts = BTreeMap::new();
    for group in rules["groups"].as_array().context("no groups")? {
        for rule in group["rules"].as_array().context("no rules")? {
            let name = rule["alert"].as_str().context("a rule is no alert")?;
            let before = alerts.insert(name.to_owned(), rule.clone());
            assert!(before.is_none(), "{name} is there twice");
        }
    }
    assert!(!alerts.is_empty(), "no alerts");
    Ok(alerts)
}

/// Someone is woken up by it: it must say what is wrong and lead to a page that helps.
#[test]
fn every_alert_says_what_where_and_what_to_do() -> Result<()> {
    for (name, alert) in alerts()? {
        let severity = alert["labels"]["severity"].as_str();
        assert!(
            matches!(severity, Some("notice" | "warning" | "critical")),
            "{name} has severity {severity:?}"
        );
        for annotation in ["summary", "description"] {
            let text = alert["annotations"][annotation]
                .as_str()
                .unwrap_or_default();
            assert!(text.contains("{{"), "{name}: {annotation} names no place");
        }
        assert_eq!(
            alert["annotations"]["runbook_url"].as_str(),
            Some(format!("{RUNBOOKS}{name}.md").as_str()),
            "{name}"
        );
        assert!(
            files::path(&format!("dashboards/runbooks/{name}.md")).is_file(),
            "{name} has no runbook"
        );
    }
    Ok(())
}

/// A rule that nobody is told about is no rule; an alert on a rule that does not exist never fires.
#[test]
fn every_rule_of_the_policy_has_its_alert() -> Result<()> {
    let selector = Regex::new(r#"\brule="([^"]*)""#)?;
    let mut covered = BTreeMap::new();
    for (name, alert) in alerts()? {
        let expression = alert["expr"].as_str().context("an alert has no expr")?;
        for found in selector.captures_iter(expression) {
            let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
            covered.insert(found[1].to_owned(), (severity.to_owned(), name.clone()));
        }
    }
    for (rule, severity) in known::rules() {
        let found = covered.remove(rule);
        let found = found.with_context(|| format!("rule {rule} has no alert"))?;
        assert_eq!(found.0, severity, "{}: severity of rule {rule}", found.1);
    }
    assert!(covered.is_empty(), "alerts on unknown rules: {covered:?}");
    Ok(())
}

/// Minutes of an `eval_time`; the tests use nothing else.
fn minutes(time: &Value) -> Result<u32> {
    let time = time.as_str().context("eval_time is no text")?;
    let minutes = time.strip_suffix('m').context("eval_time is not in m")?;
    Ok(minutes.parse()?)
}

/// An alert that never fires, never rests or never ends passes every syntax check.
#[test]
fn every_alert_is_seen_silent_firing_and_resolved() -> Result<()> {
    let tests = files::yaml(TESTS)?;
    // By alert: silent before it fires, firing, silent after it fired.
    let mut seen: BTreeMap<String, [bool; 3]> = BTreeMap::new();
    for test in tests["tests"].as_array().context("no tests")? {
        let mut last: BTreeMap<&str, (u32, bool)> = BTreeMap::new();
        for check in test["alert_rule_test"]
            .as_array()
            .context("a test checks no alert")?
        {
            let name = check["alertname"].as_str().context("no alertname")?;
            let time = minutes(&check["eval_time"])?;
            let expected = check["exp_alerts"].as_array().context("no exp_alerts")?;
            let fires = !expected.is_empty();
            let before = last.insert(name, (time, fires));
            assert!(
                before.is_none_or(|(earlier, _)| earlier < time),
                "{name}: the checks of a test are in the order of time"
            );
            let seen = seen.entry(name.to_owned()).or_default();
            seen[0] |= !fires && before.is_none();
            seen[1] |= fires;
            seen[2] |= !fires && before.is_some_and(|(_, fired)| fired);
        }
    }
    for name in alerts()?.keys() {
        assert_eq!(
            seen.remove(name),
            Some([true; 3]),
            "{name}: [silent, firing, resolved] in {TESTS}"
        );
    }
    assert!(seen.is_empty(), "tests of unknown alerts: {seen:?}");
    Ok(())
}

/// Prometheus' own judgement.
#[test]
fn promtool_accepts_the_rules_and_their_tests_pass() -> Result<()> {
    let test = "promtool_accepts_the_rules_and_their_tests_pass";
    let rules = files::path(RULES);
    let tests = files::path(TESTS);
    files::tool(
        test,
        "promtool",
        &["check", "rules", &rules.to_string_lossy()],
    )?;
    files::tool(
        test,
        "promtool",
        &["test", "rules", &tests.to_string_lossy()],
    )?;
    Ok(())
}
