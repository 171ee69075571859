//! Dashboards, alerts, runbooks and manifests name only metrics that the agent has.

use anyhow::Result;
use regex::Regex;

use crate::{files, known};

/// The metric behind a name that a query uses: a histogram's series have suffixes.
pub(crate) fn base(name: &str) -> &str {
    ["_bucket", "_sum", "_count"]
        .iter()
        .filter_map(|suffix| name.strip_suffix(suffix))
        .find(|base| known::metrics().contains(base))
        .unwrap_or(name)
}

/// A renamed metric leaves panels empty and alerts silent, and nothing else would say so.
#[test]
fn every_metric_that_operators_files_name_exists() -> Result<()> {
    let name = Regex::new(r"\bsigblame_[a-z_]+")?;
    let mut named = 0;
    let mut unknown = Vec::new();
    for file in files::below("dashboards")?
        .iter()
        .chain(&files::below("deploy")?)
    {
        for found in name.find_iter(&files::text(file)?) {
            named += 1;
            if !known::metrics().contains(&base(found.as_str())) {
                unknown.push(format!("{file}: {}", found.as_str()));
            }
        }
    }
    assert!(named > 0, "no file names a metric: the search is broken");
    assert!(unknown.is_empty(), "unknown metrics: {unknown:#?}");
    Ok(())
}
