//! Which `WSGIDaemonProcess` group a process belongs to, told by the socket on which it listens.
//! Pure and total.
//!
//! mod_wsgi's master makes a UNIX socket for each group (`wsgi_start_daemons` and
//! `wsgi_setup_socket`: `mod_wsgi.c` of 4.7.1 to 5.0.2, `wsgi_daemon.c` of 6.1.1), named
//! `PREFIX.PID.GENERATION.ID.sock`, or `PREFIX.PID.uUSER.ID.sock` with `WSGISocketRotation Off`.
//! PID is the master's in its own pid namespace; ID counts the `WSGIDaemonProcess` directives, from
//! one. A daemon first closes the sockets on which the server itself listens, which every other worker
//! keeps (`ap_close_listeners` in `wsgi_start_process`), and then all groups' but its own. Another
//! worker closes all groups' (`wsgi_hook_child_init`), but only some time after it was forked: with
//! one of a group and one of the server's, a process may yet become anything.

use std::collections::HashSet;

use super::proc::{self, UnixSocket};

/// Sockets of daemon groups that are kept of one network namespace.
const LISTENERS_MAX: usize = 4_096;

/// The socket of a group of daemon processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    /// Its inode, as a descriptor's link names it.
    pub(super) inode: u64,
    /// The master's process id, in its own pid namespace.
    pub(super) master: u32,
    /// The group's place in the configuration, from 1.
    pub(super) group: u32,
}

impl Listener {
    fn of(socket: &UnixSocket<'_>) -> Option<Self> {
        if !socket.listens {
            // A connection that was accepted has the listener's name, too.
            return None;
        }
        let name = socket.path.strip_suffix(".sock")?;
        let mut parts = name.rsplitn(4, '.');
        let (group, generation) = (number(parts.next()?)?, parts.next()?);
        let (master, prefix) = (number(parts.next()?)?, parts.next()?);
        // A user's number is printed with a sign, where it is a very large one.
        let user = generation.strip_prefix('u');
        let user = user.map(|user| user.strip_prefix('-').unwrap_or(user));
        number(user.unwrap_or(generation))?;
        (prefix.starts_with('/') && group > 0).then_some(Self {
            inode: socket.inode,
            master,
            group,
        })
    }
}

fn number(digits: &str) -> Option<u32> {
    // `parse` would take a sign.
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| all_digits)
}

/// The groups' sockets in `/proc/PID/net/unix`.
pub(super) fn listeners(text: &str) -> Vec<Listener> {
    proc::unix_sockets(text)
        .filter_map(|socket| Listener::of(&socket))
        .take(LISTENERS_MAX)
        .collect()
}

/// What listens in a network namespace.
#[derive(Debug)]
pub(super) struct Network {
    /// The groups' sockets.
    pub(super) listeners: Vec<Listener>,
    /// TCP sockets, by their inodes.
    pub(super) tcp: HashSet<u64>,
}

impl Network {
    /// Whether a master has groups.
    pub(super) fn has_groups(&self, master: u32) -> bool {
        self.listeners.iter().any(|l| l.master == master)
    }

