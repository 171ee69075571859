//! Whole configurations, read from memory.

use super::*;
use crate::httpd::tree::{Tree, problems, read_files, read_text, start};

/// Name, arguments, file's name and line of each directive.
fn seen(reading: &Reading) -> Vec<String> {
    let seen = reading.seen.iter();
    seen.map(|seen| {
        let file = seen.place.file.rsplit('/').next().unwrap_or_default();
        format!(
            "{file}:{} {} {}",
            seen.place.line, seen.name, seen.arguments
        )
    })
    .collect()
}

fn is_on(text: &str) -> Option<bool> {
    let reading = read_text(text);
    assert_eq!(problems(&reading), [""; 0], "{text}");
    reading
        .configuration
        .restrict_signal
        .map(|switch| switch.on)
}

#[test]
fn the_switch_counts_where_its_conditions_hold() {
    for (text, expected) in [
        ("", None),
        ("WSGIRestrictSignal Off", Some(false)),
        ("wsgirestrictsignal ON", Some(true)),
        ("WSGIRestrictSignal \\\n  Off", Some(false)),
        ("WSGIRestrictSignal Off\nWSGIRestrictSignal On", Some(true)),
        ("# \\\nWSGIRestrictSignal Off", None),
        (
            "<IfModule !mod_wsgi.c>\nWSGIRestrictSignal Off\n</IfModule>",
            Some(false),
        ),
        (
            "LoadModule wsgi_module x.so\n<IfModule mod_wsgi.c>\nWSGIRestrictSignal Off\n</IfModule>",
            Some(false),
        ),
        (
            "<IfDefine X>\n<IfDefine Y>\n</IfDefine>\nWSGIRestrictSignal Off\n</IfDefine>",
            None,
        ),
        (
            "Define X\n<ifdefine X>\nWSGIRestrictSignal Off\n</IFDEFINE>",
            Some(false),
        ),
        (
            "Define X\nUnDefine X\n<IfDefine X>\nWSGIRestrictSignal Off\n</IfDefine>",
            None,
        ),
        ("Define S Off\nWSGIRestrictSignal ${s}", Some(false)),
        (
            "<IfVersion < 2.4>\nWSGIRestrictSignal Off\n</IfVersion>",
            None,
        ),
        (
            "<IfVersion >= 2.4>\nWSGIRestrictSignal Off\n</IfVersion>",
            Some(false),
        ),
        (
            "<IfFile httpd.conf>\nWSGIRestrictSignal Off\n</IfFile>",
            Some(false),
        ),
        (
            "<IfFile \"!x\">\n</IfFile>\n<IfFile x>\nWSGIRestrictSignal Off\n</IfFile>",
            None,
        ),
        (
            "<Macro M $x>\nWSGIRestrictSignal $x\n</Macro>\nUse M Off",
            Some(false),
        ),
        (
            "<IfDefine X>\n<Directory /a>\nInclude nowhere\n</Directory>\n</IfDefine>",
            None,
        ),
    ] {
        assert_eq!(is_on(text), expected, "{text}");
    }
}

#[test]
fn files_are_included_in_httpds_order() {
    let reading = read_files(&[
        (
            "/etc/httpd/httpd.conf",
            "Include conf.d/*.conf\nIncludeOptional none/*.conf\nIncludeOptional none.conf\n\
             ServerRoot /srv\nInclude sites\nInclude /opt/*/a?.conf\nWSGIPythonHome /last",
        ),
        ("/etc/httpd/conf.d/b.conf", "WSGIPythonHome /b"),
        ("/etc/httpd/conf.d/a.conf", "\nWSGIPythonHome /a"),
        ("/etc/httpd/conf.d/.hidden.conf", "WSGIPythonHome /hidden"),
        ("/etc/httpd/conf.d/c.conf~", "WSGIPythonHome /backup"),
        ("/srv/sites/z", "WSGIPythonHome /z"),
        ("/srv/sites/m/n", "WSGIPythonHome /n"),
        ("/opt/two/a1.conf", "WSGIPythonHome /a1"),
        ("/opt/one/a2.conf", "WSGIPythonHome /a2"),
        ("/opt/a3.conf", "WSGIPythonHome /a3"),
    ]);
    assert_eq!(problems(&reading), [""; 0]);
    assert_eq!(
        seen(&reading),
        [
            "a.conf:2 WSGIPythonHome /a",
            "b.conf:1 WSGIPythonHome /b",
            "n:1 WSGIPythonHome /n",
            "z:1 WSGIPythonHome /z",
            "a2.conf:1 WSGIPythonHome /a2",
            "a1.conf:1 WSGIPythonHome /a1",
            "httpd.conf:7 WSGIPythonHome /last",
        ]
    );
    assert_eq!(reading.configuration.server_root, "/srv");
}

