//! Configuration files in memory, for tests.

use std::collections::BTreeMap;

use super::{
    reader::{Reading, Start, read},
    source::{Entry, Kind, Source},
    version::Version,
};
use crate::process::command;

/// Paths with their texts; directories are what lies above them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree(pub(crate) BTreeMap<String, String>);

impl Tree {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let files = files.iter();
        Self(
            files
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect(),
        )
    }
}

fn head(directory: &str) -> String {
    format!("{}/", directory.trim_end_matches('/'))
}

impl Source for Tree {
    fn kind(&mut self, path: &str) -> Option<Kind> {
        if self.0.contains_key(path) {
            return Some(Kind::File);
        }
        let head = head(path);
        let next = self.0.range(head.clone()..).next();
        next.is_some_and(|(name, _)| name.starts_with(&head))
            .then_some(Kind::Directory)
    }

    fn entries(&mut self, directory: &str) -> Result<Vec<Entry>, String> {
        let head = head(directory);
        let below = self.0.range(head.clone()..);
        let mut entries: Vec<Entry> = Vec::new();
        for (path, _) in below.take_while(|(path, _)| path.starts_with(&head)) {
            let rest = &path[head.len()..];
            let name = rest.split('/').next().unwrap_or_default().to_owned();
            let is_directory = rest.contains('/');
            if !entries.iter().any(|entry| entry.name == name) {
                entries.push(Entry { name, is_directory });
            }
        }
        Ok(entries)
    }

    fn text(&mut self, path: &str) -> Result<String, String> {
        let text = self.0.get(path).cloned();
        text.ok_or_else(|| "it is not there".to_owned())
    }
}

/// A server whose files are in `/etc/httpd`.
pub(crate) fn start() -> Start {
    Start {
        root: "/etc/httpd".to_owned(),
        file: "httpd.conf".to_owned(),
        version: Version::parse("2.4.62"),
        modules: vec!["core_module".to_owned()],
        error_log: Some("logs/error_log".to_owned()),
        ..Start::default()
    }
}

pub(crate) fn read_files(files: &[(&str, &str)]) -> Reading {
    read(&mut Tree::new(files), &start())
}

pub(crate) fn read_text(text: &str) -> Reading {
    read_files(&[("/etc/httpd/httpd.conf", text)])
}

/// Problems without their places.
pub(crate) fn problems(reading: &Reading) -> Vec<&str> {
    let problems = reading.configuration.problems.iter();
    problems.map(|problem| problem.what.as_str()).collect()
}

/// A server out of a file of `golden/`: how it was started, and its files.
pub(crate) fn golden(text: &str) -> (Start, Tree) {
    let mut parts = text.split("\n--- ");
    let head = parts.next().unwrap_or_default();
    let said = |name: &str| {
        let lines = head.lines().filter_map(|line| line.strip_prefix(name));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let arguments = format!("httpd\0{}\0", said("argument ").join("\0"));
    let options = command::options(&arguments);
    let environment = said("environment ").join("\0");
    let environment = environment
        .split('\0')
        .filter_map(|line| line.split_once('='));
    let environment = environment
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let start = Start {
        root: said("root ").pop().unwrap_or("/etc/apache2".to_owned()),
        file: (options.file.or(said("file ").pop())).unwrap_or("apache2.conf".to_owned()),
        before: options.before,
        after: options.after,
        defines: options.defines,
        environment,
        version: Version::parse("2.4.62"),
        modules: [
            "core",
            "so",
            "watchdog",
            "http",
            "log_config",
            "logio",
            "version",
            "unixd",
        ]
        .map(|name| format!("{name}_module"))
        .to_vec(),
        error_log: Some("logs/error_log".to_owned()),
    };
    let files = parts.filter_map(|part| part.split_once('\n'));
    let files = files.map(|(path, text)| (path.to_owned(), text.to_owned()));
    (start, Tree(files.collect()))
}
