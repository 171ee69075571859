//! `<Macro>` and `Use`: mod_macro of httpd 2.4, `modules/core/mod_macro.c`.

use std::{collections::HashMap, sync::Arc};

use super::{Place, lines};

/// Bytes of a line in a macro; httpd's `MAX_STRING_LEN`.
const LINE_MAX: usize = 8_192;
/// Arguments of a macro; httpd has no limit.
const ARGUMENTS_MAX: usize = 100;

/// One macro.
#[derive(Debug)]
pub(super) struct Macro {
    name: String,
    /// Where it is defined, in httpd's words.
    location: String,
    arguments: Vec<String>,
    lines: Vec<String>,
}

/// A macro in use: its lines, with the arguments put in.
#[derive(Debug)]
pub(super) struct Expansion {
    used: Arc<Macro>,
    values: Vec<String>,
    /// httpd's name for these lines.
    pub(super) name: Arc<str>,
    next: usize,
}

/// The macros that are defined.
#[derive(Debug, Default)]
pub(super) struct Macros(HashMap<String, Arc<Macro>>);

impl Macros {
    /// `<Macro NAME ARGUMENTS>` with its lines; the error is a clause.
    pub(super) fn define(
        &mut self,
        arguments: &str,
        lines: Vec<String>,
        place: &Place,
    ) -> Result<(), String> {
        let end = arguments.rfind('>').ok_or("it is not closed")?;
        let mut words = lines::words(&arguments[..end]).into_iter();
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        let arguments: Vec<String> = words.collect();
        if name.is_empty() {
            return Err("the macro has no name".to_owned());
        }
        if arguments.len() > ARGUMENTS_MAX || arguments.iter().any(String::is_empty) {
            return Err("the macro's arguments are empty or too many".to_owned());
        }
        let Place { file, line } = place;
        let location = format!("defined on line {line} of \"{file}\"");
        let made = Macro {
            name: name.clone(),
            location,
            arguments,
            lines,
        };
        self.0.insert(name, Arc::new(made));
        Ok(())
    }

    /// `UndefMacro NAME`.
    pub(super) fn undefine(&mut self, name: &str) {
        self.0.remove(&name.to_ascii_lowercase());
    }

    /// `Use NAME VALUES`; the error is a clause.
    pub(super) fn expand(&self, mut arguments: &str, place: &Place) -> Result<Expansion, String> {
        let name = lines::word(&mut arguments).to_ascii_lowercase();
        let Some(used) = self.0.get(&name) else {
            return Err(format!("there is no macro {name:?}"));
        };
        // httpd finds a recursion like this, too: by the name of the lines.
        if place.file.contains(&format!("macro '{name}'")) {
            return Err(format!("the macro {name:?} uses itself"));
        }
        let values = lines::words(arguments);
        let (given, wanted) = (values.len(), used.arguments.len());
        if given != wanted {
            return Err(format!(
                "the macro {name:?} has {wanted} arguments, not {given}"
            ));
        }
        let Place { file, line } = place;
        let Macro { name, location, .. } = &**used;
        let name = format!("macro '{name}' ({location}) used on line {line} of \"{file}\"");
        if name.len() > LINE_MAX {
            return Err("macros use macros too deeply".to_owned());
        }
        Ok(Expansion {
            used: used.clone(),
            values,
            name: name.into(),
            next: 0,
        })
    }
}

impl Expansion {
    /// What the next line costs, in bytes that are looked at.
    pub(super) fn cost(&self) -> usize {
        let line = self.used.lines.get(self.next).map_or(0, String::len);
        line.saturating_mul(1 + self.values.len() / 8)
    }

    /// The number of the line that was given last.
    pub(super) fn line(&self) -> u32 {
        u32::try_from(self.next).unwrap_or(u32::MAX)
    }

    /// The next line; the error is a clause.
    pub(super) fn next(&mut self) -> Option<Result<String, String>> {
        let line = self.used.lines.get(self.next)?;
        self.next += 1;
        Some(self.filled(line))
    }

    fn filled(&self, line: &str) -> Result<String, String> {
        let arguments = &self.used.arguments;
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(character) = rest.chars().next() {
            // Of arguments that begin alike the longest counts.
            let found = (arguments.iter().zip(&self.values))
                .filter(|(name, _)| rest.starts_with(name.as_str()))
                .max_by_key(|(name, _)| name.len());
            match found {
                Some((name, value)) => {
                    if name.starts_with('@') {
                        quote(&mut out, value);
                    } else {
                        out.push_str(value);
                    }
                    rest = &rest[name.len()..];
                }
                None => {
                    out.push(character);
                    rest = &rest[character.len_utf8()..];
                }
            }
            if out.len() >= LINE_MAX {
                return Err("a line of a macro is too long".to_owned());
            }
        }
        Ok(out)
    }
}

/// An argument that begins with `@` is put in quotes.
fn quote(out: &mut String, value: &str) {
    out.push('"');
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(file: &str) -> Place {
        Place {
            file: file.into(),
            line: 7,
        }
    }

    #[test]
    fn arguments_are_put_in_like_httpd_does() {
        let mut macros = Macros::default();
        let body = ["ServerName $name.org", "A @n $na $name2"].map(str::to_owned);
        let defined = macros.define("VHost $name $na @n>", body.to_vec(), &place("/a"));
        assert_eq!(defined, Ok(()));
        let mut used = macros
            .expand("vhost www 'x y' 'a \"b'", &place("/b"))
            .unwrap();
        let name = "macro 'vhost' (defined on line 7 of \"/a\") used on line 7 of \"/b\"";
        assert_eq!(&*used.name, name);
        assert_eq!(used.next(), Some(Ok("ServerName www.org".to_owned())));
        assert_eq!(used.next(), Some(Ok("A \"a \\\"b\" x y www2".to_owned())));
        assert_eq!(used.line(), 2);
        assert_eq!(used.next(), None);
        assert!(macros.expand("vhost a b", &place("/b")).is_err());
        assert!(macros.expand("vhost a b c", &place(name)).is_err());
        macros.undefine("VHOST");
        assert!(macros.expand("vhost a b c", &place("/b")).is_err());
    }

    #[test]
    fn a_macro_that_is_none() {
        let mut macros = Macros::default();
        for arguments in ["", ">", "name", "name '' >"] {
            assert!(macros.define(arguments, Vec::new(), &place("/a")).is_err());
        }
    }
}
