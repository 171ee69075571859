//! Arguments of single directives, as mod_wsgi takes them. Errors are clauses.

use super::{GLOBAL, lines};

/// How many of each thing are kept; more are left out and said to be.
pub(super) const KEPT_MAX: usize = 16_384;

/// `%{GLOBAL}` is the empty name.
pub(super) fn group(name: String) -> String {
    if name == GLOBAL { String::new() } else { name }
}

/// The one argument of a directive that takes one.
pub(super) fn one(arguments: &str) -> Result<String, String> {
    let mut words = lines::words(arguments).into_iter();
    match (words.next(), words.next()) {
        (Some(word), None) if !word.is_empty() => Ok(word),
        _ => Err("it takes one argument".to_owned()),
    }
}

/// The next `name=value`: `wsgi_parse_option`.
pub(super) fn option(line: &mut &str) -> Result<(String, String), String> {
    let text = line.trim_start_matches(|c: char| c.is_ascii() && lines::is_space(c as u8));
    let wrong = || "an option is not of the form name=value".to_owned();
    let end = text.find(|c: char| c == '=' || (c.is_ascii() && lines::is_space(c as u8)));
    let end = end.filter(|end| *end > 0).ok_or_else(wrong)?;
    let (name, rest) = text.split_at(end);
    let mut rest = rest.strip_prefix('=').ok_or_else(wrong)?;
    let value = lines::word(&mut rest);
    *line = rest;
    Ok((name.to_owned(), value))
}

/// C's `atoi` for what is not negative.
pub(super) fn count(text: &str) -> Result<u32, String> {
    let text = text.trim_start_matches(|c: char| c.is_ascii() && lines::is_space(c as u8));
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit());
    let digits = &text[..end.unwrap_or(text.len())];
    match digits.parse() {
        Ok(count) => Ok(count),
        Err(_) if digits.is_empty() && !text.starts_with('-') && !text.is_empty() => Ok(0),
        Err(_) => Err(format!("{text:?} is no number")),
    }
}

/// Adds an item, if there are not too many.
pub(super) fn keep<T>(list: &mut Vec<T>, item: T) -> Result<(), String> {
    if list.len() >= KEPT_MAX {
        return Err(format!("more than {KEPT_MAX} of them are not read"));
    }
    list.push(item);
    Ok(())
}
