//! Looks at trees like `/proc`, made by hand.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
};

use super::{
    super::{
        intercept_file::NoIntercept,
        sample::*,
        tree::{POD, PYTHON, Tree},
    },
    *,
};

fn scanner(tree: &Tree) -> Scanner {
    Scanner::new(tree.proc_root())
}

#[test]
fn a_worker_is_seen_whole() {
    let tree = Tree::new();
    tree.process(10, 1, 100, "/usr/sbin/httpd");
    tree.process(20, 10, 200, "/usr/sbin/httpd");
    let look = scanner(&tree)
        .look(20)
        .expect("readable")
        .expect("an httpd");
    assert_eq!(
        look.key,
        ProcessKey {
            pid: 20,
            start: 200
        }
    );
    assert!(look.has_mod_wsgi);
    let found = &look.found;
    assert_eq!(
        found.parent,
        Some(ProcessKey {
            pid: 10,
            start: 100
        })
    );
    assert_eq!(
        (found.ns_pid, found.command.as_str()),
        (5, "/usr/sbin/httpd -d /srv -f x.conf")
    );
    let expected = ServerFacts {
        program: "httpd".into(),
        config: Some("/srv/x.conf".into()),
        mpm: Some("event".into()),
        mod_wsgi: Some("4.9.4".into()),
    };
    assert_eq!(found.server, expected);
    let container = found.container.as_ref().expect("a container");
    assert_eq!(
        container.pod_uid.as_deref(),
        Some(POD.replace('_', "-").as_str())
    );
    let kinds: Vec<_> = found.modules.0.iter().map(|module| module.kind).collect();
    let expected = [
        ModuleKind::Httpd,
        ModuleKind::Mpm,
        ModuleKind::ModWsgi,
        ModuleKind::Python,
    ];
    assert_eq!(kinds, expected);

    let base = 0x40_0000;
    assert_eq!(
        look.python.map(|p| p.python.interpreters),
        Some(base + DATA + 0x40 + 40)
    );
    let [uprobe] = &*look.uprobes else {
        panic!("{:?}", look.uprobes);
    };
    assert_eq!(
        (uprobe.start.address, uprobe.start.offset),
        (CODE + 0x70, CODE_OFFSET + 0x70)
    );
    assert_eq!(uprobe.python.interpreters, DATA + 0x40 + 40);
    let there = fs::metadata(&uprobe.path).expect("a path that leads to the file");
    assert_eq!(there.ino(), uprobe.file.inode);
}

/// Where the process puts another file in the place of one that was looked at, the uprobe goes to
/// the one that was.
#[test]
fn a_uprobe_goes_to_the_file_that_was_read() {
    let tree = Tree::new();
    tree.process(20, 1, 200, "/usr/sbin/httpd");
    let look = scanner(&tree).look(20).expect("readable");
    let look = look.expect("an httpd");
    let [uprobe] = &*look.uprobes else {
        panic!("one interpreter is mapped");
    };
    let python = tree.root().join(PYTHON.trim_start_matches('/'));
    fs::remove_file(&python).expect("the file");
    symlink("/bin/sh", &python).expect("a link");
    let there = fs::metadata(uprobe.open.path()).expect("a path that leads to the file");
    assert_eq!(there.ino(), uprobe.file.inode);
}

/// The intercept of a mod_wsgi that is mapped, in the very file: its path may lead elsewhere.
#[test]
fn an_intercept_is_found_in_the_mapped_file() {
    let tree = Tree::new();
    tree.process(20, 1, 200, "/usr/sbin/httpd");
    let module = "/usr/lib/mod_wsgi.so";
    tree.map(20, &["/usr/sbin/httpd", module, PYTHON, module]);
    let look = scanner(&tree).look(20).expect("readable");
    let look = look.expect("an httpd");
    let [intercept] = &*look.intercepts else {
        panic!("one mod_wsgi is mapped, twice: {:?}", look.intercepts);
    };
    let offset = intercept.found.as_ref().map(|found| found.offset);
    assert_eq!(offset, Ok(CODE_OFFSET + 0x80));
    let path = tree.root().join(&module[1..]);
    assert!(intercept.path.ends_with("root/usr/lib/mod_wsgi.so"));
    fs::remove_file(&path).expect("the file");
    symlink("/bin/sh", &path).expect("a link");
    let there = fs::metadata(intercept.open.path()).expect("a path that leads to the file");
    assert_eq!(there.ino(), intercept.file.inode);
    let look = scanner(&tree).look(20).expect("readable");
    assert_eq!(look.expect("an httpd").intercepts, []);
}

/// A mod_wsgi in which nothing is found is there all the same, with the reason.
#[test]
fn an_intercept_that_is_not_found_says_why() {
    let tree = Tree::new();
    let module = Sample::new()
        .object("wsgi_module", DATA)
        .import("ap_hook_post_config");
    fs::write(tree.root().join("usr/lib/mod_wsgi.so"), module.build()).expect("a file");
    tree.process(20, 1, 200, "/usr/sbin/httpd");
    let look = scanner(&tree).look(20).expect("readable");
    let intercepts = look.expect("an httpd").intercepts;
    let found: Vec<_> = intercepts.iter().map(|target| &target.found).collect();
    assert_eq!(found, [&Err(NoIntercept::NoName)]);
}

