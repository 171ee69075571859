//! Puts together, at the end of a configuration, which interpreter each script runs in.
//!
//! mod_wsgi 4.7 to 6.1: options of the alias come first, then sections about paths, then the
//! virtual host, then the main server (`wsgi_create_req_config`); the names are expanded by
//! `wsgi_process_group` and `wsgi_application_group`.

use std::collections::HashMap;

use super::{
    Configuration, Place, Script,
    directives::{self, Mounted, Said, Scoped},
    sections::{Counts, Rank, Scope},
    servers,
    source::{Kind, Problems, Source},
};

/// How many values a name may have before nobody can tell.
const VALUES_MAX: usize = 8;

/// Virtual hosts that a script of the main server is looked at in.
const HOSTS_MAX: usize = 64;
/// Mounts of other scripts that are looked at.
const OTHERS_MAX: usize = 64;
/// Bytes of sections' paths that are compared with scripts.
const WORK_MAX: usize = 64 << 20;

impl Said {
    /// What was said, as a whole.
    pub(super) fn finish(
        self,
        source: &mut dyn Source,
        server_root: String,
        default_log: Option<&str>,
        mut problems: Problems,
    ) -> Configuration {
        let mut sections = Sections::of(&self.scoped);
        let mut scripts = Vec::with_capacity(self.scripts.len());
        for mounted in &self.scripts {
            if sections.work == 0 || source.is_late() {
                let what = "this script and those behind it are left out: it took too long";
                problems.add(mounted.place.clone(), what);
                break;
            }
            scripts.push(self.placed(mounted, &mut sections, source));
        }
        for import in &self.import_scripts {
            let name = &import.process_group;
            let is_known = name.is_empty() || self.names.contains(name);
            if !is_known {
                let what = format!("there is no process group {name:?}");
                problems.add(import.place.clone(), &what);
            }
        }
        let options = self.interpreter_options.into_iter();
        Configuration {
            main_file: String::new(),
            port: self.ports.first().copied(),
            restrict_signal: self.restrict_signal,
            interpreter_options: options.filter_map(directives::Options::finish).collect(),
            daemons: self.daemons,
            scripts,
            import_scripts: self.import_scripts,
            error_logs: directives::error_logs(self.servers, &server_root, default_log),
            server_root,
            problems: problems.kept,
        }
    }

    fn placed<'s>(
        &'s self,
        mounted: &'s Mounted,
        sections: &mut Sections<'s>,
        source: &mut dyn Source,
    ) -> Script {
        let file = &mounted.file;
        let is_directory = file.ends_with('/') || source.kind(file) == Some(Kind::Directory);
        let others = sections.mounts.entry(mounted.server).or_default();
        let script = Known {
            mounted,
            is_directory,
            others: others.clone(),
        };
        if others.len() < OTHERS_MAX {
            others.extend(mounted.mount.as_deref());
        }
        // Virtual hosts have the main server's scripts, too.
        let (servers, is_whole) = match mounted.server {
            0 => (
                0..self.servers.len().min(HOSTS_MAX),
                self.servers.len() <= HOSTS_MAX,
            ),
            server => (server..server + 1, true),
        };
        let mut groups = servers.map(|server| self.groups(&script, server, sections));
        let (mut process_group, mut application_group) = groups.next().unwrap_or_default();
        for (process, application) in groups {
            process_group = process_group.filter(|name| Some(name) == process.as_ref());
            application_group = application_group.filter(|name| Some(name) == application.as_ref());
        }
        Script {
            file: file.clone(),
            process_group: process_group.filter(|_| is_whole),
            application_group: application_group.filter(|_| is_whole),
            place: Place::clone(&mounted.place),
        }
    }

    /// Process and application group of a script in a server; `None` where only a request tells.
    fn groups(
        &self,
        script: &Known<'_>,
        server: usize,
        sections: &mut Sections<'_>,
    ) -> (Option<String>, Option<String>) {
        if sections.work == 0 {
            return (None, None);
        }
        let mounted = script.mounted;
        let (main, own) = (&self.servers[0], &self.servers[server]);
        let process = own.process_group.as_ref();
        let application = own.application_group.as_ref();
        let mut process = Values::new(process.or(main.process_group.as_ref()));
        let mut application = Values::new(application.or(main.application_group.as_ref()));
        let mut is_dispatched = main.is_dispatched || own.is_dispatched;
        for scoped in sections.for_server(server) {
            let counts = scoped.scopes.iter().map(|scope| script.counts(scope));
            let counts = counts.min().unwrap_or(Counts::Always);
            process.set(scoped.process_group.as_ref(), counts);
            application.set(scoped.application_group.as_ref(), counts);
            is_dispatched |= scoped.is_dispatched && counts != Counts::Never;
        }
        process.own(mounted.process_group.as_ref());
        application.own(mounted.application_group.as_ref());
        if is_dispatched {
            (process.is_open, application.is_open) = (true, true);
        }
        let mount = mounted.mount.as_deref().filter(|_| !script.is_directory);
        let process = process.one(|name| match name {
            Some(name) => self.expanded(name, server, mount),
            None => Some(String::new()),
        });
        let application =
            application.one(|name| self.expanded(name.unwrap_or("%{RESOURCE}"), server, mount));
        (process, application)
    }

    /// `None` where only a request tells.
    fn expanded(&self, name: &str, server: usize, mount: Option<&str>) -> Option<String> {
        match name {
            super::GLOBAL => Some(String::new()),
            "%{SERVER}" => self.host(server),
            "%{RESOURCE}" => {
                let path = mount?;
                // A mount at the root leaves nothing in front of the rest of the path.
                let path = if path == "/" { "" } else { path };
                Some(format!("{}|{path}", self.host(server)?))
            }
            // A client writes its `Host` as it likes.
            "%{HOST}" => None,
            name if name.starts_with("%{ENV:") => None,
            name => Some(name.to_owned()),
        }
    }

    /// A server's name with its port, as interpreters have it.
    fn host(&self, server: usize) -> Option<String> {
        let (main, server) = (&self.servers[0], &self.servers[server]);
        let name = match &server.name {
            None if server.is_anywhere => main.name.as_ref(),
            name => name.as_ref(),
        };
        let suffix = servers::port_suffix(server, main, &self.ports)?;
        Some(format!("{}{suffix}", name?))
    }
}

