//! The harness itself, where it needs root: other live tests rest on it.

use std::{
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use sigblame_tests::{
    demo,
    httpd::{Installation, Mpm, Python},
    scratch::Scratch,
    wait_for,
};

use crate::support::PATIENCE;

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

/// A test that is killed can clean nothing up: the kernel ends its server and agent, and with the
/// server's namespaces go its mounts.
#[test]
fn killed_test_leaves_no_process_and_no_mount() {
    let scratch = Scratch::new("killed").unwrap();
    let python = Python::all().into_iter().next();
    // With a mount and with process ids of its own, or at least with the latter.
    let name = python.filter(|python| python.installation().is_ok());
    let name = name.map_or("of_the_system".to_owned(), |python| {
        format!("3_{}", python.minor)
    });
    let mut test = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("matrix::namespace::cpython_{name}")])
        .env("TMPDIR", scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let all = wait_for(PATIENCE, || {
        let all = processes_of(scratch.path());
        // `unshare`, master, worker and daemon.
        let of_server = all.iter().filter(|text| text.contains("-DFOREGROUND"));
        (of_server.count() >= 4).then_some(())
    });
    test.kill().unwrap();
    test.wait().unwrap();
    assert!(all.is_some(), "the test starts its server");
    let gone = wait_for(PATIENCE, || {
        processes_of(scratch.path()).is_empty().then_some(())
    });
    assert!(gone.is_some(), "{:#?}", processes_of(scratch.path()));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(
        !mounts.contains(scratch.path().to_str().unwrap()),
        "{mounts}"
    );
}

/// The processes that name a directory in their arguments or their environment.
fn processes_of(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let process = entry.ok()?.path();
        let read = |name| fs::read(process.join(name)).unwrap_or_default();
        let text = [read("cmdline"), read("environ")].concat();
        let text = String::from_utf8_lossy(&text).replace('\0', " ");
        text.contains(dir)
            .then(|| format!("{}: {text}", process.display()))
    });
    processes.collect()
}
