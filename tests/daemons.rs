//! Daemons of real servers: a look at one tells its group, by its socket, whatever its title is.
#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the right end, also in what several tests share"
)]

use std::{collections::BTreeMap, time::Duration};

use sigblame::process::scan::{Look, Scanner};
use sigblame_tests::{
    httpd::{Builder, Httpd, Installation, Mpm, Place, Python},
    skip, wait_for,
};

const APP: &str = "import os\n\
    def application(environ, start_response):\n    \
    start_response('200 OK', [('Content-Type', 'text/plain')])\n    \
    return [str(os.getpid()).encode()]\n";

/// The groups in the order of the configuration; embedded mode is none of them.
const GROUPS: [(&str, &str); 3] = [
    ("billing", "display-name=%{GROUP} processes=2"),
    ("reports", ""),
    (
        "mail",
        "display-name=a-title-that-is-much-longer-than-the-first-argument-was",
    ),
];

fn builder(installation: Installation) -> Builder {
    let builder = Builder::on(installation, Mpm::Event).unwrap();
    let builder = builder.file("app.wsgi", APP).unwrap().script(
        "/embedded",
        "app.wsgi",
        &Place::embedded("%{GLOBAL}"),
    );
    GROUPS.iter().fold(builder, |builder, (group, options)| {
        let place = Place::daemon(group, "%{GLOBAL}");
        builder
            .daemon(group, &format!("threads=1 {options}"))
            .script(&format!("/{group}"), "app.wsgi", &place)
    })
}

/// Each answer's process has the group that answered, and no other process has one.
fn check(server: &Httpd) {
    let ask = |path: &str| -> u32 {
        let answer = server.get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", server.error_log());
        answer.body.parse().unwrap()
    };
    let mut expected = BTreeMap::from([(ask("/embedded"), None)]);
    for (place, (group, _)) in (1..).zip(GROUPS) {
        expected.insert(ask(&format!("/{group}")), Some(place));
    }
    assert_eq!(expected.len(), 4);
    // A daemon has not closed the others' sockets when it has just been made.
    let groups = |looks: &[Look]| -> Vec<u32> {
        let mut groups: Vec<_> = looks.iter().filter_map(|look| look.found.daemon).collect();
        groups.sort_unstable();
        groups
    };
    let settled = wait_for(Duration::from_secs(5), || {
        let (master, ours) = looks(server);
        (groups(&ours) == [1, 1, 2, 3]).then_some((master, ours))
    });
    let (master, ours) = settled.expect("each daemon has its group");
    assert_eq!(master.found.daemon, None);
    for (pid, place) in expected {
        let look = ours.iter().find(|look| look.found.ns_pid == pid).unwrap();
        assert_eq!(look.found.daemon, place, "{}", look.found.command);
        let [intercept] = &*look.intercepts else {
            panic!("one mod_wsgi is mapped: {:?}", look.intercepts);
        };
        assert!(intercept.found.is_ok(), "{intercept:?}");
    }
}

/// The master and its children.
fn looks(server: &Httpd) -> (Look, Vec<Look>) {
    let children = server.children().unwrap();
    let all = Scanner::new("/proc").all();
    let is_ours = |look: &&Look| children.contains(&look.key.pid);
    let ours: Vec<Look> = all.iter().filter(is_ours).cloned().collect();
    let parent = ours.iter().find_map(|look| look.found.parent);
    let master = all.into_iter().find(|look| Some(look.key) == parent);
    (master.expect("a master"), ours)
}

/// The system's mod_wsgi, and one of each other version that was built.
fn installations() -> Vec<Installation> {
    let built: BTreeMap<_, _> = Python::all()
        .into_iter()
        .filter_map(|python| Some((python.mod_wsgi, python.installation().ok()?)))
        .collect();
    Installation::find()
        .into_iter()
        .chain(built.into_values())
        .collect()
}

#[test]
fn a_daemons_group_is_told_by_its_socket() {
    let installations = installations();
    if installations.is_empty() {
        skip(
            "a_daemons_group_is_told_by_its_socket",
            "no httpd with mod_wsgi is installed; `cargo xtask test` installs it",
        );
    }
    for installation in installations {
        eprintln!("{}", installation.mod_wsgi.display());
        let server = builder(installation).start().unwrap();
        check(&server);
        server.graceful().unwrap();
        check(&server);
    }
}

#[test]
fn sockets_may_keep_their_names() {
    let Some(installation) = Installation::find() else {
        skip(
            "sockets_may_keep_their_names",
            "no httpd with mod_wsgi is installed; `cargo xtask test` installs it",
        );
        return;
    };
    let builder = builder(installation).directive("WSGISocketRotation Off");
    check(&builder.start().unwrap());
}

/// The master's process id in the socket's name is that of its own namespace.
#[test]
fn a_server_may_have_process_ids_of_its_own() {
    const NAME: &str = "a_server_may_have_process_ids_of_its_own";
    let Some(installation) = Installation::find() else {
        skip(NAME, "no httpd with mod_wsgi is installed");
        return;
    };
    if !rustix::process::geteuid().is_root() {
        skip(NAME, "root is needed for a process namespace");
        return;
    }
    check(&builder(installation).own_processes().start().unwrap());
}
