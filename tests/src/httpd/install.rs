//! Where this machine keeps httpd, its modules and mod_wsgi. Distributions differ.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::Namespaces;

/// Names of the server's program, and where it may be when `PATH` has no `sbin`.
const PROGRAMS: [&str; 2] = ["apache2", "httpd"];
const PROGRAM_DIRS: [&str; 4] = [
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/bin",
    "/usr/local/apache2/bin",
];
/// Debian and Ubuntu; Fedora and its kin; Arch and SUSE; built from source.
const MODULE_DIRS: [&str; 6] = [
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
    "/usr/lib64/apache2",
    "/usr/lib/apache2",
    "/usr/local/apache2/modules",
];
/// Accounts that distributions made for web servers; `nobody` is everywhere.
const ACCOUNTS: [&str; 5] = ["www-data", "apache", "wwwrun", "http", "nobody"];

/// The parts of an installed httpd.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The server's program.
    pub httpd: PathBuf,
    /// The directory of its modules.
    pub modules: PathBuf,
    /// mod_wsgi's module.
    pub mod_wsgi: PathBuf,
    /// The user's name and the group's number that workers get when we are root.
    pub account: Option<(String, u32)>,
    /// The Python that mod_wsgi is built for, where the dynamic loader would not find it.
    pub python_home: Option<PathBuf>,
    /// Where it runs.
    pub namespaces: Namespaces,
}

impl Installation {
    /// Looks for httpd and mod_wsgi; `None` when either is missing.
    #[must_use]
    pub fn find() -> Option<Self> {
        let mut dirs: Vec<PathBuf> = std::env::var_os("PATH")
            .map(|path| std::env::split_paths(&path).collect())
            .unwrap_or_default();
        dirs.extend(PROGRAM_DIRS.map(PathBuf::from));
        let httpd = PROGRAMS
            .iter()
            .flat_map(|name| dirs.iter().map(move |dir| dir.join(name)))
            .find(|path| path.is_file())?;
        let (modules, mod_wsgi) = MODULE_DIRS
            .iter()
            .find_map(|dir| Some((PathBuf::from(dir), find_mod_wsgi(Path::new(dir))?)))?;
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let account = ACCOUNTS.iter().find_map(|name| account(&passwd, name));
        Some(Self {
            httpd,
            modules,
            mod_wsgi,
            account,
            python_home: None,
            namespaces: Namespaces::default(),
        })
    }

    /// That of a Debian in another root directory, with its mod_wsgi for CPython 3.`minor`; `None`
    /// when either is missing.
    #[must_use]
    pub fn in_root(root: &Path, minor: u32) -> Option<Self> {
        let mut namespaces = Namespaces::default();
        namespaces.root(root);
        let modules = Path::new(MODULE_DIRS[0]);
        let there = |path: PathBuf| namespaces.outside(&path).is_file().then_some(path);
        let passwd = fs::read_to_string(namespaces.outside(Path::new("/etc/passwd"))).ok()?;
        Some(Self {
            httpd: there(Path::new(PROGRAM_DIRS[0]).join(PROGRAMS[0]))?,
            mod_wsgi: there(modules.join(format!("mod_wsgi.so-3.{minor}")))?,
            modules: modules.to_path_buf(),
            account: account(&passwd, ACCOUNTS[0]),
            python_home: None,
            namespaces,
        })
    }
}

/// `mod_wsgi.so`, or what pip and Fedora call it, like `mod_wsgi_python3.so`.
pub(super) fn find_mod_wsgi(modules: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(modules)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("mod_wsgi") && name.ends_with(".so")
        })
        .collect();
    found.sort();
    found.into_iter().next()
}

fn account(passwd: &str, name: &str) -> Option<(String, u32)> {
    let line = passwd
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let group = line.split(':').nth(3)?.parse().ok()?;
    Some((name.to_owned(), group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_its_name_and_its_group() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:34:w:/var/www:/bin/false\n";
        assert_eq!(
            account(passwd, "www-data"),
            Some(("www-data".to_owned(), 34))
        );
        assert_eq!(account(passwd, "www"), None);
        assert_eq!(account("broken\n", "broken"), None);
    }
}
