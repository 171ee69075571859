//! What a server's configuration says, as far as it matters here. Pure.
//!
//! httpd's own words: a *directive* is a line, a *section* is `<Name …>` to `</Name>`. Facts about
//! directives are those of httpd 2.4 and of mod_wsgi 4.7 to 6.1.

mod arguments;
mod conditions;
mod defines;
mod directives;
pub mod error_log;
mod executed;
pub mod files;
pub mod follow;
#[cfg(test)]
pub(crate) mod fuzzing;
#[cfg(test)]
mod golden_tests;
mod includes;
mod lines;
mod macros;
mod nesting;
mod paths;
pub mod program;
#[cfg(test)]
mod property_tests;
pub mod reader;
pub mod reclaim;
mod scripts;
mod sections;
mod servers;
pub mod source;
#[cfg(test)]
pub(crate) mod tree;
pub mod version;

use std::{fmt, sync::Arc};

pub use self::reclaim::Notice;
use serde::{Deserialize, Serialize};

/// mod_wsgi's name for the main interpreter, and for embedded mode where a process group is meant.
pub const GLOBAL: &str = "%{GLOBAL}";

/// A line of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The file, as the server names it; `-c` or `-C` for a directive of the command line.
    pub file: Arc<str>,
    /// The line, from 1; of a continued line, the last one, as httpd counts.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What the server's configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The main file, absolute, as the server sees it.
    pub main_file: String,
    /// `ServerRoot` in force at the end.
    pub server_root: String,
    /// The first `Listen`'s port.
    pub port: Option<u16>,
    /// `WSGIRestrictSignal` of the main server: the last one counts.
    pub restrict_signal: Option<Switch>,
    /// `<WSGIInterpreterOptions>` sections with a `WSGIRestrictSignal`, in order (mod_wsgi 6).
    pub interpreter_options: Vec<InterpreterOptions>,
    /// Each `WSGIDaemonProcess`, in order: the number in a daemon's socket counts them from 1.
    pub daemons: Vec<DaemonGroup>,
    /// Each script that is mounted, in order.
    pub scripts: Vec<Script>,
    /// Each `WSGIImportScript`, in order, and each mounted script that is imported like one, because
    /// both of its groups are named.
    pub import_scripts: Vec<ImportScript>,
    /// Each `ErrorLog`, the main server's first.
    pub error_logs: Vec<ErrorLog>,
    /// What could not be read or made sense of; the rest holds all the same.
    pub problems: Vec<Problem>,
}

/// A directive with `On` or `Off`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// `On`.
    pub on: bool,
    /// Where it stands.
    pub place: Place,
}

/// What one `<WSGIInterpreterOptions>` section says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterpreterOptions {
    /// `process-group=`; the empty name is embedded mode (`%{GLOBAL}`), `None` is any.
    pub process_group: Option<String>,
    /// `application-group=`; the empty name is the main interpreter (`%{GLOBAL}`), `None` is any.
    pub application_group: Option<String>,
    /// Its `WSGIRestrictSignal`.
    pub restrict_signal: Switch,
}

/// One `WSGIDaemonProcess`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonGroup {
    /// Its name.
    pub name: String,
    /// `threads=`, 15 where it is not given; with 0 its processes are service scripts.
    pub threads: u32,
    /// `processes=`, 1 where it is not given.
    pub processes: u32,
    /// `display-name=`, as it is written.
    pub display_name: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// A script that requests reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// The script's file. With `WSGIScriptAliasMatch`, `$1` and the like stand in it as written.
    pub file: String,
    /// Daemon process group; the empty name is embedded mode, `None` where only a request tells
    /// (`%{ENV:…}`).
    pub process_group: Option<String>,
    /// Application group; the empty name is the main interpreter, `None` where only a request
    /// tells. `%{RESOURCE}` and the like are expanded as far as the configuration knows
    /// (`www.example.org|/mount`).
    pub application_group: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// One `WSGIImportScript`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportScript {
    /// The script's file.
    pub file: String,
    /// Daemon process group; the empty name is embedded mode.
    pub process_group: String,
    /// Application group; the empty name is the main interpreter.
    pub application_group: String,
    /// Where it stands.
    pub place: Place,
}

/// Where a server's messages go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorLog {
    /// A file, absolute, as the server sees it.
    File(String),
    /// Something that nobody can read afterwards: a program (`|…`), syslog or another provider.
    Unreadable(String),
}

/// Something in a configuration that could not be read or made sense of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, in one clause.
    pub what: String,
}

/// Whether an interpreter is restricted, and what says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// `signal.signal` is intercepted there.
    pub on: bool,
    /// Where that is written; `None` for mod_wsgi's own default.
    pub place: Option<Place>,
}

impl InterpreterOptions {
    /// How many of the section's names match; `None` where one does not.
    fn matching(
        &self,
        process_group: Option<&str>,
        application_group: Option<&str>,
    ) -> Option<usize> {
        let mut names = 0;
        for (wanted, name) in [
            (&self.process_group, process_group),
            (&self.application_group, application_group),
        ] {
            match wanted.as_deref() {
                Some(wanted) if name != Some(wanted) => return None,
                Some(_) => names += 1,
                None => {}
            }
        }
        Some(names)
    }
}

