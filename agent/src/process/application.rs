//! Which application a call belongs to: its group and its script. Pure.
//!
//! A record has the interpreter's number and the Python stack. What they mean is in the server's
//! configuration: which scripts a process runs, and in which application group, that is
//! sub-interpreter, each of them lives. What neither tells stays unknown.

use std::collections::BTreeMap;

use crate::{
    event::{Frame, PythonStack},
    httpd::{Configuration, GLOBAL},
};

/// Interpreters whose application is remembered, of one process.
const INTERPRETERS_MAX: usize = 256;

/// An application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Application {
    /// Its application group; `%{GLOBAL}` is the main interpreter.
    pub group: Option<String>,
    /// Its WSGI script.
    pub script: Option<String>,
}

/// What earlier calls have told of a process's interpreters, by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Learned(BTreeMap<i64, Application>);

/// One script of the configuration that may run in a process.
struct Candidate<'a> {
    file: &'a str,
    /// `None` where only a request tells.
    group: Option<&'a str>,
}

impl Learned {
    /// The application that a call belongs to, and what it tells of later ones.
    ///
    /// `process_group` is the daemon's; the empty name is embedded mode, `None` is not known.
    pub fn application(
        &mut self,
        configuration: Option<&Configuration>,
        process_group: Option<&str>,
        python: &PythonStack,
    ) -> Application {
        let mut told = tell(configuration, process_group, python);
        let Some(interpreter) = python.interpreter else {
            return told;
        };
        let room = self.0.len() < INTERPRETERS_MAX;
        match self.0.get_mut(&interpreter) {
            Some(known) => {
                known.group = told.group.or(known.group.take());
                known.script = told.script.or(known.script.take());
                known.clone()
            }
            None => {
                // Without a frame nobody's application was running.
                if room && told != Application::default() && !python.frames.is_empty() {
                    self.0.insert(interpreter, told.clone());
                }
                if python.frames.is_empty() {
                    told = Application::default();
                }
                told
            }
        }
    }
}

/// What one call tells by itself.
fn tell(
    configuration: Option<&Configuration>,
    process_group: Option<&str>,
    python: &PythonStack,
) -> Application {
    let candidates = configuration.map_or_else(Vec::new, |configuration| {
        candidates(configuration, process_group)
    });
    // 3.6 does not number its interpreters.
    let is_main = python.interpreter.map(|number| number == 0);
    let fits = |candidate: &&Candidate| match (candidate.group, is_main) {
        (Some(group), Some(is_main)) => group.is_empty() == is_main,
        _ => true,
    };
    let candidates: Vec<&Candidate> = candidates.iter().filter(fits).collect();
    let in_frames = python.frames.iter().rev().find_map(|frame| {
        let runs = |candidate: &&&Candidate| candidate.file == frame.file;
        candidates.iter().find(runs).map(|found| found.file)
    });
    let group = if is_main == Some(true) {
        Some(GLOBAL.to_owned())
    } else {
        let groups = candidates
            .iter()
            .filter(|candidate| in_frames.is_none_or(|file| file == candidate.file))
            .map(|candidate| candidate.group);
        only(groups).flatten().map(|group| shown(group).to_owned())
    };
    let named = |candidate: &&&Candidate| {
        let name = candidate.group.map(shown);
        group.is_none() || name.is_none() || name == group.as_deref()
    };
    let script = in_frames
        .map(str::to_owned)
        .or_else(|| only(candidates.iter().filter(named).map(|c| c.file)).map(str::to_owned))
        .or_else(|| outermost_script(&python.frames));
    Application { group, script }
}

/// The scripts that may run in a process of this group.
fn candidates<'a>(
    configuration: &'a Configuration,
    process_group: Option<&str>,
) -> Vec<Candidate<'a>> {
    let runs_here = |wanted: Option<&str>| match (wanted, process_group) {
        (Some(wanted), Some(group)) => wanted == group,
        _ => true,
    };
    let scripts = configuration
        .scripts
        .iter()
        .filter(|script| runs_here(script.process_group.as_deref()))
        .map(|script| Candidate {
            file: &script.file,
            group: script.application_group.as_deref(),
        });
    let imports = configuration
        .import_scripts
        .iter()
        .filter(|script| runs_here(Some(&script.process_group)))
        .map(|script| Candidate {
            file: &script.file,
            group: Some(&script.application_group),
        });
    scripts.chain(imports).collect()
}

/// How a group of the configuration is shown.
pub fn shown(group: &str) -> &str {
    if group.is_empty() { GLOBAL } else { group }
}

/// The one value of all; `None` where there is none, or several.
fn only<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// The WSGI script, where the outermost frame shows it: mod_wsgi runs a script's module level
/// itself, and calls its `application` directly.
fn outermost_script(frames: &[Frame]) -> Option<String> {
    let outermost = frames.last()?;
    let is_script = outermost.function == "<module>" || outermost.file.ends_with(".wsgi");
    is_script.then(|| outermost.file.clone())
}

/// Whether a call was made while a `WSGIImportScript` of this process and application was
/// imported.
#[must_use]
pub fn in_import_script(
    configuration: &Configuration,
    process_group: Option<&str>,
    group: Option<&str>,
    frames: &[Frame],
) -> bool {
    configuration.import_scripts.iter().any(|script| {
        process_group.is_none_or(|known| known == script.process_group)
            && group.is_none_or(|known| known == shown(&script.application_group))
            && frames
                .iter()
                .any(|frame| frame.file == script.file && frame.function == "<module>")
    })
}

#[cfg(test)]
mod tests;