    /// The group of a process that has these sockets; `None` where they are of none, or of several
    /// groups, or where the server's own are among them: those that the master has, too.
    pub(super) fn group(
        &self,
        master: u32,
        masters: &HashSet<u64>,
        sockets: &HashSet<u64>,
    ) -> Option<u32> {
        let mut of_server = self.tcp.iter().filter(|tcp| masters.contains(tcp));
        if of_server.any(|tcp| sockets.contains(tcp)) {
            return None;
        }
        // Two names for one socket: somebody has put a line into the text by a socket's name.
        let own = |l: &&Listener| l.master == master && sockets.contains(&l.inode);
        let mut groups = self.listeners.iter().filter(own).map(|l| l.group);
        let first = groups.next()?;
        groups.all(|group| group == first).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(inode: u64, flags: &str, path: &str) -> String {
        format!("ffff8e2c0f0e1c00: 00000002 00000000 {flags} 0001 01 {inode} {path}\n")
    }

    fn listening(path: &str) -> Vec<Listener> {
        listeners(&line(7, "00010000", path))
    }

    fn listener(inode: u64, master: u32, group: u32) -> Listener {
        Listener {
            inode,
            master,
            group,
        }
    }

    /// As mod_wsgi 4.9.4 and 6.1.1 name them.
    #[test]
    fn names_of_groups_sockets() {
        for (path, expected) in [
            ("/run/apache2/wsgi.4711.0.2.sock", Some((4711, 2))),
            ("/run/a b/w.1.2.3/wsgi.4711.12.13.sock", Some((4711, 13))),
            ("/run/wsgi.4711.u33.1.sock", Some((4711, 1))),
            ("/run/wsgi.4711.u-2.1.sock", Some((4711, 1))),
            ("/.1.0.1.sock", Some((1, 1))),
            ("/run/wsgi.4711.0.0.sock", None),
            ("/run/wsgi.4711.v33.1.sock", None),
            ("/run/wsgi.4711.u.1.sock", None),
            ("/run/wsgi.4711.0.+1.sock", None),
            ("/run/wsgi.-1.0.1.sock", None),
            ("/run/wsgi.4711.0.99999999999.sock", None),
            ("/run/wsgi.4711.0.1.socket", None),
            ("/4711.0.1.sock", None),
            ("wsgi.4711.0.1.sock", None),
            ("@/run/wsgi.4711.0.1.sock", None),
            ("", None),
        ] {
            let found = listening(path).pop();
            let expected = expected.map(|(master, group)| listener(7, master, group));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn a_connection_is_no_listener() {
        let path = "/run/wsgi.4711.0.2.sock";
        assert_eq!(listeners(&line(7, "00000000", path)), []);
        assert_eq!(listeners(&line(7, "00010000", path)).len(), 1);
    }

    fn group(network: &Network, sockets: &[u64]) -> Option<u32> {
        let masters = HashSet::from([7, 8, 80]);
        network.group(40, &masters, &sockets.iter().copied().collect())
    }

    #[test]
    fn the_group_is_that_of_the_only_socket() {
        let listeners = vec![
            listener(7, 40, 1),
            listener(8, 40, 2),
            listener(9, 41, 3),
            listener(10, 40, 1),
        ];
        let tcp = HashSet::from([80, 8080]);
        let network = Network { listeners, tcp };
        assert!(network.has_groups(40) && !network.has_groups(42));
        let group = |sockets: &[u64]| group(&network, sockets);
        assert_eq!(group(&[3, 8, 4]), Some(2));
        assert_eq!(group(&[7, 10]), Some(1), "two generations of one group");
        assert_eq!(group(&[7, 8]), None, "it has not closed the others yet");
        assert_eq!(group(&[9]), None, "another server's");
        assert_eq!(group(&[3]), None);
        assert_eq!(group(&[]), None);
        assert_eq!(group(&[7, 80]), None, "it has not closed the server's yet");
        assert_eq!(group(&[7, 8080]), Some(1), "the application listens itself");
    }

    /// A name may hold a line's end, and so fake a line about any socket.
    #[test]
    fn a_faked_line_makes_no_group() {
        let text = line(8, "00010000", "/run/wsgi.40.0.2.sock");
        let faked =
            text.clone() + &line(9, "00010000", "/x") + &line(8, "00010000", "/x.40.0.1.sock");
        let group = |text: &str| {
            let listeners = listeners(text);
            let tcp = HashSet::new();
            group(&Network { listeners, tcp }, &[8])
        };
        assert_eq!(group(&text), Some(2));
        assert_eq!(group(&faked), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "[0-9a-f: ./sock\n-]{0,200}|\\PC{0,200}") {
            let _ = listeners(&text);
        }
    }
}
