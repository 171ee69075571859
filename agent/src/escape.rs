//! Strings that an application chose, made fit for a terminal.
//!
//! A file can be called anything, and so can a function. What reaches a terminal must neither
//! command it nor look like a line of ours: control characters of both sets, and everything that
//! is invisible or turns the direction of writing, is shown as an escape. A backslash is doubled,
//! so that no name can pretend to hold an escaped character.

use std::{
    fmt::{self, Write as _},
    io,
};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Shows `text` on one line, without effects.
#[must_use]
pub fn text(text: &str) -> Escaped<'_> {
    Escaped(text)
}

/// See [`text`].
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                _ if !is_active(character) => f.write_char(character)?,
                _ if character.is_ascii() => write!(f, "\\x{:02x}", u32::from(character))?,
                _ => write!(f, "\\u{{{:x}}}", u32::from(character))?,
            }
        }
        Ok(())
    }
}

/// One line of JSON in which no character acts on a terminal.
///
/// JSON itself escapes only the first 32: a terminal obeys U+009B like ESC `[`. The escapes mean
/// the same characters to every reader of JSON.
///
/// # Errors
///
/// Where the value has no form in JSON.
pub fn json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Quiet))?;
    String::from_utf8(bytes).map_err(|error| serde_json::Error::io(io::Error::other(error)))
}

/// The compact format, with more escapes.
struct Quiet;

impl Formatter for Quiet {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut rest = fragment;
        while let Some((at, active)) = rest.char_indices().find(|(_, c)| is_active(*c)) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            for unit in active.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = from.split_at(active.len_utf8()).1;
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Control characters, and Unicode's categories Cf, Zl and Zp (Unicode 16): invisible, or moving
/// what stands around them.
fn is_active(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A name that commands the terminal in every way we know of.
    pub(crate) const HOSTILE: &str = "a\u{1b}[2J\u{1b}]0;owned\u{7}\r\n\u{9b}31m\u{7f}\u{8}\u{0}\
                                      \u{202e}gnp.exe\u{2028}\u{200b}\u{e0041}\\x1b<script>";

    pub(crate) fn is_quiet(line: &str) -> bool {
        !line.chars().any(is_active)
    }

    #[test]
    fn nothing_acts_on_a_terminal() {
        let shown = text(HOSTILE).to_string();
        assert!(is_quiet(&shown), "{shown:?}");
        assert_eq!(
            shown,
            "a\\x1b[2J\\x1b]0;owned\\x07\\x0d\\n\\u{9b}31m\\x7f\\x08\\x00\\u{202e}gnp.exe\
             \\u{2028}\\u{200b}\\u{e0041}\\\\x1b<script>"
        );
        assert_eq!(text("/srv/größe/日本.py").to_string(), "/srv/größe/日本.py");
    }

    #[test]
    fn json_is_quiet_and_means_the_same() {
        let line = json(&[HOSTILE]).unwrap();
        assert!(is_quiet(&line), "{line:?}");
        let [back]: [String; 1] = serde_json::from_str(&line).unwrap();
        assert_eq!(back, HOSTILE);
    }
}
