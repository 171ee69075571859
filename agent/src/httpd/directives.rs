//! What the directives say that matter here: mod_wsgi's, and httpd's about servers and sections.
//!
//! mod_wsgi 6.1.1, `wsgi_config.c` and `wsgi_daemon.c`; 4.7 to 5.0 have the same words but for
//! `<WSGIInterpreterOptions>`.

use std::{collections::HashSet, sync::Arc};

use super::{
    DaemonGroup, ErrorLog, ImportScript, InterpreterOptions, Place, Switch,
    arguments::{count, group, keep, one, option},
    lines,
    sections::{Scope, Section},
    servers::{self, Server},
};

/// A script as it is written, with the server that it is in.
#[derive(Debug)]
pub(super) struct Mounted {
    pub(super) server: usize,
    /// `None` with a pattern or a handler, whose scripts only a request tells.
    pub(super) mount: Option<String>,
    pub(super) file: String,
    pub(super) process_group: Option<String>,
    pub(super) application_group: Option<String>,
    pub(super) place: Place,
}

/// A `WSGIProcessGroup` or `WSGIApplicationGroup` in a section of paths.
#[derive(Debug)]
pub(super) struct Scoped {
    pub(super) server: usize,
    pub(super) scopes: Vec<Arc<Scope>>,
    pub(super) process_group: Option<String>,
    pub(super) application_group: Option<String>,
    /// `WSGIDispatchScript`: a program chooses the groups.
    pub(super) is_dispatched: bool,
}

/// What has been said so far.
#[derive(Debug)]
pub(super) struct Said {
    sections: Vec<Section>,
    pub(super) servers: Vec<Server>,
    pub(super) ports: Vec<u16>,
    pub(super) restrict_signal: Option<Switch>,
    pub(super) interpreter_options: Vec<Options>,
    pub(super) daemons: Vec<DaemonGroup>,
    /// Names of the daemons.
    pub(super) names: HashSet<String>,
    pub(super) scripts: Vec<Mounted>,
    pub(super) import_scripts: Vec<ImportScript>,
    pub(super) scoped: Vec<Scoped>,
}

/// A `<WSGIInterpreterOptions>` section.
#[derive(Debug)]
pub(super) struct Options {
    process_group: Option<String>,
    application_group: Option<String>,
    restrict_signal: Option<Switch>,
}

impl Options {
    pub(super) fn finish(self) -> Option<InterpreterOptions> {
        Some(InterpreterOptions {
            process_group: self.process_group,
            application_group: self.application_group,
            restrict_signal: self.restrict_signal?,
        })
    }
}

impl Default for Said {
    fn default() -> Self {
        Self {
            sections: Vec::new(),
            servers: vec![Server::default()],
            ports: Vec::new(),
            restrict_signal: None,
            interpreter_options: Vec::new(),
            daemons: Vec::new(),
            names: HashSet::new(),
            scripts: Vec::new(),
            import_scripts: Vec::new(),
            scoped: Vec::new(),
        }
    }
}

impl Said {
    /// A section begins; the error is a clause, and the section is open all the same.
    pub(super) fn open(&mut self, name: &str, arguments: &str, _: &Place) -> Result<(), String> {
        let end = arguments.rfind('>').unwrap_or(arguments.len());
        let inside = &arguments[..end];
        let (section, result) = match name {
            "<virtualhost" => self.virtual_host(inside),
            "<wsgiinterpreteroptions" => self.options(inside),
            _ => (Section::of(name, inside), Ok(())),
        };
        self.sections.push(section);
        result
    }

    /// The innermost section ends.
    pub(super) fn close(&mut self) {
        self.sections.pop();
    }

    fn virtual_host(&mut self, addresses: &str) -> (Section, Result<(), String>) {
        let kept = keep(&mut self.servers, servers::Server::at(addresses));
        match kept {
            Ok(()) => (Section::Server(self.servers.len() - 1), Ok(())),
            Err(what) => (Section::Lost, Err(what)),
        }
    }

