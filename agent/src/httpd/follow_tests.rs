//! Files of a real file system, as logs are written and rotated.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::symlink,
    path::PathBuf,
};

use super::*;

/// A process 7 with a root, in which the log is `/var/error.log`.
struct Log {
    directory: tempfile::TempDir,
    file: File,
}

const PATH: &str = "/var/error.log";

impl Log {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(directory.path().join("proc/7")).expect("a directory");
        fs::create_dir_all(directory.path().join("root/var")).expect("a directory");
        let root = directory.path().join("root");
        symlink(root, directory.path().join("proc/7/root")).expect("a link");
        let file = open(&directory.path().join("root/var/error.log"));
        Self { directory, file }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("root").join(&PATH[1..])
    }

    fn follower(&self) -> Follower {
        Follower::new(&self.directory.path().join("proc"), 7, PATH)
    }

    fn write(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).expect("written");
    }

    fn rename(&self) {
        fs::rename(self.path(), self.path().with_extension("1")).expect("renamed");
    }
}

/// As httpd opens it.
fn open(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options
        .append(true)
        .create(true)
        .open(path)
        .expect("a file")
}

#[test]
fn what_is_there_at_first_is_the_past() {
    let mut log = Log::new();
    log.write("past\nbegun before");
    let mut follower = log.follower();
    assert_eq!(follower.poll(), [""; 0]);
    assert!(follower.is_open());
    log.write(" and after\none\ntw");
    assert_eq!(follower.poll(), ["one"]);
    log.write("o\n\n\u{e4}\u{ff}");
    assert_eq!(follower.poll(), ["two"], "empty lines are none");
    log.write("\n");
    assert_eq!(follower.poll(), ["\u{e4}\u{ff}"]);
    assert_eq!(follower.poll(), [""; 0]);
    log.file.write_all(b"\xff\n").expect("written");
    assert_eq!(follower.poll(), ["\u{fffd}"]);
}

#[test]
fn a_file_that_comes_later_is_read_from_its_beginning() {
    let log = Log::new();
    fs::remove_file(log.path()).expect("removed");
    let mut follower = log.follower();
    assert_eq!(follower.poll(), [""; 0]);
    assert!(!follower.is_open());
    fs::write(log.path(), "one\n").expect("written");
    assert_eq!(follower.poll(), ["one"]);
    assert!(follower.is_open());
}

/// logrotate's `create`: the server writes to the old file until it reloads.
#[test]
fn a_file_that_is_renamed_goes_on_beside_the_new_one() {
    let mut log = Log::new();
    let mut follower = log.follower();
    assert_eq!(follower.poll(), [""; 0]);
    log.write("one\n");
    log.rename();
    log.write("two\n");
    assert_eq!(follower.poll(), ["one", "two"]);
    let mut new = open(&log.path());
    new.write_all(b"new\n").expect("written");
    log.write("three\n");
    assert_eq!(follower.poll(), ["three", "new"]);
    log.write("last without an end");
    for _ in 0..=QUIET_MAX {
        assert_eq!(follower.poll(), [""; 0]);
    }
    new.write_all(b"more\n").expect("written");
    assert_eq!(follower.poll(), ["more", "last without an end"]);
    assert!(follower.previous.is_none());
}

#[test]
fn a_file_may_come_back() {
    let mut log = Log::new();
    let mut follower = log.follower();
    follower.poll();
    log.write("before\n");
    assert_eq!(follower.poll(), ["before"]);
    log.rename();
    let mut other = open(&log.path());
    other.write_all(b"other\n").expect("written");
    assert_eq!(follower.poll(), ["other"]);
    fs::rename(log.path().with_extension("1"), log.path()).expect("renamed");
    log.write("one\n");
    assert_eq!(follower.poll(), ["one"]);
    log.write("two\n");
    other.write_all(b"again\n").expect("written");
    assert_eq!(follower.poll(), ["again", "two"]);
}

/// logrotate's `copytruncate`.
#[test]
fn a_file_that_is_emptied_is_read_anew() {
    let mut log = Log::new();
    log.write("past\n");
    let mut follower = log.follower();
    follower.poll();
    log.write("one\nhalf a line");
    assert_eq!(follower.poll(), ["one"]);
    log.file.set_len(0).expect("emptied");
    log.write("two\n");
    assert_eq!(follower.poll(), ["two"]);
}

#[test]
fn a_file_that_is_removed_is_still_written_to() {
    let mut log = Log::new();
    let mut follower = log.follower();
    follower.poll();
    fs::remove_file(log.path()).expect("removed");
    log.write("one\n");
    assert_eq!(follower.poll(), ["one"]);
    fs::write(log.path(), "two\n").expect("written");
    log.write("three\n");
    assert_eq!(follower.poll(), ["three", "two"]);
}

#[test]
fn a_poll_and_a_line_are_bounded() {
    let mut log = Log::new();
    let mut follower = log.follower();
    follower.poll();
    let line = "x".repeat(99) + "\n";
    let lines = 3 * usize::try_from(POLL_MAX).expect("small") / line.len();
    log.write(&line.repeat(lines));
    let polls: Vec<usize> = (0..4).map(|_| follower.poll().len()).collect();
    assert_eq!(polls.iter().sum::<usize>(), lines, "{polls:?}");
    assert!(
        polls.iter().all(|&polled| polled <= lines / 3 + 1),
        "{polls:?}"
    );
    assert_eq!(follower.skipped(), 0);

    log.write(&("y".repeat(3 * LINE_MAX) + "\nshort\n"));
    let found = follower.poll();
    assert_eq!((found[0].len(), &*found[1]), (LINE_MAX, "short"));

    let far = log.file.metadata().expect("a file").len() + 2 * BACKLOG_MAX;
    log.file.set_len(far).expect("a hole");
    log.write("z\nend\n");
    assert_eq!(
        follower.poll(),
        ["end"],
        "the line before began in what is left out"
    );
    assert_eq!(follower.skipped(), 2 * BACKLOG_MAX + 6 - POLL_MAX);
}

/// What the path leads to is somebody else's choice.
#[test]
fn only_a_regular_file_below_the_root_is_followed() {
    let log = Log::new();
    let outside = log.directory.path().join("outside");
    fs::write(&outside, "").expect("written");
    for target in [&*outside, Path::new("/dev/null"), Path::new("/var")] {
        fs::remove_file(log.path()).expect("removed");
        symlink(target, log.path()).expect("a link");
        let mut follower = log.follower();
        follower.poll();
        assert!(!follower.is_open(), "{}", target.display());
    }
    fs::remove_file(log.path()).expect("removed");
    fs::write(log.path().with_file_name("real.log"), "").expect("written");
    symlink("/var/real.log", log.path()).expect("a link");
    let mut follower = log.follower();
    follower.poll();
    assert!(follower.is_open());
}
