//! The main server and its virtual hosts, as far as interpreters are named after them.

use super::{ErrorLog, directives::Scoped, lines};

/// A server.
#[derive(Debug, Default)]
pub(super) struct Server {
    /// `ServerName`'s host and port.
    pub(super) name: Option<String>,
    pub(super) name_port: Option<u16>,
    /// Ports of a virtual host's addresses; none where it answers on each.
    pub(super) ports: Vec<u16>,
    /// One of its addresses is every address: it is called like the main server if it has no name.
    pub(super) is_anywhere: bool,
    pub(super) is_canonical: Option<bool>,
    pub(super) process_group: Option<String>,
    pub(super) application_group: Option<String>,
    pub(super) is_dispatched: bool,
    pub(super) error_log: Option<ErrorLog>,
}

impl Server {
    /// A virtual host with these addresses.
    pub(super) fn at(addresses: &str) -> Self {
        let mut server = Self::default();
        let mut is_any = false;
        for address in lines::words(addresses) {
            let (host, port) = split(&address);
            server.is_anywhere |= matches!(host, "*" | "_default_" | "0.0.0.0" | "[::]");
            match port.parse() {
                Ok(port) => server.ports.push(port),
                Err(_) => is_any = true,
            }
        }
        if is_any {
            server.ports.clear();
        }
        server
    }

    /// `ServerName [SCHEME://]HOST[:PORT]`.
    pub(super) fn set_name(&mut self, name: &str) {
        let name = name.split_once("://").map_or(name, |(_, name)| name);
        let (host, port) = split(name);
        self.name = Some(host.to_owned());
        self.name_port = port.parse().ok().filter(|port| *port != 0);
    }

    pub(super) fn set_groups(&mut self, scoped: Scoped) {
        self.process_group = scoped.process_group.or(self.process_group.take());
        self.application_group = scoped.application_group.or(self.application_group.take());
        self.is_dispatched |= scoped.is_dispatched;
    }
}

/// Host and port; an address of IP version 6 has brackets.
fn split(address: &str) -> (&str, &str) {
    match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (address, ""),
    }
}

/// `Listen [ADDRESS:]PORT [PROTOCOL]`.
pub(super) fn listen(arguments: &str) -> Option<u16> {
    let mut rest = arguments;
    let address = lines::word(&mut rest);
    let (_, port) = split(&address);
    if port.is_empty() { &address } else { port }.parse().ok()
}

/// `ErrorLog`: a path stays as it is written.
pub(super) fn error_log(arguments: &str) -> Result<ErrorLog, String> {
    let words = lines::words(arguments);
    let log = match &words[..] {
        [path] | [path, _] if path.is_empty() => return Err("it names nothing".to_owned()),
        [file, path] if file == "file" => path,
        [provider, _] => return Ok(ErrorLog::Unreadable(provider.clone())),
        [path] => path,
        _ => return Err("it takes one or two arguments".to_owned()),
    };
    let is_provider = log.starts_with("syslog") || log == "journald" || log == "systemd";
    let is_device = log.starts_with("/dev/") || log.starts_with("/proc/");
    Ok(if log.starts_with('|') || is_provider || is_device {
        ErrorLog::Unreadable(log.clone())
    } else {
        ErrorLog::File(log.clone())
    })
}

/// What is behind a host's name in an interpreter's; `None` where only a request tells.
///
/// `ap_get_server_port` of httpd 2.4: with `UseCanonicalName Off` the port is the request's, from
/// its `Host`, and else `ServerName`'s. A client that asks the server itself names the port that
/// it asks, unless that is the usual one. mod_wsgi leaves 80 and 443 out.
pub(super) fn port_suffix(server: &Server, main: &Server, listening: &[u16]) -> Option<String> {
    let suffix = |port: u16| match port {
        80 | 443 => String::new(),
        port => format!(":{port}"),
    };
    let is_canonical = server
        .is_canonical
        .or(main.is_canonical)
        .unwrap_or_default();
    let own = server.name_port.map(suffix);
    if is_canonical && own.is_some() {
        return own;
    }
    let ports = if server.ports.is_empty() {
        listening
    } else {
        &server.ports
    };
    let mut suffixes = ports.iter().map(|port| match suffix(*port) {
        usual if usual.is_empty() => own.clone().unwrap_or_default(),
        other => other,
    });
    let Some(first) = suffixes.next() else {
        return own;
    };
    suffixes.all(|other| other == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_logs() {
        for (arguments, expected) in [
            ("80", Some(80)),
            ("127.0.0.1:8080", Some(8080)),
            ("[::1]:443 https", Some(443)),
            ("[::1]", None),
            ("x", None),
        ] {
            assert_eq!(listen(arguments), expected, "{arguments}");
        }
        let file = |path: &str| Ok(ErrorLog::File(path.to_owned()));
        let other = |what: &str| Ok(ErrorLog::Unreadable(what.to_owned()));
        assert_eq!(error_log("\"logs/my log\""), file("logs/my log"));
        assert_eq!(error_log("file x"), file("x"));
        assert_eq!(error_log("\"|/bin/tee x\""), other("|/bin/tee x"));
        assert_eq!(error_log("syslog:local1"), other("syslog:local1"));
        assert_eq!(error_log("syslog local1"), other("syslog"));
        assert_eq!(error_log("/dev/stderr"), other("/dev/stderr"));
        assert!(error_log("").is_err());
    }

    #[test]
    fn names_of_interpreters_have_the_port_that_clients_name() {
        let named = |name: &str, addresses: &str| {
            let mut server = Server::at(addresses);
            server.set_name(name);
            server
        };
        let main = Server::default();
        for (name, addresses, listening, expected) in [
            ("a.org", "*:80", &[80][..], Some("")),
            ("a.org", "*:8080", &[80, 8080], Some(":8080")),
            ("a.org", "*", &[80, 443], Some("")),
            ("a.org", "*", &[80, 8080], None),
            ("a.org", "", &[8000], Some(":8000")),
            ("https://a.org:8443", "*:80", &[80], Some(":8443")),
            ("a.org:443", "*:8080", &[], Some(":8080")),
            ("a.org", "", &[], None),
        ] {
            let suffix = port_suffix(&named(name, addresses), &main, listening);
            assert_eq!(
                suffix.as_deref(),
                expected,
                "{name} {addresses} {listening:?}"
            );
        }
    }
}
