//! The audit of real packages: what is known of each is found, and what only has the name is not.
//!
//! What is expected was read in the packages' own sources, beside a list of all calls of these names
//! that Python's own `ast` makes; what their libraries do, the live tests see
//! (`tests/live/libraries`).
#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the right end, also in what several tests share"
)]

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use sigblame_tests::{
    agent_program,
    libraries::{Environment, PACKAGES},
    scratch::Scratch,
    skip,
};

fn audit(arguments: &[&str]) -> Output {
    let mut command = Command::new(agent_program().unwrap());
    command.arg("audit").args(arguments).output().unwrap()
}

fn json(path: &Path) -> Value {
    let output = audit(&["--json", path.to_str().unwrap()]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The report of all packages; `None` where one is missing.
fn packages(test: &str) -> Option<Value> {
    let environment = Environment::find().unwrap();
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|package| !environment.has(package))
        .map(|package| package.name)
        .collect();
    if missing.is_empty() {
        return Some(json(environment.home()));
    }
    let why = format!(
        "{} not installed: `cargo xtask setup test`",
        missing.join(", ")
    );
    skip(test, &why);
    None
}

/// A distribution's uses outside of its tests: `file line what when On Off`.
fn uses(report: &Value, name: &str) -> Vec<String> {
    let groups = report["distributions"].as_array().unwrap();
    let of_name = groups.iter().filter(|group| group["name"] == name);
    let found = of_name.flat_map(|group| group["uses"].as_array().unwrap());
    let found = found.filter(|found| found["in_tests"] == false);
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |found: &Value| {
        let file = word(&found["file"]);
        let (_, file) = file.split_once("/site-packages/").unwrap();
        let line = found["line"].as_u64().unwrap_or_default();
        let signals = found["signals"].as_array().unwrap();
        let mut signals: Vec<String> = signals.iter().map(|it| word(&it["name"])).collect();
        if found["other_signals"] == true {
            signals.push("?".to_owned());
        }
        format!(
            "{file}:{line} {} {} {} {} {}",
            word(&found["what"]),
            signals.join(","),
            word(&found["when"]),
            word(&found["on"]["rule"]),
            word(&found["off"]["rule"])
        )
    };
    found.map(line).collect()
}

/// Name, beginning of the file, and what follows the line number.
const KNOWN: &[(&str, &str, &str)] = &[
    // Those that the live tests see at work.
    (
        "polars-runtime-32",
        "_polars_runtime_32/_polars_runtime.abi3.so",
        "imports sigaction, signal ? library restricted-registration -",
    ),
    (
        "pycurl",
        "pycurl.libs/libcurl-",
        "imports sigaction ? library restricted-registration -",
    ),
    (
        "pycurl",
        "curl/__init__.py",
        "signal.signal SIGPIPE import blocked-attempt -",
    ),
    (
        "gevent",
        "gevent/libev/corecext.",
        "imports sigaction, signal ? library restricted-registration -",
    ),
    (
        "gevent",
        "gevent/signal.py",
        "signal.signal ? call blocked-attempt outside-import-script",
    ),
    (
        "uvloop",
        "uvloop/loop.",
        "imports PyOS_setsig, sigaction, signal ? library restricted-registration -",
    ),
    (
        "pyarrow",
        "pyarrow/libarrow.so.",
        "imports sigaction, signal ? library restricted-registration -",
    ),
    (
        "tls_client",
        "tls_client/dependencies/tls-client-",
        "Go runtime SIGBUS,SIGFPE,SIGSEGV,SIGPIPE,SIGURG import sigpipe-not-ignored sigpipe-not-ignored",
    ),
    (
        "jpype1",
        "_jpype.so",
        "looks up JNI_CreateJavaVM SIGHUP,SIGINT,SIGQUIT,SIGILL,SIGBUS,SIGFPE,SIGSEGV,SIGUSR2,SIGPIPE,\
         SIGTERM,SIGXFSZ library sigpipe-not-ignored sigpipe-not-ignored",
    ),
    // The others.
    (
        "ddtrace",
        "ddtrace/internal/utils/signals.py",
        "signal.signal ? call blocked-attempt outside-import-script",
    ),
    (
        "ddtrace",
        "ddtrace/contrib/internal/aws_lambda/patch.py",
        "signal.setitimer SIGALRM call sigalrm sigalrm",
    ),
    (
        "ddtrace",
        "ddtrace/internal/native/_native.",
        "imports sigaction, signal ? library restricted-registration -",
    ),
    (
        "celery",
        "celery/platforms.py",
        "signal.signal ? call blocked-attempt outside-import-script",
    ),
    (
        "celery",
        "celery/events/cursesmon.py",
        "curses.initscr SIGINT,SIGTERM,SIGTSTP,SIGWINCH call reserved-signal reserved-signal",
    ),
    (
        "billiard",
        "billiard/semaphore_tracker.py",
        "signal.signal SIGTERM call blocked-attempt reserved-signal",
    ),
    (
        "Django",
        "django/utils/autoreload.py",
        "signal.signal SIGTERM call blocked-attempt reserved-signal",
    ),
];

#[test]
fn what_is_known_of_packages_is_found() {
    let Some(report) = packages("what_is_known_of_packages_is_found") else {
        return;
    };
    for (name, file, rest) in KNOWN {
        let uses = uses(&report, name);
        let fits = |line: &&String| line.starts_with(file) && line.ends_with(&format!(" {rest}"));
        assert!(
            uses.iter().any(|line| fits(&line)),
            "{file} {rest}: {uses:#?}"
        );
    }
    assert_eq!(report["problems"], serde_json::json!([]));
}

/// Django's own signals are not the operating system's.
#[test]
fn djangos_signals_are_left_alone() {
    let Some(report) = packages("djangos_signals_are_left_alone") else {
        return;
    };
    let uses = uses(&report, "Django");
    let real = [
        "django/core/management/commands/shell.py:",
        "django/db/backends/mysql/client.py:",
        "django/db/backends/postgresql/client.py:",
        "django/utils/autoreload.py:",
    ];
    for line in &uses {
        assert!(real.iter().any(|file| line.starts_with(file)), "{line}");
    }
    assert_eq!(uses.len(), 8, "{uses:#?}");
}

/// A directory with this file.
fn with(file: &str, text: &str) -> Scratch {
    let scratch = Scratch::new("audit").unwrap();
    let path = scratch.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    scratch
}

#[test]
fn the_exit_code_is_for_ci() {
    let on_import = "import signal\nsignal.signal(signal.SIGTERM, print)\n";
    let in_function = "import signal\ndef f(): signal.signal(signal.SIGTERM, print)\n";
    for (file, text, arguments, code) in [
        ("a.py", on_import, &[][..], 0),
        ("a.py", on_import, &["--fail-on", "warning"], 2),
        ("a.py", on_import, &["--fail-on", "critical"], 0),
        (
            "a.py",
            on_import,
            &["--fail-on", "critical", "--restrict-signal", "off"],
            2,
        ),
        ("a.py", in_function, &["--fail-on", "warning"], 2),
        (
            "a.py",
            in_function,
            &["--fail-on", "notice", "--when", "import"],
            0,
        ),
        ("tests/a.py", on_import, &["--fail-on", "notice"], 0),
        ("__main__.py", on_import, &["--fail-on", "notice"], 0),
        ("app.wsgi", on_import, &["--fail-on", "warning"], 2),
        ("a.py", on_import, &["--fail-on", "severe"], 64),
        ("a.py", on_import, &["/nowhere"], 1),
    ] {
        let scratch = with(file, text);
        let path = scratch.path().to_str().unwrap();
        let output = audit(&[&[path], arguments].concat());
        assert_eq!(
            output.status.code(),
            Some(code),
            "{file} {arguments:?} {output:?}"
        );
    }
}

#[test]
fn an_archive_is_named_as_one() {
    let scratch = with("a-1.0-py3-none-any.whl", "PK");
    let file = scratch.path().join("a-1.0-py3-none-any.whl");
    let output = audit(&[file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("it is an archive; unpack it"), "{said}");
}

/// Nothing that lies around stops the audit, and nothing acts on the terminal.
#[test]
fn odd_files_are_told_and_passed_by() {
    let call = "import signal\nsignal.signal(15, print)\n";
    let scratch = with("good.py", call);
    let at = scratch.path();
    symlink(at, at.join("loop")).unwrap();
    symlink("nowhere.py", at.join("dangling.py")).unwrap();
    symlink("good.py", at.join("link.py")).unwrap();
    symlink("/dev/zero", at.join("zero.py")).unwrap();
    fs::write(at.join("nul.py"), b"signal\0").unwrap();
    fs::write(at.join("old.py"), "import signal\nprint 'x'\n").unwrap();
    fs::write(at.join("deep.py"), format!("signal{}", "(".repeat(100_000))).unwrap();
    fs::write(at.join("text.so"), "INPUT(libx.so)").unwrap();
    let hostile = OsStr::from_bytes(b"\x1b[2J\xff\n.py");
    fs::write(at.join(hostile), call).unwrap();
    let long = fs::File::create(at.join("long.py")).unwrap();
    long.set_len(100 << 20).unwrap();
    let pipe = Command::new("mkfifo").arg(at.join("pipe.py")).status();
    assert!(pipe.unwrap().success());

    let report = json(at);
    let found = report["distributions"][0]["uses"].as_array().unwrap();
    assert_eq!(found.len(), 3, "{found:#?}");
    let problems = report["problems"].as_array().unwrap();
    let reason = |name: &str| {
        let mut named = problems.iter().filter(|problem| {
            let file = problem["file"].as_str().unwrap();
            file.ends_with(&format!("/{name}"))
        });
        named.next().unwrap()["reason"].as_str().unwrap().to_owned()
    };
    assert!(reason("nul.py").contains("NUL"));
    assert!(reason("old.py").contains("line 2 is no Python 3"));
    assert!(reason("deep.py").contains("nests deeper"));
    assert!(reason("long.py").contains("longer than 8 MiB"));
    assert!(reason("text.so").contains("ELF"));
    assert_eq!(problems.len(), 5, "{problems:#?}");
    let shown = audit(&[at.to_str().unwrap()]).stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.lines().all(|line| !line.contains(char::is_control)));
}
