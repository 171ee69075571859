//! What to do about code that has not run: the same tables, by the file alone. Pure.

use super::{KNOWLEDGE, Library, WAY, capitalised, has};

/// Code that could take signals.
#[derive(Clone, Copy, Debug)]
pub struct Code<'a> {
    /// Its file.
    pub file: &'a str,
    /// It is a library, and no Python.
    pub is_native: bool,
    /// Names of the signals that it could take; all, where there are none.
    pub signals: &'a [String],
}

/// The sentence for code in a file: `advice` is its rule's. No server, so no version, is known.
#[must_use]
pub fn of_code(advice: &str, code: &Code<'_>) -> String {
    let general =
        |way: &&super::Way| way.roles.is_empty() && way.since.is_none() && way.before.is_none();
    let way = KNOWLEDGE.ways.iter().find(general);
    let way = way.map_or("leave signals to the server", |way| &way.clause);
    match library(code) {
        Some(library) if advice.contains(WAY) => {
            format!("{}; {way}.", capitalised(&library.clause))
        }
        Some(library) => format!("{}.", capitalised(&library.clause)),
        None => advice.replace(WAY, way),
    }
}

fn library(code: &Code<'_>) -> Option<&'static Library> {
    let concerns = |row: &&Library| {
        code.signals.is_empty() || code.signals.iter().any(|signal| has(&row.signals, signal))
    };
    let is_it = |row: &&Library| {
        let patterns = if code.is_native {
            &row.modules
        } else {
            &row.files
        };
        patterns.iter().any(|pattern| pattern.fits_path(code.file))
    };
    KNOWLEDGE.libraries.iter().filter(concerns).find(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_known_by_its_file() {
        let advice = "Do not; {way}.";
        let of = |file, is_native| {
            let signals = &[];
            of_code(
                advice,
                &Code {
                    file,
                    is_native,
                    signals,
                },
            )
        };
        let curl = of("/v/pycurl.libs/libcurl-33.so.4.8.0", true);
        assert!(curl.contains("NOSIGNAL"), "{curl}");
        let other = of("/v/x/other.so", true);
        assert!(other.starts_with("Do not; for clean-up"), "{other}");
        assert_eq!(of("/v/libcurl-33.so", false), other);
        assert!(!of("/v/libjvm.so", true).contains('{'));
    }
}
