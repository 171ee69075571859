//! Prints what sigblame reads of a server's configuration, as JSON, without starting the server.
//!
//! `cargo run --example configuration -- /usr/sbin/apache2 -d /etc/apache2 …` takes a server's
//! program and its arguments, and its environment from ours; `cargo xtask bench` times it.

use std::{env, fs::File, path::Path, time::Instant};

use anyhow::{Context as _, Result};
use serde_json::json;
use sigblame::httpd::files;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let program = arguments
        .first()
        .context("usage: configuration PROGRAM ARGUMENTS…")?;
    let file = File::open(program).with_context(|| format!("failed to open {program}"))?;
    let environment: Vec<String> = env::vars().map(|(n, v)| format!("{n}={v}")).collect();
    let directory = env::current_dir().context("failed to find where we are")?;
    let begin = Instant::now();
    let start = files::start(
        &file,
        &arguments.join("\0"),
        &environment.join("\0"),
        directory.to_str(),
    )?;
    let found = begin.elapsed();
    let read = files::read_below(Path::new("/"), &start)?;
    let made = json!({
        "configuration": read.configuration,
        "files": read.files,
        "seconds": { "program": found.as_secs_f64(), "whole": begin.elapsed().as_secs_f64() },
    });
    println!("{made:#}");
    Ok(())
}