impl Configuration {
    /// The restriction in force in an interpreter: `wsgi_resolve_interpreter_options` of mod_wsgi
    /// 6.1 (the section with most matching names wins, the later one on a tie); earlier versions
    /// have no sections. A service script is never restricted, whatever this says.
    ///
    /// Empty names are embedded mode and the main interpreter; `None` is a name that is not known,
    /// which no section's name matches.
    #[must_use]
    pub fn restriction(
        &self,
        process_group: Option<&str>,
        application_group: Option<&str>,
    ) -> InForce {
        // `max_by_key` gives the last of equals.
        let section = self
            .interpreter_options
            .iter()
            .filter_map(|options| {
                let names = options.matching(process_group, application_group)?;
                Some((names, &options.restrict_signal))
            })
            .max_by_key(|(names, _)| *names);
        let said = section.map(|(_, switch)| switch);
        let said = said.or(self.restrict_signal.as_ref());
        InForce {
            on: said.is_none_or(|switch| switch.on),
            place: said.map(|switch| switch.place.clone()),
        }
    }

    /// The daemon group of this name.
    #[must_use]
    pub fn daemon(&self, name: &str) -> Option<&DaemonGroup> {
        self.daemons.iter().find(|group| group.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: u32) -> Place {
        Place {
            file: "/f".into(),
            line,
        }
    }

    /// Sections in order, each at the line of its number from 1; the main server's switch is line 0.
    fn configuration(
        main: Option<bool>,
        sections: &[(Option<&str>, Option<&str>, bool)],
    ) -> Configuration {
        let switch = |on, line| Switch {
            on,
            place: place(line),
        };
        let sections = (1..).zip(sections);
        Configuration {
            restrict_signal: main.map(|on| switch(on, 0)),
            interpreter_options: sections
                .map(
                    |(line, (process_group, application_group, on))| InterpreterOptions {
                        process_group: process_group.map(str::to_owned),
                        application_group: application_group.map(str::to_owned),
                        restrict_signal: switch(*on, line),
                    },
                )
                .collect(),
            ..Configuration::default()
        }
    }

    /// `wsgi_resolve_interpreter_options` of mod_wsgi 6.1.1: more matching names win, the later
    /// section on a tie, and any section over the main server.
    #[test]
    fn the_most_specific_section_wins() {
        let said = |main, sections: &[_], process, application| {
            let force = configuration(main, sections).restriction(process, application);
            (force.on, force.place.map(|place| place.line))
        };
        let (any, a, b) = (None, Some("a"), Some("b"));
        for (main, sections, process, application, expected) in [
            // mod_wsgi's default, and the main server's word.
            (None, &[][..], a, b, (true, None)),
            (Some(false), &[], a, b, (false, Some(0))),
            // A section without names is for all, also over the main server.
            (Some(true), &[(any, any, false)], a, b, (false, Some(1))),
            // One name is more than none, wherever it stands.
            (
                None,
                &[(a, any, false), (any, any, true)],
                a,
                b,
                (false, Some(1)),
            ),
            (
                None,
                &[(any, b, false), (any, any, true)],
                a,
                b,
                (false, Some(1)),
            ),
            // Of two with one name each the later one counts, whichever name it is.
            (
                None,
                &[(a, any, false), (any, b, true)],
                a,
                b,
                (true, Some(2)),
            ),
            (
                None,
                &[(any, b, true), (a, any, false)],
                a,
                b,
                (false, Some(2)),
            ),
            // Two names are most.
            (
                None,
                &[(a, b, false), (a, any, true), (any, b, true)],
                a,
                b,
                (false, Some(1)),
            ),
            // A name that is not this one's leaves the section out.
            (
                Some(true),
                &[(a, a, false), (b, any, false)],
                a,
                b,
                (true, Some(0)),
            ),
            // The empty names are embedded mode and the main interpreter, and names like others.
            (
                None,
                &[(Some(""), Some(""), false)],
                Some(""),
                Some(""),
                (false, Some(1)),
            ),
            (None, &[(Some(""), any, false)], a, b, (true, None)),
            // What is not known matches no name.
            (None, &[(a, any, false)], None, b, (true, None)),
            (
                None,
                &[(any, any, false), (any, b, true)],
                a,
                None,
                (false, Some(1)),
            ),
        ] {
            let result = said(main, sections, process, application);
            assert_eq!(
                result, expected,
                "{main:?} {sections:?} {process:?} {application:?}"
            );
        }
    }

    #[test]
    fn daemons_are_found_by_name() {
        let group = DaemonGroup {
            name: "a".to_owned(),
            threads: 15,
            processes: 1,
            display_name: None,
            place: place(1),
        };
        let configuration = Configuration {
            daemons: vec![group.clone()],
            ..Configuration::default()
        };
        assert_eq!(configuration.daemon("a"), Some(&group));
        assert_eq!(configuration.daemon("b"), None);
    }
}
