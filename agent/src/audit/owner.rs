//! Which distribution a file came with, by what the installer wrote. Pure.

use std::path::{Component, Path, PathBuf};

/// Characters of a name or a version.
const NAME_MAX: usize = 200;

/// A distribution of a Python package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distribution {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// From `METADATA` or `PKG-INFO`, and where that is silent from the directory's name.
#[must_use]
pub fn distribution(directory: &str, metadata: &str) -> Distribution {
    let header = |name: &str| {
        let mut lines = metadata.lines().take_while(|line| !line.is_empty());
        let value = lines.find_map(|line| line.strip_prefix(name))?;
        Some(short(value.trim())).filter(|value| !value.is_empty())
    };
    let stem = directory
        .rsplit_once('.')
        .map_or(directory, |(stem, _)| stem);
    let (name, version) = stem.split_once('-').unwrap_or((stem, ""));
    Distribution {
        name: header("Name:").unwrap_or_else(|| name.to_owned()),
        version: header("Version:").unwrap_or_else(|| version.to_owned()),
    }
}

/// What is told of a name: it stands beside each use.
fn short(text: &str) -> String {
    text.chars().take(NAME_MAX).collect()
}

/// The files of a `RECORD`: CSV, of which the first field is a path, relative to the directory that
/// has the packages.
pub fn recorded(record: &str, packages: &Path) -> impl Iterator<Item = PathBuf> {
    record
        .lines()
        .filter_map(move |line| Some(normal(packages, Path::new(&first_field(line)?))))
}

fn first_field(line: &str) -> Option<String> {
    let Some(quoted) = line.strip_prefix('"') else {
        let field = line.split(',').next()?;
        return (!field.is_empty()).then(|| field.to_owned());
    };
    let mut field = String::new();
    let mut rest = quoted.chars().peekable();
    while let Some(character) = rest.next() {
        match (character, rest.peek()) {
            ('"', Some('"')) => {
                rest.next();
                field.push('"');
            }
            ('"', _) => return Some(field),
            _ => field.push(character),
        }
    }
    None
}

/// The path without `..`, as far as names tell: `../../../bin/x`.
fn normal(base: &Path, relative: &Path) -> PathBuf {
    let mut path = base.to_path_buf();
    for part in relative.components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_names_the_distribution_and_the_directory_helps_out() {
        let told = |directory, metadata| {
            let it = distribution(directory, metadata);
            format!("{} {}", it.name, it.version)
        };
        let text = "Metadata-Version: 2.4\nName: tls-client\nVersion: 2.0.0\n\nName: not";
        assert_eq!(told("tls_client-2.0.0.dist-info", text), "tls-client 2.0.0");
        assert_eq!(told("a_b-1.0.dist-info", "\n\nName: x"), "a_b 1.0");
        assert_eq!(told("odd", ""), "odd ");
    }

    #[test]
    fn a_record_is_read_as_the_csv_that_it_is() {
        let record = "pkg/a.py,sha256=x,1\n\"pkg/b, \"\"c\"\".py\",,\n../../../bin/x,,\n,,\n\"open";
        let files: Vec<PathBuf> = recorded(record, Path::new("/v/lib/p/s")).collect();
        let expected = [
            "/v/lib/p/s/pkg/a.py",
            "/v/lib/p/s/pkg/b, \"c\".py",
            "/v/bin/x",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
    }
}
