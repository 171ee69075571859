//! Python packages whose native code changes signal handlers, for the tests that use each one.
//!
//! They go into a virtual environment of their own below cargo's target directory: for Python they
//! are an application's, and the tools of the tests stay out of its way.

use std::process::Command;

use anyhow::{Result, bail};
use sigblame_tests::libraries::{DIR, Environment, PACKAGES};

use crate::{progress::Step, workspace::target_dir};

/// The step that installs those that are missing.
pub(crate) fn step() -> Result<Step> {
    let environment = Environment::at(&target_dir()?.join(DIR));
    let missing: Vec<_> = PACKAGES
        .iter()
        .filter(|package| !environment.has(package))
        .collect();
    let named: Vec<&str> = PACKAGES.iter().map(|package| package.name).collect();
    Ok(Step {
        title: format!("Python packages that tests use: {}", named.join(", ")),
        there: missing.is_empty(),
        // Not every processor and Python has a wheel of each.
        optional: true,
        install: Box::new(move |installer| {
            let mut venv = Command::new("/usr/bin/python3");
            installer.run(venv.args(["-m", "venv"]).arg(environment.home()))?;
            // One by one: that one has no wheel for this machine is no reason to lack the others.
            let mut failed = Vec::new();
            for package in missing {
                let mut pip = Command::new(environment.home().join("bin/python3"));
                pip.args([
                    "-m",
                    "pip",
                    "install",
                    "--disable-pip-version-check",
                    "--no-cache-dir",
                ])
                .arg("--only-binary=:all:")
                .arg(format!("{}=={}", package.name, package.version));
                if !installer.try_run(&mut pip)? {
                    failed.push(package.name);
                }
            }
            if !failed.is_empty() {
                bail!("failed to install {}", failed.join(", "));
            }
            Ok(())
        }),
    })
}
