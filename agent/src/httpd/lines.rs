//! A configuration file's lines and a line's words, as httpd cuts them.
//!
//! Facts are those of httpd 2.4, `server/util.c`: `ap_cfg_getline_core` (lines), `cfg_trim_line`,
//! `ap_getword_conf` and `substring_conf` (words).

use std::{borrow::Cow, sync::Arc};

/// Bytes of one line, continued and with its variables filled in. httpd allows 16 MiB.
pub(super) const LINE_MAX: usize = 1 << 20;

/// C's `isspace` in the locale that httpd runs in.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Without white space at its ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii() && is_space(c as u8))
}

/// An empty line or a comment.
pub(super) fn is_nothing(line: &str) -> bool {
    line.is_empty() || line.starts_with('#')
}

/// A line that is longer than any real one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// A text's lines: continued ones are one line.
#[derive(Debug)]
pub(super) struct Lines {
    text: Arc<str>,
    at: usize,
    line: u32,
}

impl Lines {
    pub(super) fn new(text: Arc<str>) -> Self {
        Self {
            text,
            at: 0,
            line: 0,
        }
    }

    /// The number of the line that was given last; of a continued one, its last.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// The next line without white space at its ends, comments and empty ones included.
    pub(super) fn next(&mut self) -> Option<Result<String, TooLong>> {
        let text = self.text.clone();
        Some(self.joined(&text)?.map(|line| trim(&line).to_owned()))
    }

    fn joined<'t>(&mut self, text: &'t str) -> Option<Result<Cow<'t, str>, TooLong>> {
        let mut joined = Cow::Borrowed("");
        let mut is_continued = false;
        loop {
            let rest = &text[self.at..];
            // httpd counts the line that it looked for behind a continuation, too.
            self.line = self.line.saturating_add(1);
            if rest.is_empty() {
                return is_continued.then_some(Ok(joined));
            }
            let (end, ended) = match position(b'\n', rest) {
                Some(end) => (end, true),
                None => (rest.len(), false),
            };
            self.at += end + usize::from(ended);
            let line = &rest[..end];
            // To C, a line ends at its first NUL.
            let (line, ended) = match position(0, line) {
                Some(nul) => (&line[..nul], false),
                None => (line, ended),
            };
            let bare = line.strip_suffix('\r').unwrap_or(line);
            let continued = bare.strip_suffix('\\').filter(|_| ended);
            let line = continued.unwrap_or(line);
            if joined.len() + line.len() > LINE_MAX {
                return Some(Err(TooLong));
            }
            if joined.is_empty() {
                joined = Cow::Borrowed(line);
            } else {
                joined.to_mut().push_str(line);
            }
            is_continued = continued.is_some();
            if !is_continued {
                return Some(Ok(joined));
            }
        }
    }
}

fn position(byte: u8, text: &str) -> Option<usize> {
    text.as_bytes().iter().position(|b| *b == byte)
}

/// Takes the next word off a line, with quotes and backslashes resolved; empty at the end.
pub(super) fn word(line: &mut &str) -> String {
    let text = line.trim_start_matches(|c: char| c.is_ascii() && is_space(c as u8));
    let bytes = text.as_bytes();
    let quote = bytes.first().copied().filter(|b| matches!(b, b'"' | b'\''));
    let start = usize::from(quote.is_some());
    let mut end = start;
    while let Some(&byte) = bytes.get(end) {
        match quote {
            Some(quote) if byte == quote => break,
            Some(quote) if byte == b'\\' => {
                let next = bytes.get(end + 1).copied();
                end += 1 + usize::from(next == Some(quote) || next == Some(b'\\'));
            }
            None if is_space(byte) => break,
            _ => end += 1,
        }
    }
    let end = end.min(bytes.len());
    let word = unescaped(&text[start..end], quote);
    let closed = quote.is_some() && end < bytes.len();
    let rest = &text[end + usize::from(closed)..];
    *line = rest.trim_start_matches(|c: char| c.is_ascii() && is_space(c as u8));
    word
}

/// A backslash hides another one and, in quotes, the quote.
fn unescaped(text: &str, quote: Option<u8>) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let hidden = |next: &char| *next == '\\' || quote.is_some_and(|q| *next == char::from(q));
        match character {
            '\\' => out.push(characters.next_if(hidden).unwrap_or('\\')),
            _ => out.push(character),
        }
    }
    out
}

/// Every word of a line.
pub(super) fn words(mut line: &str) -> Vec<String> {
    let mut words = Vec::new();
    while !line.is_empty() {
        words.push(word(&mut line));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(u32, String)> {
        let mut lines = Lines::new(text.into());
        std::iter::from_fn(|| {
            let line = lines.next()?.unwrap();
            Some((lines.line(), line))
        })
        .filter(|(_, line)| !is_nothing(line))
        .collect()
    }

    #[test]
    fn lines_are_joined_and_counted_like_httpd_does() {
        for (text, expected) in [
            ("", vec![]),
            ("A\n\n# no\nB", vec![(1, "A"), (4, "B")]),
            ("  A b \r\n\tB\n", vec![(1, "A b"), (2, "B")]),
            ("A \\\nb\nC", vec![(2, "A b"), (3, "C")]),
            ("A\\\r\nb", vec![(2, "Ab")]),
            // A comment goes on, too, and white space at the ends of its parts stays.
            ("# no \\\nB\nC", vec![(3, "C")]),
            ("A\\\n  b", vec![(2, "A  b")]),
            // Two backslashes are no exception, one without a line's end is no continuation.
            ("A\\\\\nb", vec![(2, "A\\b")]),
            ("A\\", vec![(1, "A\\")]),
            ("A\\\n", vec![(2, "A")]),
            ("A\0b\nC", vec![(1, "A"), (2, "C")]),
            ("A \\ \nB", vec![(1, "A \\"), (2, "B")]),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(n, l)| (*n, (*l).to_owned()))
                .collect();
            assert_eq!(lines(text), expected, "{text:?}");
        }
    }

    #[test]
    fn words_are_cut_like_httpd_does() {
        for (line, expected) in [
            ("", &[][..]),
            ("a  b\tc", &["a", "b", "c"]),
            ("\"a b\" 'c d'", &["a b", "c d"]),
            ("\"a\"b", &["a", "b"]),
            ("\"a \\\" b\" c", &["a \" b", "c"]),
            ("'a \\' b' c", &["a ' b", "c"]),
            ("\"a \\' b\"", &["a \\' b"]),
            (r"a\\b a\b", &[r"a\b", r"a\b"]),
            (r#"a\"b c"#, &[r#"a\"b"#, "c"]),
            ("\"not closed ", &["not closed "]),
            ("\"not closed \\", &["not closed \\"]),
            ("\"\" b", &["", "b"]),
            ("ä \"ö\\\\\"", &["ä", "ö\\"]),
        ] {
            assert_eq!(words(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_line_has_a_limit() {
        let text = "x".repeat(LINE_MAX);
        assert!(matches!(Lines::new(text.into()).next(), Some(Ok(_))));
        let text = "x\\\n".repeat(LINE_MAX + 1);
        assert_eq!(Lines::new(text.into()).next(), Some(Err(TooLong)));
    }
}
