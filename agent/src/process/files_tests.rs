//! The cache, and files of this machine.

use std::{fs, path::PathBuf, time::Instant};

use super::{
    super::{ModuleKind, sample::Sample},
    *,
};
use crate::python::{Version, layout, reading::Reading};

fn written(sample: &Sample) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file.so");
    fs::write(&path, sample.build()).expect("a file");
    (directory, path)
}

fn read(cache: &mut FileCache, path: &Path) -> Result<Arc<FileFacts>, FileError> {
    cache.facts(&open(path)?)
}

#[test]
fn a_file_is_read_once_until_it_changes() {
    let (_directory, path) = written(&Sample::python());
    let mut cache = FileCache::default();
    let first = read(&mut cache, &path).expect("facts");
    let second = read(&mut cache, &path).expect("facts");
    assert!(Arc::ptr_eq(&first, &second));

    let mut other = Sample::mod_wsgi().build();
    other.push(0);
    fs::write(&path, other).expect("a file");
    let third = read(&mut cache, &path).expect("facts");
    assert_eq!(
        (first.kind, third.kind),
        (ModuleKind::Python, ModuleKind::ModWsgi)
    );
}

#[test]
fn the_cache_is_bounded() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cache = FileCache::new(2);
    let paths = ["a", "b", "c"].map(|name| directory.path().join(name));
    for path in &paths {
        fs::write(path, Sample::new().build()).expect("a file");
    }
    let a = read(&mut cache, &paths[0]).expect("facts");
    let b = read(&mut cache, &paths[1]).expect("facts");
    read(&mut cache, &paths[0]).expect("facts");
    read(&mut cache, &paths[2]).expect("facts");
    assert_eq!(cache.entries.len(), 2);
    // The one that was asked for the longest ago went.
    assert!(Arc::ptr_eq(
        &a,
        &read(&mut cache, &paths[0]).expect("facts")
    ));
    assert!(!Arc::ptr_eq(
        &b,
        &read(&mut cache, &paths[1]).expect("facts")
    ));
}

#[test]
fn what_is_no_file_of_ours_is_an_error_and_remembered() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("libpython3.11.so.1.0");
    fs::write(&path, "#!/bin/sh\n").expect("a file");
    let mut cache = FileCache::default();
    for _ in 0..2 {
        let error = read(&mut cache, &path).expect_err("no ELF file");
        assert!(
            error
                .to_string()
                .starts_with("failed to parse the ELF file")
        );
    }
    assert_eq!(cache.entries.len(), 1);
    assert!(matches!(
        read(&mut cache, directory.path()),
        Err(FileError::NotRegular)
    ));
    let missing = read(&mut cache, &directory.path().join("missing"));
    assert!(matches!(missing, Err(FileError::Read(_))));

    let vast = File::create(directory.path().join("vast")).expect("a file");
    vast.set_len(SIZE_MAX + 1).expect("a sparse file");
    assert!(matches!(cache.facts(&vast), Err(FileError::TooLarge(_))));
}

/// Nobody writes to the pipe: a plain `open` would wait for ever.
#[test]
fn a_pipe_does_not_stop_us() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("pipe");
    let name = std::ffi::CString::new(path.to_string_lossy().into_owned()).expect("no NUL");
    // SAFETY: `name` is a NUL-terminated string that outlives the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert!(matches!(open(&path), Err(FileError::NotRegular)));
}

/// Tells what a file of this machine is, or says visibly that it is not here.
fn on_this_machine(path: &str, check: impl Fn(&FileFacts)) {
    let Ok(file) = open(Path::new(path)) else {
        eprintln!("skipped: {path} is not installed");
        return;
    };
    let start = Instant::now();
    let facts = FileCache::default().facts(&file).expect(path);
    let python = &facts.python;
    eprintln!(
        "{path}: {:?}, {python:x?}, read in {:?}",
        facts.kind,
        start.elapsed()
    );
    check(&facts);
}

#[test]
fn debians_server() {
    on_this_machine("/usr/sbin/apache2", |facts| {
        assert!(facts.httpd);
        assert_eq!((facts.kind, &facts.mpm), (ModuleKind::Httpd, &None));
    });
    for mpm in ["event", "worker", "prefork"] {
        let path = format!("/usr/lib/apache2/modules/mod_mpm_{mpm}.so");
        on_this_machine(&path, |facts| {
            assert_eq!(facts.kind, ModuleKind::Mpm);
            assert_eq!(facts.mpm.as_deref(), Some(mpm));
        });
    }
    on_this_machine("/usr/lib/apache2/modules/mod_wsgi.so", |facts| {
        assert_eq!(facts.kind, ModuleKind::ModWsgi);
        let version = facts.mod_wsgi.as_deref().expect("a version");
        assert!(version.starts_with(['4', '5', '6']), "{version}");
        let intercept = facts.intercept.as_ref().expect("it is mod_wsgi");
        let intercept = intercept.as_ref().expect("an intercept");
        assert!(!intercept.ways.is_empty());
        assert_eq!(facts.python, None);
    });
    for part in [
        "/usr/lib/apache2/modules/mod_rewrite.so",
        "/usr/lib/apache2/modules/mod_ssl.so",
    ] {
        on_this_machine(part, |facts| assert_eq!(facts.kind, ModuleKind::HttpdPart));
    }
}

