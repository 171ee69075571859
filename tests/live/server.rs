//! The harness itself, where it needs root: other live tests rest on it.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, Instant},
};

use sigblame_tests::{
    demo,
    httpd::{Installation, Mpm},
};

/// Workers drop root, answer before and after a graceful restart, and leave nothing behind.
#[test]
fn server_of_each_mpm_starts_restarts_and_goes() {
    let (account, _) = Installation::find().unwrap().account.unwrap();
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd
        .lines()
        .find(|line| line.starts_with(&format!("{account}:")))
        .unwrap();
    let uid: u32 = line.split(':').nth(2).unwrap().parse().unwrap();

    for mpm in Mpm::ALL {
        let server = demo::start(mpm).unwrap();
        for mount in ["", demo::DAEMON_MOUNT] {
            assert_eq!(server.get(&format!("{mount}/clean/")).unwrap().status, 200);
        }
        server.graceful().unwrap();
        for mount in ["", demo::DAEMON_MOUNT] {
            assert_eq!(server.get(&format!("{mount}/clean/")).unwrap().status, 200);
        }
        let children = server.children().unwrap();
        assert!(children.len() >= 2, "{mpm:?}: {children:?}");
        for child in &children {
            let owner = fs::metadata(format!("/proc/{child}")).unwrap().uid();
            assert_eq!(owner, uid, "{mpm:?}: process {child}");
        }
        let dir = server.dir().to_path_buf();
        let ended = server.stop().unwrap();
        assert!(!ended.forced, "{mpm:?}: a clean server needs no force");
        assert!(!dir.exists());
        for child in children {
            assert!(!Path::new(&format!("/proc/{child}")).exists());
        }
    }
}

/// A daemon whose SIGTERM was taken makes the whole server wait: httpd kills it after three seconds.
/// An embedded worker of the event MPM would go: its master speaks to it through a pipe.
#[test]
fn daemon_that_does_not_heed_sigterm_delays_the_stop() {
    let server = demo::start(Mpm::Event).unwrap();
    assert_eq!(server.get("/daemon/library/").unwrap().status, 200);
    let children = server.children().unwrap();
    let start = Instant::now();
    server.stop().unwrap();
    assert!(start.elapsed() > Duration::from_secs(2));
    for child in children {
        assert!(!Path::new(&format!("/proc/{child}")).exists());
    }
}
