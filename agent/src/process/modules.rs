//! From mappings to modules: which file lies where in a process. Pure.

use std::sync::Arc;

use super::{
    Module, ModuleKind, Modules,
    facts::FileFacts,
    proc::{FileId, Mapping},
    python_file::PythonAt,
};

/// A file that is mapped with at least one executable mapping.
#[derive(Clone, Debug)]
pub(super) struct Mapped {
    /// The file.
    pub(super) file: FileId,
    /// First address.
    pub(super) start: u64,
    /// One past the last address, `.bss` included where the file's facts are known.
    pub(super) end: u64,
    /// The first executable mapping.
    pub(super) code: Mapping,
    /// What the file is; `None` where it cannot be read or is no ELF file.
    pub(super) facts: Option<Arc<FileFacts>>,
}

/// A file's consecutive mappings, while they are being gathered.
struct Draft {
    file: FileId,
    start: u64,
    end: u64,
    /// End of anonymous memory that follows at once: `.bss`, at least in its first part.
    anonymous_end: u64,
    code: Option<Mapping>,
}

/// Gathers each file's consecutive mappings; anonymous memory may lie between them.
///
/// Files without executable memory are left out: no handler can lie in them, and a file that is
/// mapped a second time, as data, must not swallow what lies between.
pub(super) fn group(
    mappings: impl Iterator<Item = Mapping>,
    mut facts: impl FnMut(&Mapping, FileId) -> Option<Arc<FileFacts>>,
) -> Vec<Mapped> {
    let mut all = Vec::new();
    let mut current: Option<Draft> = None;
    let mut finish = |draft: Option<Draft>| {
        if let Some((draft, code)) = draft.and_then(|mut d| d.code.take().map(|code| (d, code))) {
            let facts = facts(&code, draft.file);
            all.push(draft.finish(code, facts));
        }
    };
    for mapping in mappings {
        let Some(file) = mapping.file else {
            if let Some(draft) = &mut current
                && mapping.path.is_empty()
                && mapping.start == draft.anonymous_end
            {
                draft.anonymous_end = mapping.end;
            }
            continue;
        };
        if current.as_ref().is_none_or(|draft| draft.file != file) {
            finish(current.take());
        }
        let draft = current.get_or_insert(Draft {
            file,
            start: mapping.start,
            end: mapping.end,
            anonymous_end: mapping.end,
            code: None,
        });
        draft.end = mapping.end;
        draft.anonymous_end = mapping.end;
        if mapping.executable && draft.code.is_none() {
            draft.code = Some(mapping);
        }
    }
    finish(current);
    all
}

impl Draft {
    fn finish(self, code: Mapping, facts: Option<Arc<FileFacts>>) -> Mapped {
        let mut mapped = Mapped {
            file: self.file,
            start: self.start,
            end: self.end,
            code,
            facts,
        };
        // `.bss` ends inside the anonymous memory, which may go on with somebody else's.
        if let (Some(bias), Some(facts)) = (mapped.bias(), &mapped.facts) {
            let bss_end = bias.wrapping_add(facts.image.end());
            mapped.end = mapped.end.max(bss_end.min(self.anonymous_end));
        }
        mapped
    }
}

impl Mapped {
    /// What to add to the file's own addresses.
    pub(super) fn bias(&self) -> Option<u64> {
        let Mapping {
            start, end, offset, ..
        } = self.code;
        self.facts.as_ref()?.image.bias(start, end, offset)
    }

    fn kind(&self) -> ModuleKind {
        let facts = self.facts.as_ref();
        facts.map_or(ModuleKind::Other, |facts| facts.kind)
    }
}

/// The modules of a process.
pub(super) fn modules(mapped: &[Mapped]) -> Modules {
    let module = |mapped: &Mapped| Module {
        start: mapped.start,
        end: mapped.end,
        path: mapped.code.path.as_str().into(),
        kind: mapped.kind(),
    };
    Modules(mapped.iter().map(module).collect())
}

/// The interpreter that mod_wsgi uses: its own, where it was linked against a static libpython,
/// else the first one that is mapped.
pub(super) fn python(mapped: &[Mapped]) -> Option<PythonAt> {
    let at = |mapped: &Mapped| {
        let python = mapped.facts.as_ref()?.python.as_ref()?;
        Some(PythonAt {
            file: mapped.file,
            path: mapped.code.path.as_str().into(),
            python: python.loaded(mapped.bias()?),
        })
    };
    let own = mapped.iter().filter(|m| m.kind() == ModuleKind::ModWsgi);
    own.chain(mapped).find_map(at)
}

/// The MPM's name.
///
/// `itk` calls itself an MPM, but is a module on top of prefork.
pub(super) fn mpm(mapped: &[Mapped]) -> Option<String> {
    let names = mapped
        .iter()
        .filter_map(|mapped| mapped.facts.as_ref()?.mpm.as_ref());
    names.min_by_key(|name| *name == "itk").cloned()
}

/// mod_wsgi's version.
pub(super) fn mod_wsgi(mapped: &[Mapped]) -> Option<String> {
    mapped
        .iter()
        .find_map(|mapped| mapped.facts.as_ref()?.mod_wsgi.clone())
}

#[cfg(test)]
#[path = "modules_tests.rs"]
mod tests;
