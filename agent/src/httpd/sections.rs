//! Sections, and for which scripts the ones about paths count.

use std::sync::Arc;

use super::paths;

/// A section that is open.
#[derive(Debug)]
pub(super) enum Section {
    /// A virtual host, by its number.
    Server(usize),
    /// `<WSGIInterpreterOptions>`, by its number.
    Options(usize),
    /// About paths.
    Paths(Arc<Scope>),
    /// Anything that changes nothing here.
    Other,
    /// One whose content counts for nothing, because it was not understood.
    Lost,
}

/// What a section about paths is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// `<Directory>`: a path, perhaps with wildcards.
    Directory(String),
    /// `<Files>`: a name, perhaps with wildcards.
    Files(String),
    /// `<Location>`: the path of an address, perhaps with wildcards.
    Location(String),
    /// An expression over a directory, a file's name, a request's path or anything of it.
    Expression(Rank),
}

/// In which order sections count: later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// The longer its path, the later.
    Directory(usize),
    DirectoryMatch,
    Files,
    Location,
    If,
}

/// Whether a section counts for a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Counts {
    Never,
    /// A request tells.
    Sometimes,
    Always,
}

impl Section {
    /// Of a section that is neither a virtual host nor mod_wsgi's.
    pub(super) fn of(name: &str, arguments: &str) -> Self {
        let mut rest = arguments;
        let word = super::lines::word(&mut rest);
        let is_expression = word == "~";
        Self::Paths(Arc::new(match name {
            "<directory" if is_expression => Scope::Expression(Rank::DirectoryMatch),
            "<files" if is_expression => Scope::Expression(Rank::Files),
            "<location" if is_expression => Scope::Expression(Rank::Location),
            "<directory" => Scope::Directory(paths::merge("/", &word)),
            "<files" => Scope::Files(word),
            "<location" => Scope::Location(word),
            "<directorymatch" => Scope::Expression(Rank::DirectoryMatch),
            "<filesmatch" => Scope::Expression(Rank::Files),
            "<locationmatch" => Scope::Expression(Rank::Location),
            "<if" | "<elseif" | "<else" => Scope::Expression(Rank::If),
            // Requests to other servers are no script's.
            "<proxy" | "<proxymatch" => return Self::Lost,
            _ => return Self::Other,
        }))
    }
}

impl Scope {
    pub(super) fn rank(&self) -> Rank {
        match self {
            Self::Directory(path) => Rank::Directory(parts(path).count()),
            Self::Files(_) => Rank::Files,
            Self::Location(_) => Rank::Location,
            Self::Expression(rank) => *rank,
        }
    }

    /// What a look at it costs, in bytes.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Directory(path) | Self::Files(path) | Self::Location(path) => 16 + path.len(),
            Self::Expression(_) => 16,
        }
    }

    /// Whether all its requests are those of scripts that are mounted at these paths.
    pub(super) fn belongs_to(&self, mounts: &[&str]) -> bool {
        match self {
            Self::Location(path) if !paths::is_pattern(path) => {
                let covers = |mount: &&str| under(mount, path, false) == Counts::Always;
                mounts.iter().any(covers)
            }
            _ => false,
        }
    }

    /// Whether it counts for requests to this script: its file, whether that is a directory of
    /// scripts, and where it is mounted.
    pub(super) fn counts(&self, file: &str, is_directory: bool, mount: Option<&str>) -> Counts {
        match self {
            Self::Directory(path) => {
                let below = file.rsplit_once('/').map_or("", |(directory, _)| directory);
                let directory = if is_directory { file } else { below };
                under(path, directory, is_directory)
            }
            Self::Files(_) if is_directory => Counts::Sometimes,
            Self::Files(pattern) => {
                let name = file.rsplit('/').next().unwrap_or(file);
                match paths::matches(pattern, name) {
                    true => Counts::Always,
                    false => Counts::Never,
                }
            }
            Self::Location(path) => match mount {
                Some(mount) => under(path, mount, true),
                None if path == "/" => Counts::Always,
                None => Counts::Sometimes,
            },
            Self::Expression(_) => Counts::Sometimes,
        }
    }
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

/// Whether everything below `path` lies below `section`, nothing, or what is deeper only.
fn under(section: &str, path: &str, goes_deeper: bool) -> Counts {
    let mut parts_of_path = parts(path);
    for wanted in parts(section) {
        match parts_of_path.next() {
            // Only the request tells what comes next.
            None if goes_deeper => return Counts::Sometimes,
            None => return Counts::Never,
            Some(part) if part == wanted => {}
            // `$1` of a script's expression.
            Some(part) if part.contains('$') => return Counts::Sometimes,
            Some(part) if paths::is_pattern(wanted) && paths::matches(wanted, part) => {}
            Some(_) => return Counts::Never,
        }
    }
    Counts::Always
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_count_for_what_lies_below_them() {
        let directory = |path: &str| Scope::Directory(path.to_owned());
        let location = |path: &str| Scope::Location(path.to_owned());
        let files = |name: &str| Scope::Files(name.to_owned());
        let file = "/srv/app/main.wsgi";
        for (scope, expected) in [
            (directory("/"), Counts::Always),
            (directory("/srv"), Counts::Always),
            (directory("/srv/app/"), Counts::Always),
            (directory("/srv/*/"), Counts::Always),
            (directory("/srv/app/deeper"), Counts::Never),
            (directory("/srv/ap"), Counts::Never),
            (files("main.wsgi"), Counts::Always),
            (files("*.wsgi"), Counts::Always),
            (files("other"), Counts::Never),
            (location("/"), Counts::Always),
            (location("/shop"), Counts::Always),
            (location("/shop/admin"), Counts::Sometimes),
            (location("/shopping"), Counts::Never),
            (Scope::Expression(Rank::If), Counts::Sometimes),
        ] {
            assert_eq!(
                scope.counts(file, false, Some("/shop")),
                expected,
                "{scope:?}"
            );
        }
        let deeper = directory("/srv/app/deeper");
        assert_eq!(
            deeper.counts("/srv/app/", true, Some("/")),
            Counts::Sometimes
        );
        let matched = "/srv/$1/app.wsgi";
        let sections = [directory("/srv/x"), directory("/srv"), directory("/opt")];
        let counts = sections.map(|scope| scope.counts(matched, false, None));
        assert_eq!(counts, [Counts::Sometimes, Counts::Always, Counts::Never]);
        assert!(location("/x/y").belongs_to(&["/a", "/x"]));
        assert!(!location("/x").belongs_to(&["/x/y"]) && !location("/x*").belongs_to(&["/x*"]));
        assert_eq!(location("/x").counts(file, false, None), Counts::Sometimes);
    }
}