/// What cannot be read is a problem, with its place; the rest holds.
#[test]
fn what_is_wrong_is_told_and_the_rest_holds() {
    for (text, expected) in [
        (
            "Include nowhere.conf",
            "Include: there is no /etc/httpd/nowhere.conf",
        ),
        (
            "Include no*.conf",
            "Include: nothing in /etc/httpd matches \"no*.conf\"",
        ),
        (
            "Include httpd.conf",
            "reading stopped here: files include one another too deeply, perhaps in a circle",
        ),
        ("<Directory /x>", "<directory> is not closed"),
        ("</Directory>", "</directory> closes nothing"),
        ("<IfDefine X>", "<ifdefine> is not closed"),
        (
            "<IfDefine>\n</IfDefine>",
            "what is in <ifdefine > is left out: it names nothing",
        ),
        (
            "<IfDirective Frob>\n</IfDirective>",
            "what is in <ifdirective Frob> is left out: which module has \"Frob\" is not known",
        ),
        (
            "WSGIRestrictSignal Maybe",
            "WSGIRestrictSignal: it must be On or Off",
        ),
        (
            "WSGIRestrictSignal",
            "WSGIRestrictSignal: it takes one argument",
        ),
        (
            "<VirtualHost *>\nWSGIRestrictSignal Off\n</VirtualHost>",
            "WSGIRestrictSignal: it cannot stand in this section",
        ),
        ("WSGIDaemonProcess", "WSGIDaemonProcess: it names no group"),
        (
            "WSGIDaemonProcess a threads",
            "WSGIDaemonProcess: an option is not of the form name=value",
        ),
        ("WSGIDaemonProcess a threads=x-1", "x"),
        (
            "WSGIImportScript /x application-group=a",
            "WSGIImportScript: it names no process group",
        ),
        (
            "WSGIScriptAlias /x",
            "WSGIScriptAlias: it takes two arguments",
        ),
        ("Use M", "there is no macro \"m\""),
        (
            "<Macro M>\nUse M\n</Macro>\nUse M",
            "the macro \"m\" uses itself",
        ),
        ("<Macro M>", "the macro is not closed"),
        (
            "Alias /x ${NOWHERE}",
            "the variable ${NOWHERE} is defined nowhere",
        ),
        (
            "<WSGIInterpreterOptions user=x>\n</WSGIInterpreterOptions>",
            "<WSGIInterpreterOptions: \"user=x\" selects nothing",
        ),
    ] {
        let reading = read_text(&format!("{text}\nWSGIRestrictSignal Off"));
        if expected == "x" {
            assert_eq!(problems(&reading), [""; 0], "{text}");
            continue;
        }
        assert!(
            problems(&reading).contains(&expected),
            "{text}: {:?}",
            problems(&reading)
        );
        let skipped = matches!(text, "<IfDefine X>" | "<Macro M>" | "Include httpd.conf");
        let inside = text == "<Directory /x>";
        if !skipped && !inside {
            let switch = reading.configuration.restrict_signal;
            assert_eq!(switch.map(|s| s.on), Some(false), "{text}");
        }
    }
}

#[test]
fn directives_of_the_command_line() {
    let start = Start {
        before: vec!["Define X Off".to_owned(), "ServerRoot /other".to_owned()],
        after: vec!["WSGIRestrictSignal ${X}".to_owned()],
        ..start()
    };
    let files = [("/other/httpd.conf", "WSGIRestrictSignal On")];
    let reading = read(&mut Tree::new(&files), &start);
    let switch = reading.configuration.restrict_signal.unwrap();
    assert_eq!(
        (switch.on, switch.place.to_string().as_str()),
        (false, "-c:1")
    );
    assert_eq!(reading.configuration.main_file, "/other/httpd.conf");
}

/// A section that a macro opens may be closed by another.
#[test]
fn macros_may_open_what_others_close() {
    let reading = read_text(
        "<Macro Open $name>\n# no line\n<VirtualHost *:80>\nServerName $name\n</Macro>\n\
         <Macro Close>\nWSGIScriptAlias / /s/a\n</VirtualHost>\n</Macro>\n\
         Use Open b.org\nUse Close\nWSGIPythonHome /x",
    );
    assert_eq!(problems(&reading), [""; 0]);
    let script = &reading.configuration.scripts[0];
    assert_eq!(script.application_group.as_deref(), Some("b.org|"));
    let expected = "macro 'close' (defined on line 6 of \"/etc/httpd/httpd.conf\") used on line 11 \
                    of \"/etc/httpd/httpd.conf\":1";
    assert_eq!(script.place.to_string(), expected);
    assert_eq!(
        seen(&reading).last().map(String::as_str),
        Some("httpd.conf:12 WSGIPythonHome /x")
    );
}
