//! Files of a server's root, some of which somebody put there to be read.

use std::{fs, os::unix::fs::symlink, process::Command, time::Instant};

use super::*;

/// A root with files.
fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

fn start() -> Start {
    Start {
        root: "/etc".to_owned(),
        file: "httpd.conf".to_owned(),
        ..Start::default()
    }
}

fn problems(read: &super::Read) -> Vec<&str> {
    let problems = read.configuration.problems.iter();
    problems.map(|problem| problem.what.as_str()).collect()
}

/// Links are followed as the server does, inside its root.
#[test]
fn no_link_leads_out_of_the_root() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(&secret, "WSGIPythonHome /secret").unwrap();
    let root = root(&[
        (
            "etc/httpd.conf",
            "Include out.conf\nInclude in.conf\nInclude up.conf",
        ),
        ("opt/real.conf", "WSGIRestrictSignal Off"),
    ]);
    let link = |target: &Path, name: &str| symlink(target, root.path().join(name)).unwrap();
    link(secret.path(), "etc/out.conf");
    link(Path::new("/opt/real.conf"), "etc/in.conf");
    link(Path::new("../../../opt/real.conf"), "etc/up.conf");
    let read = read_below(root.path(), &start()).unwrap();
    assert_eq!(problems(&read), ["Include: there is no /etc/out.conf"]);
    assert_eq!((read.files, read.seen.len()), (3, 2));
}

/// A pipe would hold us up for ever, a device might do anything when it is opened.
#[test]
fn only_regular_files_are_read_and_no_large_ones() {
    let root = root(&[
        (
            "etc/httpd.conf",
            "Include pipe\nInclude loop\nInclude large\nInclude parts\nListen 80",
        ),
        ("etc/parts/latin", "WSGIPythonHome /\u{fffd}"),
    ]);
    let etc = root.path().join("etc");
    let made = Command::new("mkfifo")
        .arg(etc.join("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    symlink("loop", etc.join("loop")).unwrap();
    let large = File::create(etc.join("large")).unwrap();
    large.set_len(FILE_MAX + 1).unwrap();
    fs::write(etc.join("parts/latin"), b"WSGIPythonHome /\xe4").unwrap();
    let read = read_below(root.path(), &start()).unwrap();
    assert_eq!(
        problems(&read),
        [
            "Include: /etc/pipe is no regular file",
            "Include: there is no /etc/loop",
            "failed to read /etc/large: failed to read the file: its 16777217 bytes exceed the limit",
        ]
    );
    assert_eq!(read.seen[0].arguments, "/\u{fffd}");
    assert_eq!(read.configuration.port, Some(80));
}

#[test]
fn the_newest_of_files_and_directories_is_told() {
    let root = root(&[
        ("etc/httpd.conf", "IncludeOptional sites/*.conf"),
        ("etc/sites/a.conf", ""),
    ]);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    let set = |name: &str, at: SystemTime| {
        let file = File::open(root.path().join(name)).unwrap();
        file.set_modified(at).unwrap();
    };
    for name in ["etc/httpd.conf", "etc/sites/a.conf", "etc/sites"] {
        set(name, old);
    }
    let newest = || read_below(root.path(), &start()).unwrap().newest;
    assert_eq!(newest(), Some(old));
    for (later, name) in (1..).zip(["etc/sites/a.conf", "etc/sites", "etc/httpd.conf"]) {
        let later = old + Duration::from_secs(later);
        set(name, later);
        assert_eq!(newest(), Some(later), "{name}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let root = root(&[("etc/other.conf", "")]);
    let error = read_below(root.path(), &start()).unwrap_err().to_string();
    let below = root.path().display();
    assert!(
        error.starts_with(&format!("failed to read /etc/httpd.conf below {below}: ")),
        "{error}"
    );
    // Directives on the command line are enough.
    let given = Start {
        after: vec!["WSGIRestrictSignal Off".to_owned()],
        ..start()
    };
    let read = read_below(root.path(), &given).unwrap();
    assert!(!read.configuration.restriction(None, None).on);
    assert!(matches!(
        super::read(root.path(), 1),
        Err(ReadError::Ended | ReadError::Process(_))
    ));
}

/// Not every program is an httpd.
#[test]
fn a_program_that_says_nothing_needs_absolute_paths() {
    let program = File::open("/bin/true").unwrap();
    let of = |arguments: &str| start_of(&program, arguments);
    assert!(matches!(of("httpd\0"), Err(ReadError::NowhereNamed)));
    assert!(matches!(
        of("httpd\0-d\0relative\0-f\0x"),
        Err(ReadError::NowhereNamed)
    ));
    let start = of("httpd\0-f\0/x.conf\0-D\0A\0").unwrap();
    assert_eq!((start.root.as_str(), start.file.as_str()), ("", "/x.conf"));
    assert!(start.modules.contains(&"core_module".to_owned()));
    let start = super::start(
        &program,
        "httpd\0-d\0here\0-f\0x",
        "A=b\0A=c\0D",
        Some("/at"),
    )
    .unwrap();
    assert_eq!(start.root, "/at/here");
    assert_eq!(start.environment.get("A").map(String::as_str), Some("b"));
}

fn start_of(program: &File, arguments: &str) -> Result<Start, ReadError> {
    super::start(program, arguments, "", None)
}

/// Files that include one another, or take too long, end with a problem.
#[test]
fn a_reading_has_an_end() {
    let root = root(&[("etc/httpd.conf", "Include httpd.conf\nInclude httpd.conf")]);
    let begin = Instant::now();
    let read = read_below(root.path(), &start()).unwrap();
    assert!(begin.elapsed() < TIME_MAX * 2);
    assert!(
        problems(&read)[0].starts_with("reading stopped here"),
        "{:?}",
        problems(&read)
    );

    let inside = Inside::open(root.path()).unwrap();
    let mut source = Files {
        inside,
        until: Instant::now(),
        files: 0,
        newest: None,
    };
    fs::write(
        root.path().join("etc/httpd.conf"),
        "Listen 80\n".repeat(2_000),
    )
    .unwrap();
    let late = reader::read(&mut source, &start()).configuration;
    assert_eq!(
        late.problems[0].what,
        "reading stopped here: it took too long"
    );
}
