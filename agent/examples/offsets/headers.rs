//! The headers of CPython that are installed here.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use sigblame::python::Version;

/// A directory with the headers of one CPython, its internal ones among them.
#[derive(Clone, Debug)]
pub(crate) struct Headers {
    pub(crate) dir: PathBuf,
    pub(crate) version: Version,
    /// Like `3.8.18`.
    pub(crate) release: String,
}

impl Headers {
    fn at(dir: &Path) -> Option<Self> {
        let text = fs::read_to_string(dir.join("patchlevel.h")).ok()?;
        let number = |name: &str| -> Option<&str> {
            let line = text.lines().find(|line| {
                line.starts_with(&format!("#define {name} "))
                    || line.starts_with(&format!("#define {name}\t"))
            })?;
            line.split_whitespace().nth(2)
        };
        let version = Version::new(
            number("PY_MAJOR_VERSION")?.parse().ok()?,
            number("PY_MINOR_VERSION")?.parse().ok()?,
        );
        // 3.6 has its internals in `pystate.h`.
        let has_internals = version <= Version::new(3, 6) || dir.join("internal").is_dir();
        (version.major == 3 && has_internals).then(|| Self {
            dir: dir.to_owned(),
            release: number("PY_VERSION")
                .unwrap_or_default()
                .trim_matches('"')
                .to_owned(),
            version,
        })
    }

    /// What can be compiled with them: the free-threaded build has the same headers.
    pub(crate) fn builds(&self) -> Vec<Version> {
        let other = self.version >= Version::new(3, 13);
        let other = other.then(|| self.version.free_threaded());
        [self.version].into_iter().chain(other).collect()
    }
}

/// Those of pyenv, of the system, and more, in order.
pub(crate) fn find(more: &[PathBuf]) -> Vec<Headers> {
    let pyenv = env::home_dir().unwrap_or_default().join(".pyenv/versions");
    let pyenv = entries(&pyenv)
        .into_iter()
        .map(|prefix| prefix.join("include"));
    let roots = ["/usr/include", "/usr/local/include"].map(PathBuf::from);
    let dirs = pyenv.chain(roots).flat_map(|root| entries(&root));
    let dirs = dirs.filter(|dir| {
        let name = dir.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("python3"))
    });
    let mut all: Vec<Headers> = dirs
        .chain(more.iter().cloned())
        .filter_map(|dir| Headers::at(&dir))
        .collect();
    all.sort_by_key(|headers| headers.version);
    all
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}