#[test]
fn debians_interpreter_and_libraries() {
    let libraries = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let python = |facts: &FileFacts| {
        let python = facts.python.as_ref().expect("an interpreter");
        assert_eq!(facts.kind, ModuleKind::Python);
        assert_eq!(python.version, Some(Version::new(3, 11)));
        assert!(python.start.is_some());
        assert!(!facts.httpd);
    };
    on_this_machine(&format!("{libraries}/libpython3.11.so.1.0"), python);
    on_this_machine("/usr/bin/python3.11", python);
    for (library, kind) in [
        ("libc.so.6", ModuleKind::Libc),
        ("libapr-1.so.0", ModuleKind::HttpdPart),
        ("libaprutil-1.so.0", ModuleKind::HttpdPart),
        ("libexpat.so.1", ModuleKind::Other),
    ] {
        on_this_machine(&format!("{libraries}/{library}"), |facts| {
            assert_eq!(facts.kind, kind, "{library}");
        });
    }
    on_this_machine("/lib64/ld-linux-x86-64.so.2", |facts| {
        assert_eq!(facts.kind, ModuleKind::Libc);
    });
}

/// Every CPython that pyenv has here.
#[test]
fn pyenvs_interpreters() {
    let versions = std::env::home_dir()
        .unwrap_or_default()
        .join(".pyenv/versions");
    let Ok(entries) = fs::read_dir(&versions) else {
        eprintln!("skipped: {} does not exist", versions.display());
        return;
    };
    for entry in entries {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut numbers = name
            .split('.')
            .map_while(|number| number.parse::<u8>().ok());
        let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
            eprintln!("skipped: {name} is no CPython version");
            continue;
        };
        let abi = if minor < 8 { "m" } else { "" };
        let file = format!("lib/libpython{major}.{minor}{abi}.so.1.0");
        on_this_machine(&entry.path().join(file).to_string_lossy(), |facts| {
            assert_eq!(facts.kind, ModuleKind::Python);
            let python = facts.python.as_ref().expect("an interpreter");
            let version = Version::new(major, minor);
            assert_eq!(python.version, Some(version));
            let row = layout::find(version).map(|(row, _)| Reading::Row(row));
            assert_eq!(Some(&python.reading), row.as_ref());
            assert!(python.start.is_some());
            assert_eq!(python.current.is_some(), minor < 12);
        });
    }
}

/// A real libpython, cut at many places, through the file and not from memory.
#[test]
fn a_cut_libpython_is_survived() {
    let path = format!(
        "/usr/lib/{}-linux-gnu/libpython3.11.so.1.0",
        std::env::consts::ARCH
    );
    let Ok(whole) = fs::read(&path) else {
        eprintln!("skipped: {path} is not installed");
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let cut = directory.path().join("libpython3.11.so.1.0");
    fs::write(&cut, &whole).expect("a file");
    let file = File::options().write(true).open(&cut).expect("the copy");
    let mut cache = FileCache::default();
    let start = Instant::now();
    let mut refused = 0;
    for step in (0..64).rev() {
        file.set_len(whole.len() as u64 / 64 * step + step % 7)
            .expect("cut");
        refused += u32::from(read(&mut cache, &cut).is_err());
    }
    // The section headers are at the end, so nothing but the whole is sound.
    assert_eq!(refused, 64);
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
}

/// What is no regular file is not even opened: devices act when they are.
#[test]
fn what_is_no_file_is_not_opened() {
    let folder = tempfile::tempdir().expect("a directory");
    let pipe = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0)
        .expect("a pipe");
    let watch = rustix::fs::inotify::init(rustix::fs::inotify::CreateFlags::NONBLOCK)
        .expect("an inotify queue");
    let opened = rustix::fs::inotify::WatchFlags::OPEN;
    rustix::fs::inotify::add_watch(&watch, &pipe, opened).expect("a watch");
    assert!(matches!(open(&pipe), Err(FileError::NotRegular)));
    let heard = rustix::io::read(&watch, &mut [0; 512]);
    assert_eq!(heard, Err(rustix::io::Errno::AGAIN), "it was opened");
}
