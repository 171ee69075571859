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

/// The main configuration file, where the command line tells it: `-f`, taken from `-d`.
///
/// A relative `-f` without `-d` counts from a directory that is compiled into httpd, and a
/// relative `-d` from where somebody stood when httpd was started: both stay unknown.
#[must_use]
pub fn config(arguments: &str) -> Option<String> {
    let (mut file, mut root) = (None, None);
    let mut words = arguments.split('\0').skip(1);
    while let Some(word) = words.next() {
        // Like getopt: options may share a word, and a value may stand in the same word.
        let Some(letters) = word.strip_prefix('-').filter(|l| !l.is_empty()) else {
            break;
        };
        let valued = letters
            .char_indices()
            .find(|(_, letter)| WITH_VALUE.contains(*letter));
        let Some((at, letter)) = valued else {
            continue;
        };
        let value = match &letters[at + 1..] {
            "" => words.next()?,
            value => value,
        };
        match letter {
            'f' => file = Some(value),
            'd' => root = Some(value),
            _ => {}
        }
    }
    let path = Path::new(root.unwrap_or_default()).join(file?);
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
            let _ = (line(&text), config(&text));
        }
    }
}
