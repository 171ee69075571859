//! Reads a server's configuration the way httpd 2.4 does: `server/config.c`, `server/core.c`.
//!
//! httpd reads twice: what is executed on reading (`Include`, `Define`, conditions, `LoadModule`,
//! `ServerRoot`, macros) shapes the tree, everything else is executed on the finished tree, in the
//! same order. Here both happen at once; what needs the end (the last `ServerRoot`, sections for a
//! script that comes before them) is put together at the end, in `scripts`.
//!
//! The server runs, so it has accepted its configuration: an error is a [`Problem`], and reading
//! goes on. There is no recursion, and a budget, so that nothing here is endless.
//!
//! [`Problem`]: super::Problem

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Configuration, Place,
    conditions::{self, Loaded},
    defines::Defines,
    directives::Said,
    lines::{self, Lines},
    macros::{Expansion, Macros},
    paths,
    source::{Budget, Problems, Source},
    version::Version,
};

/// Directives that are remembered for [`Reading::seen`].
const SEEN_MAX: usize = 100_000;
/// Unknown variables that are told.
const UNKNOWN_MAX: usize = 20;
/// After how many lines the clock is looked at.
const LINES_UNTIL_LATE: u32 = 512;

/// What a server was started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// `-d`, or what is compiled in (`HTTPD_ROOT`).
    pub root: String,
    /// `-f`, or what is compiled in (`SERVER_CONFIG_FILE`); relative to the root.
    pub file: String,
    /// Each `-C`, a directive before the file.
    pub before: Vec<String>,
    /// Each `-c`, a directive after the file.
    pub after: Vec<String>,
    /// Each `-D`.
    pub defines: Vec<String>,
    /// The server's environment.
    pub environment: HashMap<String, String>,
    /// httpd's version, for `<IfVersion>`.
    pub version: Option<Version>,
    /// Modules that are built in: `core_module`.
    pub modules: Vec<String>,
    /// Where messages go without an `ErrorLog`, relative to the root (`DEFAULT_ERRORLOG`).
    pub error_log: Option<String>,
}

/// A directive of mod_wsgi that the reader saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name as it is written, a section's with its bracket.
    pub name: String,
    /// Its arguments, variables filled in.
    pub arguments: String,
    /// Where it stands.
    pub place: Place,
}

/// What one reading gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What the configuration says.
    pub configuration: Configuration,
    /// Every directive of mod_wsgi in httpd's order, for a comparison with what httpd sees.
    pub seen: Vec<Seen>,
}

/// Reads a whole configuration.
#[must_use]
pub fn read(source: &mut dyn Source, start: &Start) -> Reading {
    let mut reader = Reader {
        source,
        start,
        root: start.root.clone(),
        defines: Defines::new(&start.defines, &start.environment),
        loaded: Loaded::new(&start.modules),
        macros: Macros::default(),
        frames: Vec::new(),
        open: Vec::new(),
        budget: Budget::default(),
        until_late: LINES_UNTIL_LATE,
        problems: Problems::default(),
        told: HashSet::new(),
        said: Said::default(),
        seen: Vec::new(),
    };
    reader.given("-C", &start.before);
    let main_file = paths::merge(&reader.root, &start.file);
    reader.main_file(&main_file);
    reader.given("-c", &start.after);
    let Reader {
        source,
        root,
        problems,
        said,
        seen,
        ..
    } = reader;
    let default_log = start.error_log.as_deref();
    let mut configuration = said.finish(source, root, default_log, problems);
    configuration.main_file = main_file;
    Reading {
        configuration,
        seen,
    }
}

/// Where lines come from; the last frame is read.
pub(super) enum Frame {
    File {
        name: Arc<str>,
        lines: Lines,
        /// How many sections were open at its head: it may close none of them.
        base: usize,
    },
    Macro(Expansion),
    /// Files of one `Include`.
    Files {
        files: std::vec::IntoIter<String>,
        place: Place,
    },
}

/// A section that is open.
pub(super) struct Open {
    /// In small letters, with its bracket: `<virtualhost`.
    pub(super) name: String,
    pub(super) is_condition: bool,
    pub(super) place: Place,
}

pub(super) struct Reader<'s> {
    pub(super) source: &'s mut dyn Source,
    pub(super) start: &'s Start,
    pub(super) root: String,
    pub(super) defines: Defines,
    pub(super) loaded: Loaded,
    pub(super) macros: Macros,
    pub(super) frames: Vec<Frame>,
    pub(super) open: Vec<Open>,
    pub(super) budget: Budget,
    pub(super) until_late: u32,
    pub(super) problems: Problems,
    /// Variables that are defined nowhere, each told once.
    pub(super) told: HashSet<String>,
    pub(super) said: Said,
    pub(super) seen: Vec<Seen>,
}

