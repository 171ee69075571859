//! A server's command line. Pure and total.

use std::path::Path;

/// Bytes of a command line that are kept.
const LINE_MAX: usize = 4_096;
/// httpd's options that take a value: `AP_SERVER_BASEARGS` in `include/http_main.h` of 2.4,
/// with `k` and `R`, which some platforms add.
const WITH_VALUE: &str = "CcDdEefkR";

/// The arguments, joined by blanks, at most 4 KiB.
#[must_use]
pub fn line(arguments: &str) -> String {
    let line = arguments.trim_end_matches('\0').replace('\0', " ");
    line[..line.floor_char_boundary(LINE_MAX)].to_owned()
}

/// The options that shape a server's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-d`: where relative paths count from; the last one holds.
    pub root: Option<String>,
    /// `-f`: the main file; the last one holds.
    pub file: Option<String>,
    /// Each `-C`: a directive before the file.
    pub before: Vec<String>,
    /// Each `-c`: a directive after the file.
    pub after: Vec<String>,
    /// Each `-D`; `-X` defines `DEBUG`.
    pub defines: Vec<String>,
}

/// The options of a command line, each argument ended by a NUL.
///
/// The first argument is not looked at: mod_wsgi's `display-name` overwrites it.
#[must_use]
pub fn options(arguments: &str) -> Options {
    let mut options = Options::default();
    let arguments = arguments.strip_suffix('\0').unwrap_or(arguments);
    let mut words = arguments.split('\0').skip(1);
    while let Some(word) = words.next() {
        // Like getopt: options may share a word, and a value may stand in the same word.
        let Some(letters) = word.strip_prefix('-').filter(|l| !l.is_empty()) else {
            break;
        };
        let valued = letters
            .char_indices()
            .find(|(_, letter)| WITH_VALUE.contains(*letter));
        let flags = valued.map_or(letters, |(at, _)| &letters[..at]);
        if flags.contains('X') {
            options.defines.push("DEBUG".to_owned());
        }
        let Some((at, letter)) = valued else {
            continue;
        };
        let value = match &letters[at + 1..] {
            "" => words.next(),
            value => Some(value),
        };
        let Some(value) = value.map(str::to_owned) else {
            break;
        };
        match letter {
            'f' => options.file = Some(value),
            'd' => options.root = Some(value),
            'C' => options.before.push(value),
            'c' => options.after.push(value),
            'D' => options.defines.push(value),
            _ => {}
        }
    }
    options
}

/// The main configuration file, where the command line tells it: `-f`, taken from `-d`.
///
/// A relative `-f` without `-d` counts from a directory that is compiled into httpd, and a
/// relative `-d` from where somebody stood when httpd was started: both stay unknown here;
/// `httpd::files` looks further.
#[must_use]
pub fn config(arguments: &str) -> Option<String> {
    let Options { root, file, .. } = options(arguments);
    let path = Path::new(&root.unwrap_or_default()).join(file?);
    path.is_absolute()
        .then(|| path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_of(arguments: &[&str]) -> Option<String> {
        config(&arguments.join("\0"))
    }

    #[test]
    fn the_configuration_that_the_command_line_names() {
        let httpd = "/usr/sbin/apache2";
        for (arguments, expected) in [
            (&[httpd, "-k", "start"][..], None),
            (&[httpd, "-f", "/a b/x.conf"], Some("/a b/x.conf")),
            (&[httpd, "-f/x.conf", "-DNAME"], Some("/x.conf")),
            (
                &[httpd, "-d", "/srv", "-f", "c/x.conf"],
                Some("/srv/c/x.conf"),
            ),
            (&[httpd, "-f", "x.conf", "-d/srv"], Some("/srv/x.conf")),
            (&[httpd, "-d", "/srv", "-f", "/x.conf"], Some("/x.conf")),
            (&[httpd, "-Xf", "/x.conf"], Some("/x.conf")),
            (&[httpd, "-D", "-f", "-C", "-d", "/no"], None),
            (&[httpd, "-f", "x.conf"], None),
            (&[httpd, "-d", "srv", "-f", "x.conf"], None),
            (&[httpd, "-d", "/srv"], None),
            (&[httpd, "-f"], None),
            (&[httpd, "", "-f", "/x.conf"], None),
            (&["-f", "/x.conf"], None),
            // mod_wsgi's `display-name` overwrites the first argument only.
            (&["(wsgi:demo)   ", "-f", "/x.conf"], Some("/x.conf")),
            (&[], None),
        ] {
            assert_eq!(config_of(arguments).as_deref(), expected, "{arguments:?}");
        }
    }

    #[test]
    fn every_option_that_shapes_a_configuration() {
        let arguments =
            "httpd\0-XDONE\0-D\0TWO\0-C\0Define A\0-cInclude x\0-e\0debug\0-kstart\0-d\0/a\0-d/b\0";
        let words = |words: &[&str]| words.iter().map(|&w| w.to_owned()).collect::<Vec<_>>();
        let expected = Options {
            root: Some("/b".to_owned()),
            file: None,
            before: words(&["Define A"]),
            after: words(&["Include x"]),
            defines: words(&["DEBUG", "ONE", "TWO"]),
        };
        assert_eq!(options(arguments), expected);
    }

    #[test]
    fn a_line_is_bounded_and_printable() {
        assert_eq!(line("httpd\0-k\0start\0"), "httpd -k start");
        assert_eq!(line(""), "");
        assert_eq!(line("\0\0"), "");
        let long = line(&format!(
            "{}ä{}",
            "x".repeat(LINE_MAX - 1),
            "y".repeat(LINE_MAX)
        ));
        assert_eq!(long.len(), LINE_MAX - 1);
    }

    proptest::proptest! {
        /// A process may write anything over its arguments.
        #[test]
        fn any_arguments_are_survived(text in "[-fdD/\0a ]{0,40}|\\PC{0,100}") {
            let _ = (line(&text), config(&text), options(&text));
        }
    }
}
