//! Whole configurations, read from memory.

use super::*;
use crate::httpd::{ErrorLog, tree::Tree};

fn start() -> Start {
    Start {
        root: "/etc/httpd".to_owned(),
        file: "httpd.conf".to_owned(),
        version: Version::parse("2.4.62"),
        modules: vec!["core_module".to_owned()],
        error_log: Some("logs/error_log".to_owned()),
        ..Start::default()
    }
}

fn read_files(files: &[(&str, &str)]) -> Reading {
    read(&mut Tree::new(files), &start())
}

fn read_text(text: &str) -> Reading {
    read_files(&[("/etc/httpd/httpd.conf", text)])
}

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

/// Problems without their places.
fn problems(reading: &Reading) -> Vec<&str> {
    let problems = reading.configuration.problems.iter();
    problems.map(|problem| problem.what.as_str()).collect()
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
            "files include one another too deeply; do they in a circle?",
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
        let skipped = matches!(text, "<IfDefine X>" | "<Macro M>");
        let inside = text == "<Directory /x>";
        if !skipped && !inside {
            let switch = reading.configuration.restrict_signal;
            assert_eq!(switch.map(|s| s.on), Some(false), "{text}");
        }
    }
}

#[test]
fn the_groups_of_a_configuration() {
    let reading = read_text(
        "Listen 8000\nListen 127.0.0.1:8001\nServerName main.org\nErrorLog logs/main\n\
         WSGIDaemonProcess one display-name=%{GROUP} threads=0 processes=3 \\\n  python-home='/a b'\n\
         WSGIDaemonProcess two\n\
         WSGIImportScript /srv/i.py process-group=one application-group=%{GLOBAL}\n\
         <WSGIInterpreterOptions process-group=one \"application-group=%{GLOBAL}\">\n\
         WSGIRestrictSignal Off\n</WSGIInterpreterOptions>\n\
         <WSGIInterpreterOptions>\n</WSGIInterpreterOptions>\n\
         <VirtualHost *:80>\nErrorLog \"|tee\"\nWSGIDaemonProcess three\n</VirtualHost>\n",
    );
    assert_eq!(problems(&reading), [""; 0]);
    let configuration = reading.configuration;
    assert_eq!(configuration.port, Some(8000));
    let daemons: Vec<_> = (configuration.daemons.iter())
        .map(|d| {
            (
                d.name.as_str(),
                d.threads,
                d.processes,
                d.display_name.as_deref(),
                d.place.line,
            )
        })
        .collect();
    let expected = [
        ("one", 0, 3, Some("%{GROUP}"), 6),
        ("two", 15, 1, None, 7),
        ("three", 15, 1, None, 16),
    ];
    assert_eq!(daemons, expected);
    assert_eq!(configuration.import_scripts[0].application_group, "");
    assert_eq!(configuration.interpreter_options.len(), 1);
    assert!(!configuration.restriction(Some("one"), Some("")).on);
    assert!(configuration.restriction(Some("one"), Some("other")).on);
    let logs = [
        ErrorLog::File("/etc/httpd/logs/main".to_owned()),
        ErrorLog::Unreadable("|tee".to_owned()),
    ];
    assert_eq!(configuration.error_logs, logs);
}

/// Process and application group of the script in a text, `?` where only a request tells.
fn groups(text: &str) -> String {
    let reading = read_text(text);
    assert_eq!(problems(&reading), [""; 0], "{text}");
    let scripts = reading.configuration.scripts.iter().map(|script| {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "?".to_owned());
        format!(
            "{} {}",
            name(&script.process_group),
            name(&script.application_group)
        )
    });
    scripts.collect::<Vec<_>>().join(", ")
}

#[test]
fn scripts_run_where_mod_wsgi_runs_them() {
    let host = "Listen 80\nServerName a.org\n";
    for (text, expected) in [
        ("WSGIScriptAlias / /s/a.wsgi", " a.org|"),
        ("WSGIScriptAlias /app /s/a.wsgi", " a.org|/app"),
        ("WSGIScriptAlias /app /s/dir/", " ?"),
        ("WSGIScriptAliasMatch ^/(.*) /s/$1", " ?"),
        (
            "WSGIApplicationGroup %{GLOBAL}\nWSGIScriptAliasMatch ^/(.*) /s/$1",
            " ",
        ),
        (
            "WSGIScriptAlias / /s/a.wsgi process-group=d application-group=%{GLOBAL}",
            "d ",
        ),
        (
            "WSGIHandlerScript h /s/a.wsgi process-group=d application-group=%{SERVER}",
            "d a.org",
        ),
        (
            "WSGIProcessGroup d\nWSGIApplicationGroup x\nWSGIScriptAlias / /s/a.wsgi",
            "d x",
        ),
        (
            "WSGIProcessGroup %{GLOBAL}\nWSGIApplicationGroup %{ENV:X}\nWSGIScriptAlias / /s/a",
            " ?",
        ),
        (
            "WSGIApplicationGroup %{HOST}\nWSGIScriptAlias / /s/a.wsgi",
            " ?",
        ),
        // A virtual host's own words come before the main server's, sections before both.
        (
            "WSGIProcessGroup d\n<VirtualHost *:80>\nServerName b.org\nWSGIApplicationGroup %{SERVER}\n\
             WSGIScriptAlias / /s/a\n</VirtualHost>\nWSGIScriptAlias / /s/a",
            "d b.org, d a.org|",
        ),
        (
            "<VirtualHost *:8080>\nWSGIScriptAlias /x /s/a\n</VirtualHost>",
            " a.org:8080|/x",
        ),
        (
            "<VirtualHost 10.0.0.1:80>\nWSGIScriptAlias /x /s/a\n</VirtualHost>",
            " ?",
        ),
        (
            "WSGIScriptAlias / /s/a\n<Directory /s>\nWSGIProcessGroup d\n</Directory>\n\
             <Directory />\nWSGIProcessGroup no\nWSGIApplicationGroup root\n</Directory>",
            "d root",
        ),
        (
            "WSGIScriptAlias / /s/a\n<Location />\nWSGIProcessGroup l\n</Location>\n\
             <Directory /s>\n<Files a>\nWSGIProcessGroup f\nWSGIApplicationGroup f\n</Files>\n</Directory>",
            "l f",
        ),
        (
            "WSGIScriptAlias / /s/a\n<Location /admin>\nWSGIApplicationGroup other\n</Location>",
            " ?",
        ),
        (
            "WSGIScriptAlias / /s/a\n<LocationMatch ^/a>\nWSGIProcessGroup d\n</LocationMatch>\n\
             <If \"true\">\nWSGIProcessGroup d\n</If>\nWSGIProcessGroup d",
            "d a.org|",
        ),
        (
            "<VirtualHost *>\n<Directory />\nWSGIProcessGroup d\n</Directory>\n</VirtualHost>\n\
             WSGIScriptAlias / /s/a",
            " a.org|",
        ),
        ("WSGIDispatchScript /s/d\nWSGIScriptAlias / /s/a", "? ?"),
        (
            "<Proxy *>\nWSGIProcessGroup p\n</Proxy>\nWSGIScriptAlias / /s/a",
            " a.org|",
        ),
    ] {
        assert_eq!(groups(&format!("{host}{text}\n")), expected, "{text}");
    }
    assert_eq!(groups("WSGIScriptAlias / /s/a"), " ?");
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