    fn options(&mut self, selectors: &str) -> (Section, Result<(), String>) {
        let mut options = Options {
            process_group: None,
            application_group: None,
            restrict_signal: None,
        };
        for word in lines::words(selectors) {
            let (name, value) = word.split_once('=').unwrap_or((&word, ""));
            let slot = match name.to_ascii_lowercase().as_str() {
                "process-group" if word.contains('=') => &mut options.process_group,
                "application-group" if word.contains('=') => &mut options.application_group,
                _ => return (Section::Lost, Err(format!("{word:?} selects nothing"))),
            };
            if slot.is_some() {
                return (Section::Lost, Err(format!("{name} is given twice")));
            }
            *slot = Some(group(value.to_owned()));
        }
        match keep(&mut self.interpreter_options, options) {
            Ok(()) => {
                let at = self.interpreter_options.len() - 1;
                (Section::Options(at), Ok(()))
            }
            Err(what) => (Section::Lost, Err(what)),
        }
    }

    /// The server that directives are for now.
    fn server(&self) -> usize {
        let mut servers = self.sections.iter().filter_map(|section| match section {
            Section::Server(server) => Some(*server),
            _ => None,
        });
        servers.next_back().unwrap_or_default()
    }

    fn scopes(&self) -> Vec<Arc<Scope>> {
        let scopes = self.sections.iter().filter_map(|section| match section {
            Section::Paths(scope) => Some(scope.clone()),
            _ => None,
        });
        scopes.collect()
    }

