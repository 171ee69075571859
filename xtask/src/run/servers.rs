//! Which servers with mod_wsgi run on this host, by what their processes have mapped.

use std::{collections::BTreeMap, fmt, fs};

use anyhow::{Context as _, Result};

/// All processes that have one file of mod_wsgi mapped.
#[derive(Debug)]
pub(crate) struct Server {
    module: String,
    /// The smallest is as a rule the master.
    pids: Vec<u32>,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.pids.first().copied().unwrap_or_default();
        write!(
            f,
            "{} in {} process(es), the first is {first}",
            self.module,
            self.pids.len()
        )
    }
}

/// Looks through `/proc`, which shows the maps of every process to root only.
pub(crate) fn running() -> Result<Vec<Server>> {
    let mut servers: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("failed to read /proc: is it mounted?")? {
        let entry = entry.context("failed to read /proc")?;
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // A process may end while we look.
        let Ok(maps) = fs::read(entry.path().join("maps")) else {
            continue;
        };
        if let Some(module) = mod_wsgi_in(&String::from_utf8_lossy(&maps)) {
            servers.entry(module.to_owned()).or_default().push(pid);
        }
    }
    Ok(servers
        .into_iter()
        .map(|(module, mut pids)| {
            pids.sort_unstable();
            Server { module, pids }
        })
        .collect())
}

/// The path of a mapped module file: `mod_wsgi.so` or, from pip, `mod_wsgi-py311.cpython-….so`.
fn mod_wsgi_in(maps: &str) -> Option<&str> {
    maps.lines()
        .filter_map(|line| Some(&line[line.find('/')?..]))
        .find(|path| {
            path.rsplit_once('/')
                .is_some_and(|(_, name)| name.starts_with("mod_wsgi") && name.contains(".so"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "7f0-7f1 r-xp 00000000 08:01 12 ";

    #[test]
    fn mod_wsgi_is_known_by_its_file() {
        for path in [
            "/usr/lib/apache2/modules/mod_wsgi.so",
            "/usr/lib/apache2/modules/mod_wsgi.so-3.11",
            "/srv/my venv/mod_wsgi/server/mod_wsgi-py311.cpython-311-x86_64-linux-gnu.so",
            "/usr/lib/apache2/modules/mod_wsgi.so (deleted)",
        ] {
            let maps = format!("{HEAD}[heap]\n{HEAD}/usr/sbin/apache2\n{HEAD}{path}\n");
            assert_eq!(mod_wsgi_in(&maps), Some(path));
        }
    }

    #[test]
    fn other_files_are_not_mod_wsgi() {
        for path in [
            "/usr/lib/apache2/modules/mod_wsgid.conf",
            "/tmp/mod_wsgi/other.so",
            "[vdso]",
        ] {
            assert_eq!(mod_wsgi_in(&format!("{HEAD}{path}\n")), None);
        }
    }
}