impl Reader<'_> {
    /// Directives of the command line.
    fn given(&mut self, option: &str, directives: &[String]) {
        let text: Vec<String> = (directives.iter())
            .map(|line| line.replace(['\n', '\r'], " "))
            .collect();
        self.push_file(option.into(), text.join("\n").into());
        self.run();
    }

    fn main_file(&mut self, path: &str) {
        self.include(path.to_owned());
        self.run();
    }

    fn push_file(&mut self, name: Arc<str>, text: Arc<str>) {
        let (lines, base) = (Lines::new(text), self.open.len());
        self.frames.push(Frame::File { name, lines, base });
    }

    /// Starts to read a file.
    fn include(&mut self, path: String) {
        if !self.budget.file() {
            return;
        }
        match self.source.text(&path) {
            Ok(text) => self.push_file(path.into(), text.into()),
            Err(why) => {
                let place = self.place_or(&path);
                self.problems
                    .add(place, &format!("failed to read {path}: {why}"));
            }
        }
    }

    /// Where the reader is.
    fn place(&self) -> Option<Place> {
        Some(match self.frames.last()? {
            Frame::File { name, lines, .. } => Place {
                file: name.clone(),
                line: lines.line(),
            },
            Frame::Macro(expansion) => Place {
                file: expansion.name.clone(),
                line: expansion.line(),
            },
            Frame::Files { place, .. } => place.clone(),
        })
    }

    pub(super) fn place_or(&self, file: &str) -> Place {
        self.place().unwrap_or_else(|| Place {
            file: file.into(),
            line: 0,
        })
    }

    pub(super) fn problem(&mut self, what: &str) {
        let place = self.place_or(&self.start.file);
        self.problems.add(place, what);
    }

    fn run(&mut self) {
        while let Some(frame) = self.frames.last_mut() {
            if let Some(what) = self.budget.over {
                self.problem(&format!("reading stopped here: {what}"));
                self.frames.clear();
                self.open.clear();
                return;
            }
            if let Frame::Files { files, .. } = frame {
                match files.next() {
                    Some(file) => self.include(file),
                    None => drop(self.frames.pop()),
                }
                continue;
            }
            match self.line() {
                Some(line) => self.directive(&line),
                None => self.close_file(),
            }
        }
    }

    /// The next line of this file and of the macros in it; `None` at the file's end.
    pub(super) fn line(&mut self) -> Option<String> {
        loop {
            if self.budget.over.is_some() {
                return None;
            }
            self.until_late -= 1;
            if self.until_late == 0 {
                self.until_late = LINES_UNTIL_LATE;
                if self.source.is_late() {
                    self.budget.over = Some("it took too long");
                }
            }
            let line = match self.frames.last_mut()? {
                Frame::File { lines, .. } => {
                    let line = lines.next()?;
                    line.map_err(|_| "a line is too long".to_owned())
                }
                Frame::Macro(expansion) => {
                    self.budget.bytes(expansion.cost());
                    let Some(line) = expansion.next() else {
                        self.frames.pop();
                        continue;
                    };
                    line.map(|line| lines::trim(&line).to_owned())
                }
                Frame::Files { .. } => return None,
            };
            match line {
                Ok(line) => {
                    self.budget.bytes(line.len() + 1);
                    return Some(line);
                }
                Err(what) => self.problem(&what),
            }
        }
    }

    fn directive(&mut self, line: &str) {
        if lines::is_nothing(line) {
            return;
        }
        let filled = match self.defines.fill(line) {
            Ok((filled, unknown)) => {
                if let Some(name) = unknown.filter(|_| self.told.len() < UNKNOWN_MAX)
                    && self.told.insert(name.to_owned())
                {
                    let what = format!("the variable ${{{name}}} is defined nowhere");
                    let place = self.place_or(&self.start.file);
                    self.problems.add(place, &what);
                }
                filled
            }
            Err(_) => return self.problem("a line is too long"),
        };
        self.budget
            .bytes(filled.len() - line.len().min(filled.len()));
        let mut arguments = filled.as_ref();
        let mut written = lines::word(&mut arguments);
        if written.as_bytes().get(1) != Some(&b'/') {
            if written.ends_with('>') {
                written.pop();
            }
            if written.starts_with('<') && arguments.is_empty() {
                arguments = ">";
            }
        }
        let name = written.to_ascii_lowercase();
        if let Some(section) = name.strip_prefix("</") {
            return self.close(section);
        }
        if conditions::is_condition(&name) {
            return self.condition(name, arguments);
        }
        match name.as_str() {
            "include" | "includeoptional" => self.includes(arguments, name.ends_with("optional")),
            "define" => self.define(arguments),
            "undefine" => self.defines.undefine(&lines::word(&mut arguments)),
            "serverroot" => self.server_root(arguments),
            "loadmodule" => self.loaded.add(lines::word(&mut arguments)),
            "<macro" => self.define_macro(arguments),
            "use" => self.use_macro(arguments),
            "undefmacro" => self.macros.undefine(&lines::word(&mut arguments)),
            _ => self.say(&written, name, arguments),
        }
    }

    /// What is not executed on reading.
    fn say(&mut self, written: &str, name: String, arguments: &str) {
        let place = self.place_or(&self.start.file);
        if name.trim_start_matches('<').starts_with("wsgi") && self.seen.len() < SEEN_MAX {
            self.seen.push(Seen {
                name: written.to_owned(),
                arguments: arguments.to_owned(),
                place: place.clone(),
            });
        }
        let heard = if name.starts_with('<') {
            let heard = self.said.open(&name, arguments, &place);
            self.push(Open {
                name,
                is_condition: false,
                place: place.clone(),
            });
            heard
        } else {
            self.said.directive(&name, arguments, &place)
        };
        if let Err(what) = heard {
            self.problems.add(place, &format!("{written}: {what}"));
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