    /// A directive that is no section; the error is a clause.
    pub(super) fn directive(
        &mut self,
        name: &str,
        arguments: &str,
        place: &Place,
    ) -> Result<(), String> {
        if self.sections.iter().any(|s| matches!(s, Section::Lost)) {
            return Ok(());
        }
        match name {
            "wsgirestrictsignal" => self.restrict_signal(arguments, place),
            "wsgidaemonprocess" => self.daemon(arguments, place),
            "wsgiscriptalias" => self.script(arguments, place, true),
            "wsgiscriptaliasmatch" => self.script(arguments, place, false),
            "wsgihandlerscript" => self.handler(arguments, place),
            "wsgiimportscript" => self.import(arguments, place),
            "wsgiprocessgroup" => {
                let name = one(arguments)?;
                self.group(|scoped| scoped.process_group = Some(name))
            }
            "wsgiapplicationgroup" => {
                let name = one(arguments)?;
                self.group(|scoped| scoped.application_group = Some(name))
            }
            "wsgidispatchscript" => self.group(|scoped| scoped.is_dispatched = true),
            "listen" => {
                let port = servers::listen(arguments).ok_or("its port is no number")?;
                keep(&mut self.ports, port)
            }
            "servername" => {
                let name = one(arguments)?;
                let server = self.server();
                self.servers[server].set_name(&name);
                Ok(())
            }
            "usecanonicalname" => {
                let server = self.server();
                let is_on = one(arguments)?.eq_ignore_ascii_case("on");
                self.servers[server].is_canonical = Some(is_on);
                Ok(())
            }
            "errorlog" => {
                let server = self.server();
                self.servers[server].error_log = Some(servers::error_log(arguments)?);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn restrict_signal(&mut self, arguments: &str, place: &Place) -> Result<(), String> {
        let on = match one(arguments)?.to_ascii_lowercase().as_str() {
            "on" => true,
            "off" => false,
            _ => return Err("it must be On or Off".to_owned()),
        };
        let place = place.clone();
        let switch = Some(Switch { on, place });
        match self.sections.last() {
            Some(Section::Options(at)) => self.interpreter_options[*at].restrict_signal = switch,
            None => self.restrict_signal = switch,
            Some(_) => return Err("it cannot stand in this section".to_owned()),
        }
        Ok(())
    }

    fn group(&mut self, set: impl FnOnce(&mut Scoped)) -> Result<(), String> {
        let (server, scopes) = (self.server(), self.scopes());
        let mut scoped = Scoped {
            server,
            scopes,
            process_group: None,
            application_group: None,
            is_dispatched: false,
        };
        set(&mut scoped);
        if scoped.scopes.is_empty() {
            self.servers[server].set_groups(scoped);
            return Ok(());
        }
        keep(&mut self.scoped, scoped)
    }

    fn daemon(&mut self, mut arguments: &str, place: &Place) -> Result<(), String> {
        let mut group = DaemonGroup {
            name: lines::word(&mut arguments),
            threads: 15,
            processes: 1,
            display_name: None,
            place: place.clone(),
        };
        if group.name.is_empty() {
            return Err("it names no group".to_owned());
        }
        while !arguments.is_empty() {
            let (name, value) = option(&mut arguments)?;
            match name.as_str() {
                "threads" => group.threads = count(&value)?,
                "processes" => group.processes = count(&value)?,
                "display-name" => group.display_name = Some(value),
                _ => {}
            }
        }
        if !self.names.insert(group.name.clone()) {
            return Err(format!("there is a group {:?} already", group.name));
        }
        keep(&mut self.daemons, group)
    }

    fn script(&mut self, mut rest: &str, place: &Place, is_plain: bool) -> Result<(), String> {
        let mount = lines::word(&mut rest);
        let file = lines::word(&mut rest);
        if mount.is_empty() || file.is_empty() {
            return Err("it takes two arguments".to_owned());
        }
        self.mount(is_plain.then_some(mount), file, rest, place)?;
        let script = self.scripts.last().filter(|script| script.place == *place);
        let import = script.and_then(|script| preloaded(script, is_plain));
        import.map_or(Ok(()), |import| keep(&mut self.import_scripts, import))
    }

    /// Requests that another module hands over by the handler's name.
    fn handler(&mut self, mut rest: &str, place: &Place) -> Result<(), String> {
        let name = lines::word(&mut rest);
        let file = lines::word(&mut rest);
        if name.is_empty() || file.is_empty() {
            return Err("it takes two arguments".to_owned());
        }
        self.mount(None, file, rest, place)
    }

    fn mount(
        &mut self,
        mount: Option<String>,
        file: String,
        mut options: &str,
        place: &Place,
    ) -> Result<(), String> {
        let mut script = Mounted {
            server: self.server(),
            mount,
            file,
            process_group: None,
            application_group: None,
            place: place.clone(),
        };
        while !options.is_empty() {
            let (name, value) = option(&mut options)?;
            match name.as_str() {
                "process-group" => script.process_group = Some(value),
                "application-group" => script.application_group = Some(value),
                _ => {}
            }
        }
        keep(&mut self.scripts, script)
    }

    fn import(&mut self, mut arguments: &str, place: &Place) -> Result<(), String> {
        let file = lines::word(&mut arguments);
        let (mut process_group, mut application_group) = (None, None);
        while !arguments.is_empty() {
            let (name, value) = option(&mut arguments)?;
            match name.as_str() {
                "process-group" => process_group = Some(group(value)),
                "application-group" => application_group = Some(group(value)),
                other => return Err(format!("{other:?} is none of its options")),
            }
        }
        let script = ImportScript {
            file,
            process_group: process_group.ok_or("it names no process group")?,
            application_group: application_group.ok_or("it names no application group")?,
            place: place.clone(),
        };
        keep(&mut self.import_scripts, script)
    }
}

/// A mounted script that is imported when its process starts, as if `WSGIImportScript` said so: both
/// of its groups are named, and nothing in it depends on a request (`wsgi_add_script_alias`, 4.7 to
/// 6.1).
fn preloaded(script: &Mounted, is_plain: bool) -> Option<ImportScript> {
    let named = |name: &Option<String>| {
        let name = group(name.clone()?);
        (!name.contains("%{")).then_some(name)
    };
    (is_plain || !script.file.contains('$')).then_some(())?;
    Some(ImportScript {
        file: script.file.clone(),
        process_group: named(&script.process_group)?,
        application_group: named(&script.application_group)?,
        place: script.place.clone(),
    })
}

/// Each server's log, the main one's first.
pub(super) fn error_logs(servers: Vec<Server>, root: &str, default: Option<&str>) -> Vec<ErrorLog> {
    let (mut logs, mut known) = (Vec::new(), HashSet::new());
    for (at, server) in servers.into_iter().enumerate() {
        let default = || {
            default
                .filter(|_| at == 0)
                .map(str::to_owned)
                .map(ErrorLog::File)
        };
        let log = server.error_log.or_else(default);
        let log = log.map(|log| match log {
            ErrorLog::File(path) => ErrorLog::File(super::paths::merge(root, &path)),
            other => other,
        });
        logs.extend(log.filter(|log| known.insert(log.clone())));
    }
    logs
}
