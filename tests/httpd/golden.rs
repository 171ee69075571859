//! The servers whose expected reading is in the repository, moved to a directory of their own.

use std::{fs, os::unix::fs::symlink};

use crate::oracle::{Server, repository};

/// Options of mod_wsgi 6 that older ones refuse.
const LATER: [&str; 5] = [
    "interrupt-timeout=",
    "header-buffer-size=",
    "response-buffer-size=",
    "response-socket-timeout=",
    "response-flush-delay=",
];

/// What httpd wants to be there.
const DIRECTORIES: [&str; 6] = [
    "srv/express/htdocs",
    "var/www/html",
    "var/run/apache2",
    "var/log/apache2",
    "etc/httpd/logs",
    "etc/traps/logs",
];

#[test]
fn golden_servers_are_read_as_httpd_reads_them() {
    for name in ["debian", "fedora", "express", "traps"] {
        let Some(mut server) = Server::new("golden_servers_are_read_as_httpd_reads_them") else {
            return;
        };
        let text = repository(&format!("agent/src/httpd/golden/{name}.txt"));
        let text = fs::read_to_string(text).unwrap();
        let at = server.dir().display().to_string();
        let modules = server.modules().display().to_string();
        let own = |text: &str| {
            let text = ["/etc/apache2", "/etc/httpd", "/etc/traps", "/srv", "/var"]
                .iter()
                .fold(text.to_owned(), |text, head| {
                    text.replace(head, &format!("{at}{head}"))
                });
            text.replace("/opt/mod_wsgi/", &format!("{modules}/"))
                .replace("\"/srv", &format!("\"{at}/srv"))
                .replace("User apache", "User www-data")
                .replace("Group apache", "Group www-data")
        };
        let mut parts = text.split("\n--- ");
        let (mut root, mut file) = ("/etc/apache2", "apache2.conf");
        for line in parts.next().unwrap().lines() {
            match line.split_once(' ') {
                Some(("argument", word)) => server.arguments.push(own(word)),
                Some(("environment", word)) => {
                    let (name, value) = word.split_once('=').unwrap();
                    server.environment.push((name.to_owned(), own(value)));
                }
                Some(("root", path)) => root = path,
                Some(("file", path)) => file = path,
                _ => {}
            }
        }
        if !server.arguments.iter().any(|argument| argument == "-f") {
            let root = own(root);
            server
                .arguments
                .extend(["-d", &root, "-f", file].map(str::to_owned));
        }
        for part in parts {
            let (path, text) = part.split_once('\n').unwrap();
            let text: String = own(text)
                .lines()
                .filter(|line| {
                    !LATER
                        .iter()
                        .any(|later| line.trim_start().starts_with(later))
                })
                .map(|line| format!("{line}\n"))
                .collect();
            server.write(own(path).as_ref(), &text);
        }
        for name in DIRECTORIES {
            fs::create_dir_all(server.dir().join(name)).unwrap();
        }
        for root in ["etc/httpd", "etc/traps"] {
            symlink(server.modules(), server.dir().join(root).join("modules")).unwrap();
        }
        let read = server.compare(name).unwrap();
        assert!(read.seen.len() > 4, "{name}: {:?}", read.seen);
    }
}