/// Where sections stand in the order in which they count.
fn order(scoped: &Scoped) -> (Option<Rank>, bool) {
    let rank = scoped.scopes.iter().map(|scope| scope.rank()).max();
    (rank, scoped.server != 0)
}

/// The groups in sections about paths, by server, and the mounts that are passed.
struct Sections<'s> {
    scoped: HashMap<usize, Vec<&'s Scoped>>,
    mounts: HashMap<usize, Vec<&'s str>>,
    /// What may still be compared.
    work: usize,
}

impl<'s> Sections<'s> {
    fn of(scoped: &'s [Scoped]) -> Self {
        let mut sections = Self {
            scoped: HashMap::new(),
            mounts: HashMap::new(),
            work: WORK_MAX,
        };
        for scoped in scoped {
            let servers = sections.scoped.entry(scoped.server);
            servers.or_default().push(scoped);
        }
        sections
    }

    /// The main server's and its own, as they count.
    fn for_server(&mut self, server: usize) -> Vec<&'s Scoped> {
        let of = |server| self.scoped.get(&server).into_iter().flatten();
        let own = of(server).filter(|_| server != 0);
        let mut sections: Vec<_> = of(0).chain(own).copied().collect();
        let scopes = sections.iter().flat_map(|scoped| &scoped.scopes);
        let cost: usize = scopes.map(|scope| scope.cost()).sum();
        self.work = self.work.saturating_sub(cost);
        sections.sort_by_key(|scoped| order(scoped));
        sections
    }
}

/// A script, and what is known of it before its sections are.
struct Known<'s> {
    mounted: &'s Mounted,
    is_directory: bool,
    others: Vec<&'s str>,
}

impl Known<'_> {
    fn counts(&self, scope: &Scope) -> Counts {
        let mount = self.mounted.mount.as_deref();
        match scope.counts(&self.mounted.file, self.is_directory, mount) {
            Counts::Sometimes if scope.belongs_to(&self.others) => Counts::Never,
            counts => counts,
        }
    }
}

/// What a name may be; more than one value where a request tells.
struct Values<'n> {
    names: Vec<Option<&'n str>>,
    /// There may be others.
    is_open: bool,
}

impl<'n> Values<'n> {
    fn new(name: Option<&'n String>) -> Self {
        Self {
            names: vec![name.map(String::as_str)],
            is_open: false,
        }
    }

    /// An option of the script itself comes before everything.
    fn own(&mut self, name: Option<&'n String>) {
        if name.is_some() {
            *self = Self::new(name);
        }
    }

    fn set(&mut self, name: Option<&'n String>, counts: Counts) {
        let Some(name) = name else {
            return;
        };
        match counts {
            Counts::Never => {}
            Counts::Always => *self = Self::new(Some(name)),
            Counts::Sometimes if self.names.contains(&Some(name)) => {}
            Counts::Sometimes if self.names.len() >= VALUES_MAX => self.is_open = true,
            Counts::Sometimes => self.names.push(Some(name)),
        }
    }

    /// The value, if all of them expand to the same.
    fn one(&self, expand: impl Fn(Option<&str>) -> Option<String>) -> Option<String> {
        let mut values = self.names.iter().map(|name| expand(*name));
        let first = values.next()??;
        let is_one = !self.is_open && values.all(|other| other.as_ref() == Some(&first));
        is_one.then_some(first)
    }
}

#[cfg(test)]
#[path = "scripts_tests.rs"]
mod tests;
