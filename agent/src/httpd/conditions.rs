//! `<IfModule>`, `<IfDefine>` and their like: `start_cond_section` of httpd 2.4, `server/core.c`.

use std::collections::HashSet;

use super::{defines::Defines, lines, paths, source::Source, version::Version};

/// Modules whose source file is not `mod_NAME.c`.
const FILES: [(&str, &str); 8] = [
    ("core_module", "core.c"),
    ("http_module", "http_core.c"),
    ("ldap_module", "util_ldap.c"),
    ("mpm_event_module", "event.c"),
    ("mpm_prefork_module", "prefork.c"),
    ("mpm_worker_module", "worker.c"),
    ("php_module", "mod_php.c"),
    ("systemd_module", "mod_systemd.c"),
];
/// Whose directives begin with what, as far as `<IfDirective>` can be told.
const FAMILIES: [(&str, &str); 10] = [
    ("auth", "auth_basic_module"),
    ("h2", "http2_module"),
    ("header", "headers_module"),
    ("md", "md_module"),
    ("proxy", "proxy_module"),
    ("requestheader", "headers_module"),
    ("rewrite", "rewrite_module"),
    ("security", "security2_module"),
    ("ssl", "ssl_module"),
    ("wsgi", "wsgi_module"),
];

/// The modules that are in the server at some point of its configuration.
#[derive(Debug, Default)]
pub(super) struct Loaded(HashSet<String>);

impl Loaded {
    /// The ones that are built in.
    pub(super) fn new(names: &[String]) -> Self {
        let mut loaded = Self::default();
        names.iter().for_each(|name| loaded.add(name.clone()));
        loaded
    }

    /// `LoadModule NAME …`. A module is also known by its source file's name.
    pub(super) fn add(&mut self, name: String) {
        let file = match FILES.iter().find(|(module, _)| *module == name) {
            Some((_, file)) => (*file).to_owned(),
            None => format!("mod_{}.c", name.strip_suffix("_module").unwrap_or(&name)),
        };
        self.0.insert(file);
        self.0.insert(name);
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether a directive is known, as far as it can be told.
    fn knows(&self, directive: &str) -> Option<bool> {
        let directive = directive.to_ascii_lowercase();
        let directive = directive.trim_start_matches('<');
        let known = FAMILIES
            .iter()
            .filter(|(head, _)| directive.starts_with(head));
        known.map(|(_, module)| self.has(module)).next()
    }
}

/// What conditions are about.
pub(super) struct World<'w> {
    pub(super) source: &'w mut dyn Source,
    pub(super) root: &'w str,
    pub(super) defines: &'w Defines,
    pub(super) loaded: &'w Loaded,
    pub(super) version: Option<&'w Version>,
}

/// Whether a section's name is that of a condition.
pub(super) fn is_condition(section: &str) -> bool {
    matches!(
        section,
        "<ifdefine" | "<ifdirective" | "<iffile" | "<ifmodule" | "<ifsection" | "<ifversion"
    )
}

impl World<'_> {
    /// Whether a condition holds; the error is a clause.
    pub(super) fn holds(&mut self, section: &str, arguments: &str) -> Result<bool, String> {
        if section == "<ifversion" {
            let version = self.version.ok_or("httpd's version is not known")?;
            return version.is(arguments);
        }
        let end = arguments.rfind('>').ok_or("it is not closed")?;
        let arguments = &arguments[..end];
        let (negated, mut rest) = match arguments.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, arguments),
        };
        let word = lines::word(&mut rest);
        if word.is_empty() {
            return Err("it names nothing".to_owned());
        }
        let holds = match section {
            "<ifdefine" => self.defines.has(&word),
            "<ifmodule" => self.loaded.has(&word),
            "<iffile" => self.source.kind(&paths::merge(self.root, &word)).is_some(),
            _ => {
                let known = self.loaded.knows(&word);
                known.ok_or_else(|| format!("which module has {word:?} is not known"))?
            }
        };
        Ok(holds != negated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_known_by_two_names() {
        let mut loaded = Loaded::new(&["core_module".to_owned()]);
        loaded.add("wsgi_module".to_owned());
        loaded.add("mpm_event_module".to_owned());
        for name in ["core.c", "wsgi_module", "mod_wsgi.c", "event.c"] {
            assert!(loaded.has(name), "{name}");
        }
        for name in ["mod_core.c", "wsgi", "WSGI_module", "mod_event.c"] {
            assert!(!loaded.has(name), "{name}");
        }
        assert_eq!(loaded.knows("WSGIRestrictSignal"), Some(true));
        assert_eq!(loaded.knows("<Proxy"), Some(false));
        assert_eq!(loaded.knows("Frobnicate"), None);
    }
}
