//! Groups and the scripts in them, from whole configurations.

use crate::httpd::{
    ErrorLog,
    tree::{problems, read_text},
};

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

/// A script both of whose groups are named where it is mounted is imported at the start.
#[test]
fn a_script_with_both_groups_is_imported_at_the_start() {
    let reading = read_text(
        "WSGIDaemonProcess one\n\
         WSGIScriptAlias /a /srv/a.wsgi process-group=one application-group=%{GLOBAL}\n\
         WSGIScriptAlias /b /srv/b.wsgi process-group=one\n\
         WSGIScriptAlias /c /srv/c.wsgi process-group=%{GLOBAL} application-group=%{RESOURCE}\n\
         WSGIScriptAliasMatch ^/d/(.*) /srv/$1.wsgi process-group=one application-group=d\n",
    );
    let imported = reading.configuration.import_scripts.iter();
    let imported: Vec<_> = imported
        .map(|i| {
            (
                i.file.as_str(),
                i.process_group.as_str(),
                i.application_group.as_str(),
            )
        })
        .collect();
    assert_eq!(imported, [("/srv/a.wsgi", "one", "")]);
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
    let host = "Listen 80\nServerName a.org\nWSGIDaemonProcess d\n";
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
            "d b.org, d ?",
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
            "? a.org|",
        ),
        (
            "WSGIScriptAlias /x /s/x\nWSGIScriptAlias / /s/a\nWSGIScriptAlias /y /s/y\n\
             <Location /x>\nWSGIProcessGroup x\n</Location>",
            "x a.org|/x,  a.org|,  a.org|/y",
        ),
        // Each virtual host has the main server's scripts.
        (
            "WSGIScriptAlias /x /s/x\n<VirtualHost *:80>\nServerName b.org\n\
             WSGIApplicationGroup b\n</VirtualHost>",
            " ?",
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
