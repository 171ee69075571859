//! A server that runs: what is read of its process, and whether its interpreters are named so.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::{Duration, SystemTime},
};

use sigblame::httpd::{ErrorLog, files};
use sigblame_tests::{
    httpd::{Builder, Httpd, Installation, Mpm, Place},
    skip,
};

/// Tells where it runs.
const APPLICATION: &str = "
def application(environ, start_response):
    names = [environ['mod_wsgi.process_group'], environ['mod_wsgi.application_group']]
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return ['\\n'.join(names).encode()]
";

fn builder(test: &str) -> Option<Builder> {
    if Installation::find().is_none() {
        skip(test, "no httpd with mod_wsgi is installed");
        return None;
    }
    Some(Builder::new(Mpm::Event).unwrap())
}

/// Asks as a browser does, with the port in `Host`.
fn ask(server: &Httpd, host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let port = server.port();
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.rsplit("\r\n\r\n").next().unwrap().to_owned()
}

/// The interpreter of each script is named as the reader says.
#[test]
fn scripts_run_in_the_interpreters_that_are_read() {
    let Some(mut builder) = builder("scripts_run_in_the_interpreters_that_are_read") else {
        return;
    };
    let app = builder.app_dir().display().to_string();
    let scripts = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    for name in scripts {
        builder = builder.file(&format!("{name}.wsgi"), APPLICATION).unwrap();
    }
    let server = builder
        .daemon("one", "threads=2")
        .daemon("two", "threads=2 display-name=%{GROUP}")
        .script("/b", "b.wsgi", &Place::daemon("one", "%{GLOBAL}"))
        .directive(format!(
            "<Directory />\nRequire all granted\n</Directory>\n\
             WSGIProcessGroup one\n\
             WSGIScriptAlias /a/b {app}/a.wsgi\n\
             WSGIScriptAlias /c {app}/c.wsgi application-group=own\n\
             WSGIScriptAlias /d {app}/d.wsgi process-group=%{{GLOBAL}}\n\
             WSGIScriptAlias /e {app}/e.wsgi\n\
             <Directory {app}>\n<Files e.wsgi>\nWSGIApplicationGroup %{{SERVER}}\n</Files>\n</Directory>\n\
             <Location /e>\nWSGIProcessGroup two\n</Location>\n\
             <Location /f/sub>\nWSGIApplicationGroup sub\n</Location>\n\
             WSGIScriptAlias /f {app}/f.wsgi\n\
             WSGIScriptAliasMatch ^/g([0-9]) {app}/g.wsgi\n\
             WSGIScriptAlias /h {app}/h.wsgi application-group=%{{RESOURCE}} process-group=two\n\
             WSGIScriptAlias / {app}/i.wsgi"
        ))
        .start()
        .unwrap();
    let read = files::read(Path::new("/proc"), server.pid()).unwrap();
    assert_eq!(read.configuration.problems, []);
    let read: BTreeMap<String, _> = (read.configuration.scripts.into_iter())
        .map(|script| (script.file.clone(), script))
        .collect();
    for (name, path) in [
        ("a", "/a/b/x"),
        ("b", "/b"),
        ("c", "/c/"),
        ("d", "/d"),
        ("e", "/e/x"),
        ("f", "/f"),
        ("f", "/f/sub"),
        ("g", "/g1"),
        ("h", "/h/x"),
        ("i", "/"),
        ("i", "/any"),
    ] {
        let script = &read[&format!("{app}/{name}.wsgi")];
        let real = ask(&server, "localhost", path);
        let (process, application) = real.split_once('\n').unwrap_or((&real, ""));
        // Sections deeper than a mount, and anything behind an expression, are a request's.
        for (read, real, unknown) in [
            (&script.process_group, process, &["g"][..]),
            (&script.application_group, application, &["f", "g"]),
        ] {
            match read.as_deref() {
                Some(read) => assert_eq!(read, real, "{path}"),
                None => assert!(unknown.contains(&name), "{path} is {real}"),
            }
        }
    }
}

/// What is said of a running server: its own options, and when its files were changed.
#[test]
fn a_running_server_is_read_from_its_process() {
    let Some(builder) = builder("a_running_server_is_read_from_its_process") else {
        return;
    };
    let server = builder
        .env("SWITCH", "Off")
        .directive("WSGIRestrictSignal ${SWITCH}")
        .daemon("one", "threads=0")
        .start()
        .unwrap();
    let config = server.dir().join("httpd.conf").display().to_string();
    let read = || files::read(Path::new("/proc"), server.pid()).unwrap();
    let first = read();
    let configuration = &first.configuration;
    assert_eq!(configuration.main_file, config);
    assert_eq!(configuration.port, Some(server.port()));
    let restriction = configuration.restriction(Some("one"), Some(""));
    assert!(!restriction.on && restriction.place.unwrap().to_string().starts_with(&config));
    assert_eq!(configuration.daemon("one").unwrap().threads, 0);
    let log = server.dir().join("error.log").display().to_string();
    assert_eq!(configuration.error_logs, [ErrorLog::File(log)]);
    assert_eq!((first.files, first.seen.len()), (1, 4));
    assert!(first.newest.unwrap() < SystemTime::now());

    let later = SystemTime::now() + Duration::from_secs(100);
    let file = fs::File::options().append(true).open(&config).unwrap();
    file.set_modified(later).unwrap();
    assert_eq!(read().newest, Some(later));
    fs::remove_file(&config).unwrap();
    let gone = files::read(Path::new("/proc"), server.pid()).unwrap_err();
    assert!(gone.to_string().contains(&config), "{gone}");
}
