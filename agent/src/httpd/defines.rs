//! `Define`, `-D` and `${NAME}`.
//!
//! httpd 2.4, `server/core.c`: a variable's value is looked for without regard to case (an
//! `apr_table`), then in the environment; one that is nowhere stays as it is written. Names in
//! `<IfDefine>` have their case.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use super::lines::{LINE_MAX, TooLong};

/// What is defined at some point of a configuration.
#[derive(Debug, Default)]
pub(super) struct Defines {
    names: HashSet<String>,
    values: HashMap<String, String>,
    environment: HashMap<String, String>,
}

impl Defines {
    /// What is defined before the first line: `-D`, and the server's environment.
    pub(super) fn new(names: &[String], environment: &HashMap<String, String>) -> Self {
        Self {
            names: names.iter().cloned().collect(),
            values: HashMap::new(),
            environment: environment.clone(),
        }
    }

    /// `Define NAME [VALUE]`; without a value an earlier one stays.
    pub(super) fn define(&mut self, name: String, value: Option<String>) {
        if let Some(value) = value {
            self.values.insert(name.to_ascii_lowercase(), value);
        }
        self.names.insert(name);
    }

    /// `UnDefine NAME`.
    pub(super) fn undefine(&mut self, name: &str) {
        self.names.remove(name);
        self.values.remove(&name.to_ascii_lowercase());
    }

    /// `<IfDefine NAME>`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    fn value(&self, name: &str) -> Option<&str> {
        let defined = self.values.get(&name.to_ascii_lowercase());
        defined
            .or_else(|| self.environment.get(name))
            .map(String::as_str)
    }

    /// The line with its variables filled in, and the first one that is not known.
    pub(super) fn fill<'l>(
        &self,
        line: &'l str,
    ) -> Result<(Cow<'l, str>, Option<&'l str>), TooLong> {
        if !line.contains("${") {
            return Ok((Cow::Borrowed(line), None));
        }
        let (mut out, mut rest, mut unknown) = (String::new(), line, None);
        while let Some(at) = rest.find("${") {
            let Some(length) = rest[at + 2..].find('}') else {
                break;
            };
            let end = at + 2 + length + 1;
            let name = &rest[at + 2..end - 1];
            out.push_str(&rest[..at]);
            match self.value(name) {
                Some(value) => out.push_str(value),
                None => {
                    out.push_str(&rest[at..end]);
                    // A colon is for others: `${map:key}` of mod_rewrite.
                    if !name.contains(':') {
                        unknown = unknown.or(Some(name));
                    }
                }
            }
            if out.len() > LINE_MAX {
                return Err(TooLong);
            }
            rest = &rest[end..];
        }
        out.push_str(rest);
        Ok((Cow::Owned(out), unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_like_httpd_does() {
        let environment = HashMap::from([
            ("HOME_OF".to_owned(), "/env".to_owned()),
            ("Both".to_owned(), "environment".to_owned()),
        ]);
        let mut defines = Defines::new(&["GIVEN".to_owned()], &environment);
        defines.define("Root".to_owned(), Some("/srv".to_owned()));
        defines.define("both".to_owned(), Some("${Root}".to_owned()));
        defines.define("root".to_owned(), None);
        for (line, expected, unknown) in [
            ("no $ at {all}", "no $ at {all}", None),
            ("${ROOT}/a${HOME_OF}", "/srv/a/env", None),
            // A value is not looked into, and goes before the environment.
            ("${Both}", "${Root}", None),
            (
                "${home_of} ${x:y} $${Root}",
                "${home_of} ${x:y} $/srv",
                Some("home_of"),
            ),
            (
                "${GIVEN} ${never closed",
                "${GIVEN} ${never closed",
                Some("GIVEN"),
            ),
            ("$${Root} ${} }", "$/srv ${} }", Some("")),
        ] {
            let filled = defines.fill(line).unwrap();
            assert_eq!((filled.0.as_ref(), filled.1), (expected, unknown));
        }
        assert!(defines.has("GIVEN") && defines.has("root") && !defines.has("ROOT"));
        defines.undefine("root");
        assert!(!defines.has("root") && defines.has("Root"));
        assert_eq!(defines.fill("${Root}").unwrap().0, "${Root}");
    }

    /// A value that doubles each time would not fit into any memory.
    #[test]
    fn what_is_filled_in_has_a_limit() {
        let mut defines = Defines::default();
        defines.define("A".to_owned(), Some("x".repeat(LINE_MAX / 2)));
        assert!(defines.fill("${A}${A}").is_ok());
        assert_eq!(defines.fill("${A}${A}${A}").unwrap_err(), TooLong);
    }
}
