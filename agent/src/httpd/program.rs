//! What a httpd program says of itself: where its configuration is, and its version.
//!
//! `httpd -V` prints ` -D HTTPD_ROOT="…"` and the like (`show_compile_settings` in
//! `server/main.c` of 2.4); each is one literal in the file. Packagers change what they define,
//! never these lines.

use super::version::Version;

/// Bytes of a literal's value.
const VALUE_MAX: usize = 4_096;
/// Bytes that two pieces of a file have to share so that nothing is cut.
pub const OVERLAP: usize = VALUE_MAX + 64;

/// What is compiled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// `HTTPD_ROOT`.
    pub root: Option<String>,
    /// `SERVER_CONFIG_FILE`.
    pub file: Option<String>,
    /// `DEFAULT_ERRORLOG`.
    pub error_log: Option<String>,
    /// From the server's banner.
    pub version: Option<Version>,
}

impl Defaults {
    /// Learns from a piece of the program; what is known stays.
    pub fn learn(&mut self, bytes: &[u8]) {
        for (slot, head) in [
            (&mut self.root, &b" -D HTTPD_ROOT=\""[..]),
            (&mut self.file, b" -D SERVER_CONFIG_FILE=\""),
            (&mut self.error_log, b" -D DEFAULT_ERRORLOG=\""),
        ] {
            if slot.is_none() {
                *slot = after(bytes, head).find_map(|rest| text(rest, b'"'));
            }
        }
        if self.version.is_none() {
            let banners = after(bytes, b"Apache/");
            self.version = banners
                .filter_map(|rest| text(rest, 0))
                .find_map(|text| Version::parse(text.split(' ').next()?));
        }
    }

    /// Whether nothing is left to learn.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.root.is_some()
            && self.file.is_some()
            && self.error_log.is_some()
            && self.version.is_some()
    }
}

/// What stands behind each place of some bytes.
fn after<'b>(bytes: &'b [u8], head: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
    let first = head.first().copied().unwrap_or_default();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            at += bytes.get(at..)?.iter().position(|byte| *byte == first)? + 1;
            if let Some(rest) = bytes[at - 1..].strip_prefix(head) {
                return Some(rest);
            }
        }
    })
}

/// The text until this byte.
fn text(bytes: &[u8], end: u8) -> Option<String> {
    let bytes = &bytes[..bytes.len().min(VALUE_MAX)];
    let length = bytes.iter().position(|byte| *byte == end)?;
    let text = str::from_utf8(&bytes[..length]).ok()?;
    (!text.contains('\0')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_says_where_its_configuration_is() {
        let bytes = b"x\0 -D HTTPD_ROOT=\"/etc/apache2\"\0 -D SERVER_CONFIG_FILE=\"apache2.conf\"\0Apache/2\0\
            Apache/2.4\0Apache/2.4.71 (Debian)\0Apache/9.9.9\0 -D DEFAULT_ERRORLOG=\"logs/error_log\"\0";
        let mut defaults = Defaults::default();
        defaults.learn(&bytes[..20]);
        assert_eq!(defaults, Defaults::default());
        defaults.learn(bytes);
        assert_eq!(defaults.root.as_deref(), Some("/etc/apache2"));
        assert_eq!(defaults.file.as_deref(), Some("apache2.conf"));
        assert_eq!(defaults.error_log.as_deref(), Some("logs/error_log"));
        assert_eq!(defaults.version, Version::parse("2.4.71"));
        assert!(defaults.is_whole());
    }

    proptest::proptest! {
        #[test]
        fn any_program_is_survived(bytes in "( -D HTTPD_ROOT=\"|Apache/|\0|[0-9.\"a]){0,30}") {
            Defaults::default().learn(bytes.as_bytes());
        }
    }
}
