//! Reads the agent's source as modules, each with the paths that it names.
//!
//! What is compiled for tests only is left out: a test may read a file and look at a clock. What
//! the parser cannot see through is a path in a macro's arguments, so those are searched as text.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context as _, Result};
use syn::{
    Attribute, Item, ItemMod, Macro, UseTree,
    visit::{self, Visit},
};

use crate::files;

/// A path or a module's name, from the crate's root; `main` stands for the binary's root.
pub(crate) type Name = Vec<String>;

/// The modules of the agent, without those of its tests.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) modules: BTreeMap<Name, Module>,
    /// Every file that belongs to a module, test or not.
    pub(crate) files: BTreeSet<String>,
}

/// One module.
#[derive(Default)]
pub(crate) struct Module {
    /// Paths that it names: into the agent from the crate's root on, others as they stand.
    inside: BTreeSet<Name>,
    pub(crate) outside: BTreeSet<Name>,
    /// It has more than modules and what it passes on from them.
    pub(crate) has_content: bool,
}

impl Source {
    /// Follows the `mod` items from both roots.
    pub(crate) fn read() -> Result<Self> {
        let mut source = Self::default();
        source.file("agent/src/lib.rs", &[], true, false)?;
        source.file("agent/src/main.rs", &["main".to_owned()], true, false)?;
        // A path that begins with a module's own child is one of ours.
        let names: BTreeSet<Name> = source.modules.keys().cloned().collect();
        for (name, module) in &mut source.modules {
            module.outside.retain(|path| {
                let whole = [&name[..], path].concat();
                let ours = names.contains(&whole[..=name.len()]);
                if ours {
                    module.inside.insert(whole);
                }
                !ours
            });
        }
        Ok(source)
    }

    /// The modules that a module names things of, itself not among them.
    pub(crate) fn imports(&self, name: &Name) -> BTreeSet<&Name> {
        let inside = self.modules.get(name).map(|module| &module.inside);
        inside
            .into_iter()
            .flatten()
            .filter_map(|path| {
                (0..=path.len())
                    .rev()
                    .find_map(|end| self.modules.get_key_value(&path[..end]))
            })
            .map(|(found, _)| found)
            .filter(|found| *found != name)
            .collect()
    }

    fn file(&mut self, file: &str, name: &[String], is_root: bool, is_test: bool) -> Result<()> {
        self.files.insert(file.to_owned());
        let parsed = syn::parse_file(&files::text(file)?);
        let parsed = parsed.with_context(|| format!("failed to parse {file}"))?;
        let mut reader = Reader {
            name: name.to_vec(),
            modules: BTreeMap::from([(name.to_vec(), Module::default())]),
            children: Vec::new(),
        };
        for item in &parsed.items {
            reader.visit_item(item);
        }
        if !is_test {
            self.modules.append(&mut reader.modules);
        }
        let path = Path::new(file);
        let folder = path.parent().context("a file without a folder")?;
        let stem = path.file_stem().context("a file without a name")?;
        for child in reader.children {
            let plain = child.name.last().context("a module without a name")?;
            // As in the reference, "Module source filenames".
            let base = if is_root || stem == "mod" {
                folder.to_path_buf()
            } else {
                folder.join(stem)
            };
            let candidates = match &child.path {
                Some(path) => vec![folder.join(path)],
                None => vec![
                    base.join(format!("{plain}.rs")),
                    base.join(plain).join("mod.rs"),
                ],
            };
            let found = candidates.iter().find_map(|candidate| {
                let candidate = candidate.to_str()?;
                files::path(candidate).is_file().then_some(candidate)
            });
            let found = found.with_context(|| format!("{file}: no file for mod {plain}"))?;
            let is_root = child.path.is_some();
            self.file(found, &child.name, is_root, is_test || child.is_test)?;
        }
        Ok(())
    }
}

/// A module in a file of its own.
struct Child {
    name: Name,
    /// From `#[path = "…"]`.
    path: Option<String>,
    is_test: bool,
}

/// Walks through one file.
struct Reader {
    name: Name,
    modules: BTreeMap<Name, Module>,
    children: Vec<Child>,
}

impl Reader {
    fn module(&mut self) -> &mut Module {
        self.modules.entry(self.name.clone()).or_default()
    }

    fn note(&mut self, path: &[String]) {
        let root = usize::from(self.name.first().is_some_and(|first| first == "main"));
        let mut at = self.name.clone();
        let mut rest = path;
        let mut inside = true;
        match path.first().map(String::as_str) {
            Some("crate") => at.truncate(root),
            Some("sigblame") if root == 1 => at.clear(),
            Some("self" | "super") => {}
            _ => inside = false,
        }
        if inside {
            while let [first, ..] = rest
                && matches!(first.as_str(), "crate" | "sigblame" | "self" | "super")
            {
                if first == "super" {
                    at.pop();
                }
                rest = &rest[1..];
            }
            at.extend_from_slice(rest);
            self.module().inside.insert(at);
        } else {
            self.module().outside.insert(path.to_vec());
        }
    }

    fn tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: String| [before, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.tree(&path.tree, &with(path.ident.to_string())),
            UseTree::Name(name) => self.note(&with(name.ident.to_string())),
            UseTree::Rename(rename) => self.note(&with(rename.ident.to_string())),
            UseTree::Glob(_) => self.note(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let is_test = attributes(item).iter().any(is_for_tests);
        match item {
            Item::Mod(module) => self.submodule(module, is_test),
            Item::Use(uses) if !is_test => self.tree(&uses.tree, &[]),
            _ if !is_test => {
                self.module().has_content = true;
                visit::visit_item(self, item);
            }
            _ => {}
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Name = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        if names.len() > 1 {
            self.note(&names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        let names: Name = mac
            .path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        self.note(&names);
        let text: String = mac.tokens.to_string().split_whitespace().collect();
        let of_a_path = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | ':');
        for path in text.split(|letter| !of_a_path(letter)) {
            let names: Name = path.split("::").map(str::to_owned).collect();
            if names.len() > 1 && names.iter().all(|name| !name.is_empty()) {
                self.note(&names);
            }
        }
    }
}

impl Reader {
    fn submodule(&mut self, module: &ItemMod, is_test: bool) {
        self.name.push(module.ident.to_string());
        if let Some((_, items)) = &module.content {
            if !is_test {
                items.iter().for_each(|item| self.visit_item(item));
            }
        } else {
            self.children.push(Child {
                name: self.name.clone(),
                path: module.attrs.iter().find_map(path_of),
                is_test,
            });
        }
        self.name.pop();
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[cfg(test)]`, and nothing that is compiled for anybody else, too.
fn is_for_tests(attribute: &Attribute) -> bool {
    let condition = attribute.parse_args::<syn::Path>();
    attribute.path().is_ident("cfg") && condition.is_ok_and(|path| path.is_ident("test"))
}

fn path_of(attribute: &Attribute) -> Option<String> {
    let pair = attribute.meta.require_name_value().ok()?;
    match &pair.value {
        syn::Expr::Lit(literal) if pair.path.is_ident("path") => match &literal.lit {
            syn::Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}
