//! A file's bytes as the text that Python would read. Pure.

/// What Python reads as source: UTF-8, or what the first two lines say (PEP 263).
///
/// The names that matter are ASCII, so that every other encoding is read byte by byte, as Latin-1:
/// comments and strings may come out wrong, names and lines do not.
pub(super) fn text(bytes: &[u8]) -> Result<String, &'static str> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.contains(&0) {
        return Err("it has NUL bytes, which Python refuses");
    }
    match str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) if names_encoding(bytes) => Ok(bytes.iter().map(|&byte| char::from(byte)).collect()),
        Err(_) => Err("it is not UTF-8 and names no other encoding, which Python refuses"),
    }
}

/// Whether one of the first two lines is a comment with `coding:` or `coding=`.
fn names_encoding(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|&byte| byte == b'\n' || byte == b'\r').take(3);
    lines.any(|line| {
        let line = line.trim_ascii_start();
        let is_comment = line.first() == Some(&b'#');
        is_comment && (line.windows(7)).any(|part| part == b"coding:" || part == b"coding=")
    })
}

/// The lines of a text, by the offsets of their ends.
pub(super) struct Lines(Vec<u32>);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|&(at, &byte)| {
            byte == b'\n' || (byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'))
        });
        Self(
            ends.map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX))
                .collect(),
        )
    }

    /// The line of an offset, from 1.
    pub(super) fn line(&self, offset: u32) -> u32 {
        let before = self.0.partition_point(|&end| end < offset);
        u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
    }
}