#[test]
fn a_daemons_group_is_that_of_its_socket() {
    let tree = Tree::new();
    tree.process(10, 1, 100, "/usr/sbin/httpd");
    let listeners = [
        (70, "/run/wsgi.5.0.1.sock"),
        (80, "/run/wsgi.5.0.2.sock"),
        (90, "/run/wsgi.6.0.3.sock"),
    ];
    for (pid, sockets) in [
        (10, &[60, 70, 80][..]),
        (20, &[1, 80]),
        (21, &[70]),
        (22, &[]),
        (23, &[70, 80]),
        (24, &[90]),
        (27, &[60, 80]),
        (28, &[61, 80]),
    ] {
        if pid != 10 {
            tree.process(pid, 10, 200, "/usr/sbin/httpd");
        }
        tree.sockets(pid, sockets);
        tree.listeners(pid, &listeners);
        tree.tcp_listeners(pid, &[60, 61]);
    }
    // One whose parent is no server: the master is named 5 in its own namespace.
    tree.process(25, 1, 200, "/usr/sbin/httpd");
    tree.sockets(25, &[80]);
    tree.listeners(25, &listeners);
    // One that cannot be asked.
    tree.process(26, 10, 200, "/usr/sbin/httpd");
    let expected = [
        (10, None),
        (20, Some(2)),
        (21, Some(1)),
        (22, None),
        (23, None),
        (24, None),
        (25, None),
        (26, None),
        // It has not closed the server's own yet; it listens itself.
        (27, None),
        (28, Some(2)),
    ];
    for (pid, group) in expected {
        let look = scanner(&tree).look(pid).expect("readable");
        assert_eq!(look.expect("an httpd").found.daemon, group, "{pid}");
    }
}

#[test]
fn parents_come_first() {
    let tree = Tree::new();
    // Ids went round: the master's is the largest.
    tree.process(5, 30, 300, "/usr/sbin/httpd");
    tree.process(6, 5, 400, "/usr/sbin/httpd");
    tree.process(30, 1, 100, "/usr/sbin/httpd");
    tree.process(40, 30, 500, "/usr/bin/other");
    fs::create_dir(tree.path(50, "")).expect("a directory without files: it vanished");
    fs::write(tree.proc_root().join("uptime"), "1").expect("a file");
    let looks = scanner(&tree).all();
    assert!(looks.iter().all(|look| look.has_mod_wsgi));
    let found: Vec<_> = looks
        .iter()
        .map(|l| (l.key.pid, l.found.parent.map(|p| p.pid)))
        .collect();
    assert_eq!(found, [(30, None), (5, Some(30)), (6, Some(5))]);
}

#[test]
fn a_circle_of_parents_ends() {
    let tree = Tree::new();
    tree.process(5, 6, 100, "/usr/sbin/httpd");
    tree.process(6, 5, 100, "/usr/sbin/httpd");
    assert_eq!(scanner(&tree).all().len(), 2);
}

#[test]
fn a_younger_parent_is_another_process() {
    let tree = Tree::new();
    tree.process(5, 1, 300, "/usr/sbin/httpd");
    tree.process(6, 5, 200, "/usr/sbin/httpd");
    let look = scanner(&tree).look(6).expect("readable").expect("an httpd");
    assert_eq!(look.found.parent, None);
}

#[test]
fn programs() {
    let tree = Tree::new();
    tree.process(10, 1, 100, "/usr/sbin/httpd");
    tree.process(11, 1, 100, "/usr/bin/other");
    tree.process(12, 1, 100, "/usr/bin/missing");
    let mut scanner = scanner(&tree);
    assert_eq!(scanner.program(10), Some(true));
    assert_eq!(scanner.program(11), Some(false));
    assert_eq!(
        scanner.program(12),
        Some(false),
        "a kernel thread or a zombie"
    );
    assert_eq!(scanner.program(13), None, "gone");
    assert_eq!(scanner.look(11).expect("readable"), None);
    assert_eq!(scanner.look(12).expect("readable"), None);
    assert_eq!(scanner.look(13).expect("gone is no error"), None);
}

#[test]
fn modules_are_those_of_the_same_process() {
    let tree = Tree::new();
    tree.process(10, 1, 100, "/usr/sbin/httpd");
    let mut scanner = scanner(&tree);
    let key = ProcessKey {
        pid: 10,
        start: 100,
    };
    assert_eq!(scanner.modules(key).expect("modules").0.0.len(), 4);
    tree.map(10, &["/usr/sbin/httpd"]);
    assert_eq!(scanner.modules(key).expect("modules").0.0.len(), 1);
    let reused = ProcessKey { pid: 10, start: 99 };
    assert_eq!(scanner.modules(reused).map(|found| found.0), None);
    let gone = ProcessKey {
        pid: 11,
        start: 100,
    };
    assert_eq!(scanner.modules(gone).map(|found| found.0), None);
}

