//! What httpd executes while it reads: conditions, includes, definitions, macros (`EXEC_ON_READ`).

use super::{
    conditions::World,
    includes, lines, paths,
    reader::{Frame, Open, Reader},
};

/// Includes within includes: `AP_MAX_INCLUDE_DEPTH`.
const INCLUDE_DEPTH: usize = 128;
/// What a look at the file system counts, in bytes.
const LOOK: usize = 256;

impl Reader<'_> {
    pub(super) fn condition(&mut self, name: String, arguments: &str) {
        self.budget.bytes(LOOK);
        let mut world = World {
            source: &mut *self.source,
            root: &self.root,
            defines: &self.defines,
            loaded: &self.loaded,
            version: self.start.version.as_ref(),
        };
        let holds = world.holds(&name, arguments);
        let place = self.place_or(&self.start.file);
        match holds {
            Ok(true) => self.push(Open {
                name,
                is_condition: true,
                place,
            }),
            Ok(false) => self.skip(&name, &place),
            Err(what) => {
                let what = format!("what is in {name} {arguments} is left out: {what}");
                self.problems.add(place.clone(), &what);
                self.skip(&name, &place);
            }
        }
    }

    pub(super) fn includes(&mut self, mut arguments: &str, is_optional: bool) {
        let path = lines::word(&mut arguments);
        let depth = self
            .frames
            .iter()
            .filter(|f| matches!(f, Frame::Files { .. }));
        if depth.count() >= INCLUDE_DEPTH {
            // httpd refuses that, so the running server has read something else.
            self.budget.over = Some("files include one another too deeply, perhaps in a circle");
            return;
        }
        self.budget.bytes(LOOK);
        let path = paths::merge(&self.root, &path);
        let (source, budget) = (&mut *self.source, &mut self.budget);
        let (files, failed) = includes::files(source, budget, &path, is_optional);
        for what in failed {
            self.problem(&format!("Include: {what}"));
        }
        let files = files.into_iter();
        let place = self.place_or(&self.start.file);
        self.frames.push(Frame::Files { files, place });
    }

    pub(super) fn server_root(&mut self, mut arguments: &str) {
        let root = paths::merge("/", &lines::word(&mut arguments));
        if root.len() > includes::PATH_MAX {
            return self.problem("a path is too long");
        }
        self.root = root;
    }

    pub(super) fn define(&mut self, arguments: &str) {
        let mut words = lines::words(arguments).into_iter();
        match (words.next(), words.next(), words.next()) {
            (Some(name), value, None) if !name.contains(':') => self.defines.define(name, value),
            _ => self.problem("Define takes a name without a colon, and a value"),
        }
    }

    /// `<Macro …>`: `get_lines_till_end_token`.
    pub(super) fn define_macro(&mut self, arguments: &str) {
        let place = self.place_or(&self.start.file);
        let (mut body, mut nesting) = (Vec::new(), 1);
        while let Some(line) = self.line() {
            if line.starts_with('#') {
                continue;
            }
            let mut rest = line.as_str();
            let word = lines::word(&mut rest);
            if word.eq_ignore_ascii_case("</macro>") {
                nesting -= 1;
                if nesting == 0 {
                    if let Err(what) = self.macros.define(arguments, body, &place) {
                        self.problems.add(place, &what);
                    }
                    return;
                }
            } else if word.eq_ignore_ascii_case("<macro") {
                nesting += 1;
            }
            body.push(line);
        }
        self.problems.add(place, "the macro is not closed");
    }

    pub(super) fn use_macro(&mut self, arguments: &str) {
        let place = self.place_or(&self.start.file);
        match self.macros.expand(arguments, &place) {
            Ok(expansion) => {
                self.budget.bytes(expansion.name.len());
                self.frames.push(Frame::Macro(expansion));
            }
            Err(what) => self.problems.add(place, &what),
        }
    }
}
