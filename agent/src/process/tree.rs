//! Trees like `/proc` for tests, with files to be mapped.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::PathBuf,
};

use super::sample::*;

/// A pod's uid, as in a slice's name.
pub(crate) const POD: &str = "8d5f3c2a_1b2c_4d3e_9f00_0123456789ab";

/// A tree under a temporary directory, with one root file system for all its processes.
pub(crate) struct Tree(tempfile::TempDir);

impl Tree {
    pub(crate) fn new() -> Self {
        let tree = Self(tempfile::tempdir().expect("a directory"));
        for (path, sample) in [
            ("root/usr/sbin/httpd", Sample::httpd()),
            ("root/usr/lib/mod_wsgi.so", Sample::mod_wsgi()),
            ("root/usr/lib/mod_mpm_event.so", mpm()),
            ("root/usr/lib/libpython3.11.so.1.0", Sample::python()),
            ("root/usr/bin/other", Sample::new()),
        ] {
            let path = tree.0.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, sample.build()).expect("a file");
        }
        fs::create_dir(tree.0.path().join("proc")).expect("a directory");
        tree
    }

    pub(crate) fn proc_root(&self) -> PathBuf {
        self.0.path().join("proc")
    }

    /// The root file system of its processes.
    pub(crate) fn root(&self) -> PathBuf {
        self.0.path().join("root")
    }

    pub(crate) fn path(&self, pid: u32, name: &str) -> PathBuf {
        self.0.path().join(format!("proc/{pid}/{name}"))
    }

    pub(crate) fn write(&self, pid: u32, name: &str, text: &str) {
        fs::write(self.path(pid, name), text).expect("a file");
    }

    /// A process that runs a program, with the usual files mapped.
    pub(crate) fn process(&self, pid: u32, parent: u32, start: u64, program: &str) {
        fs::create_dir(self.path(pid, "")).expect("a directory");
        let root = self.0.path().join("root");
        symlink(&root, self.path(pid, "root")).expect("a link");
        symlink(root.join(&program[1..]), self.path(pid, "exe")).expect("a link");
        self.start(pid, parent, start);
        let status = format!("Name:\tx\nTgid:\t{pid}\nUid:\t0\t33\t33\t33\nNSpid:\t{pid}\t5\n");
        self.write(pid, "status", &status);
        self.write(pid, "cmdline", "/usr/sbin/httpd\0-d\0/srv\0-f\0x.conf\0");
        let cgroup = format!(
            "0::/kubepods-pod{POD}.slice/crio-{}.scope\n",
            "a1".repeat(32)
        );
        self.write(pid, "cgroup", &cgroup);
        self.map(
            pid,
            &[
                program,
                "/usr/lib/mod_mpm_event.so",
                "/usr/lib/mod_wsgi.so",
                PYTHON,
            ],
        );
    }

    pub(crate) fn start(&self, pid: u32, parent: u32, start: u64) {
        let zeros = "0 ".repeat(17);
        self.write(
            pid,
            "stat",
            &format!("{pid} (a (b) c) S {parent} {zeros}{start} 0 0\n"),
        );
    }

    /// Gives a process sockets, by their inodes.
    pub(crate) fn sockets(&self, pid: u32, inodes: &[u64]) {
        let directory = self.path(pid, "fd");
        fs::create_dir_all(&directory).expect("a directory");
        symlink("/dev/null", directory.join("0")).expect("a link");
        for inode in inodes {
            let link = format!("socket:[{inode}]");
            symlink(link, directory.join(inode.to_string())).expect("a link");
        }
    }

    /// What listens in the network of a process: inodes and paths.
    pub(crate) fn listeners(&self, pid: u32, listeners: &[(u64, &str)]) {
        fs::create_dir_all(self.path(pid, "net")).expect("a directory");
        let lines = listeners.iter().map(|(inode, path)| {
            format!("0000000000000000: 00000002 00000000 00010000 0001 01 {inode:>5} {path}\n")
        });
        self.write(pid, "net/unix", &lines.collect::<String>());
    }

    /// What listens by TCP in the network of a process, besides one connection.
    pub(crate) fn tcp_listeners(&self, pid: u32, inodes: &[u64]) {
        let line = |state, inode| {
            format!(
                "   0: 00000000:0050 00000000:0000 {state} 0:0 00:0 0     0        0 {inode} 1\n"
            )
        };
        let listeners = inodes.iter().map(|inode| line("0A", *inode));
        let lines = listeners.chain([line("01", 1)]).collect::<String>();
        self.write(
            pid,
            "net/tcp",
            &format!("  sl  local_address rem_address   st\n{lines}"),
        );
    }

    /// Maps files, the first one at 0x10_0000.
    pub(crate) fn map(&self, pid: u32, files: &[&str]) {
        let mut text = String::new();
        for (index, file) in files.iter().enumerate() {
            let inode = fs::metadata(self.0.path().join("root").join(&file[1..]))
                .map_or(1, |metadata| metadata.ino());
            let base = (index as u64 + 1) << 20;
            let from = base + CODE;
            let to = from + 0x1000;
            text += &format!(
                "{base:08x}-{:08x} r--p 00000000 fe:01 {inode}  {file}\n",
                base + 0x1000
            );
            text += &format!("{from:08x}-{to:08x} r-xp {CODE_OFFSET:08x} fe:01 {inode}  {file}\n");
        }
        self.write(pid, "maps", &text);
    }
}

/// The interpreter's file.
pub(crate) const PYTHON: &str = "/usr/lib/libpython3.11.so.1.0";

fn mpm() -> Sample {
    Sample::new()
        .object("mpm_event_module", DATA)
        .import("ap_hook_mpm")
}