/// A piped log registers as httpd's child, and runs its own program when we look.
#[test]
fn another_programs_maps_are_not_httpds() {
    let tree = Tree::new();
    tree.process(10, 1, 100, "/usr/bin/other");
    let key = ProcessKey {
        pid: 10,
        start: 100,
    };
    assert_eq!(scanner(&tree).modules(key).map(|found| found.0), None);
}

/// Under `root`, another file may stand where the mapped one was.
#[test]
fn a_replaced_or_deleted_file_is_not_taken_for_the_mapped_one() {
    let tree = Tree::new();
    tree.process(10, 1, 100, "/usr/sbin/httpd");
    let maps = fs::read_to_string(tree.path(10, "maps")).expect("maps");
    tree.write(
        10,
        "maps",
        &maps.replace("mod_wsgi.so\n", "mod_wsgi.so (deleted)\n"),
    );
    let look = scanner(&tree)
        .look(10)
        .expect("readable")
        .expect("an httpd");
    assert!(!look.has_mod_wsgi);

    tree.write(10, "maps", &maps);
    let library = tree.root().join(&PYTHON[1..]);
    let copy = library.with_extension("new");
    fs::copy(&library, &copy).expect("a copy");
    fs::rename(&copy, &library).expect("renamed");
    let look = scanner(&tree)
        .look(10)
        .expect("readable")
        .expect("an httpd");
    assert!(look.has_mod_wsgi && look.python.is_none() && look.uprobes.is_empty());
}

/// Where the kernel lets us, the range leads to the file, whatever the path says.
#[test]
fn map_files_come_before_the_path() {
    let tree = Tree::new();
    tree.process(10, 1, 100, "/usr/sbin/httpd");
    let ranges = tree.path(10, "map_files");
    fs::create_dir(&ranges).expect("a directory");
    let library = tree.root().join(&PYTHON[1..]);
    let hidden = tree.root().join("hidden");
    fs::rename(&library, &hidden).expect("renamed");
    let range = format!("{:x}-{:x}", 0x40_0000 + CODE, 0x40_1000 + CODE);
    symlink(&hidden, ranges.join(&range)).expect("a link");
    let look = scanner(&tree)
        .look(10)
        .expect("readable")
        .expect("an httpd");
    assert_eq!(look.uprobes[0].path, ranges.join(range));
}

/// A link below the process's root leads to a file below it, or to none.
#[test]
fn links_do_not_lead_out_of_the_processs_root() {
    let tree = Tree::new();
    tree.process(10, 1, 100, "/usr/sbin/httpd");
    let library = tree.root().join(&PYTHON[1..]);
    // The very file, so that its inode is the mapped one, but outside.
    let outside = tempfile::tempdir_in(tree.root().parent().expect("a parent")).expect("made");
    let moved = outside.path().join("python");
    fs::rename(&library, &moved).expect("renamed");
    symlink(&moved, &library).expect("a link");
    let look = scanner(&tree)
        .look(10)
        .expect("readable")
        .expect("an httpd");
    assert!(look.python.is_none() && look.uprobes.is_empty());
}

#[test]
fn what_no_kernel_writes_is_an_error() {
    let tree = Tree::new();
    for (pid, name) in [(10, "stat"), (11, "status")] {
        tree.process(pid, 1, 100, "/usr/sbin/httpd");
        tree.write(pid, name, "nonsense");
        let error = scanner(&tree).look(pid).expect_err("malformed");
        assert!(error.to_string().starts_with("failed to parse"), "{error}");
    }
    tree.start(10, 1, 100);
    tree.write(10, "status", "Tgid:\t9\nUid:\t0\t0\t0\t0\n");
    assert_eq!(scanner(&tree).look(10).expect("a thread's id"), None);
    assert!(scanner(&tree).all().is_empty());
    assert!(Scanner::new(Path::new("/nonexistent")).all().is_empty());
}

/// This very test is a process, and no httpd.
#[test]
fn our_own_process() {
    let mut scanner = Scanner::new("/proc");
    let pid = std::process::id();
    assert_eq!(scanner.program(pid), Some(false));
    let directory = scanner.directory(pid);
    let start = directory.stat().expect("readable").expect("alive").start;
    let key = ProcessKey { pid, start };
    assert_eq!(
        scanner.modules(key).map(|found| found.0),
        None,
        "a test is no httpd"
    );
    let mapped = scanner.mapped(&directory).expect("readable");
    let modules = modules::modules(&mapped.expect("alive"));
    assert!(modules.has(ModuleKind::Libc));
    let here = our_own_process as fn() as usize as u64;
    let path = modules.at(here).map(|module| module.path.to_string());
    let program = std::env::current_exe().expect("a program");
    assert_eq!(path.as_deref(), program.to_str());
}
