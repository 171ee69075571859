//! Every CPython that is installed here, in a real mod_wsgi: what sigblame says about each stack is
//! what Python itself says at the same moment.
//!
//! The Python side is in `apps/matrix`: one file set for all versions, one path for each case.

use std::{collections::BTreeMap, process::Command, thread};

use serde_json::Value;
use sigblame_tests::{
    agent::Trace,
    demo,
    httpd::{self, Builder, Httpd, Installation, Mpm, Place, Python},
    package_dir,
    roots::Root,
    skip, wait_for,
};

/// One test for each Python, so that what fails or is not there has a name.
macro_rules! pythons {
    (every: $test:path) => {
        pythons! { pyenv: $test }
        pythons! { $test:
            debian_bullseye_3_9: root("bullseye", 9);
            debian_trixie_3_13: root("trixie", 13);
            debian_sid_3_14: root("sid", 14);
            debian_sid_3_15: root("sid", 15);
        }
    };
    (pyenv: $test:path) => {
        pythons! { $test:
            cpython_3_6: pyenv(6);
            cpython_3_7: pyenv(7);
            cpython_3_8: pyenv(8);
            cpython_3_9: pyenv(9);
            cpython_3_10: pyenv(10);
            cpython_3_11: pyenv(11);
            cpython_3_12: pyenv(12);
            cpython_3_13: pyenv(13);
        }
    };
    ($test:path: $($name:ident: $from:ident($($which:expr),*);)*) => {
        $(#[test]
        fn $name() {
            let name = concat!(module_path!(), "::", stringify!($name));
            $crate::matrix::on(name, $crate::matrix::$from($($which),*), $test);
        })*
    };
}

mod children;
mod compare;
mod namespace;
mod own_locks;
mod parked;

use self::compare::{Report, Visit};
use crate::support::{PATIENCE, ask};

/// The extension's file.
const NATIVE: &str = "matrix_native.so";
/// Further names of `module.py`, as strings of one, two and four bytes a character.
const MODULES: [&str; 4] = ["matrix_plain", "módulo_é", "модуль_ж", "matrix_𐌰𐌱"];
/// Embedded interpreters that share their threads, and one in a daemon process.
const A: &str = "/a";
const B: &str = "/b";
const MAIN: &str = "/main";
const DAEMON: &str = "/daemon";
/// A daemon process with no other interpreter than the main one.
const ALONE: &str = "/alone";
/// Only the main interpreter can do that, see the cases.
const MAIN_ONLY: [&str; 2] = ["entered_from_c", "forked"];
/// It waits for whoever asked.
const PARKED: &str = "parked";

pythons! { every: walk }

/// The Python and the mod_wsgi of this system's packages.
#[test]
fn cpython_of_the_system() {
    walk(&Installation::find().unwrap());
}

/// The same Python linked into mod_wsgi, which has no libpython then.
#[test]
fn cpython_linked_into_mod_wsgi() {
    on(
        concat!(module_path!(), "::cpython_linked_into_mod_wsgi"),
        httpd::linked_in(),
        walk_known,
    );
}

/// Runs a test, or says why not.
pub(crate) fn on(
    name: &str,
    installed: Result<Installation, String>,
    test: impl FnOnce(&Installation),
) {
    // Without the crate's name, as libtest has it.
    let name = name.split_once("::").map_or(name, |(_, name)| name);
    match installed {
        Ok(installation) => test(&installation),
        Err(why) => skip(name, &why),
    }
}

/// pyenv's CPython 3.`minor`.
pub(crate) fn pyenv(minor: u32) -> Result<Installation, String> {
    let mut pythons = Python::all().into_iter();
    let python = pythons.find(|python| python.minor == minor);
    let missing = || format!("pyenv has no CPython 3.{minor} with a shared library");
    python.ok_or_else(missing)?.installation()
}

/// Debian's CPython 3.`minor` in the root of a suite.
pub(crate) fn root(suite: &str, minor: u32) -> Result<Installation, String> {
    let root = Root::find(suite)
        .ok_or_else(|| format!("no root of Debian {suite}: `cargo xtask roots` makes it"))?;
    Installation::in_root(root.path(), minor)
        .ok_or_else(|| format!("Debian {suite} has no mod_wsgi for CPython 3.{minor} any more"))
}

/// A server with the application's files and no application yet.
fn builder(installation: &Installation, mpm: Mpm) -> Builder {
    let apps = package_dir().join("apps");
    let mut builder = Builder::on(installation.clone(), mpm)
        .unwrap()
        .files(&apps.join("matrix"))
        .unwrap();
    for (name, source) in MODULES
        .map(|name| (format!("{name}.py"), "matrix/module.py"))
        .into_iter()
        .chain([("recording.py".to_owned(), "demo/recording.py")])
    {
        let text = std::fs::read_to_string(apps.join(source)).unwrap();
        builder = builder.file(&name, &text).unwrap();
    }
    // Any version's headers will do. pyenv may put its own, slow ones first on PATH.
    let config = ["/usr/bin/python3-config", "python3-config"].into_iter();
    let mut config =
        config.filter_map(|program| Command::new(program).arg("--includes").output().ok());
    let includes = config
        .next()
        .expect("python3-config, of the package python3-dev");
    let includes = String::from_utf8(includes.stdout).unwrap();
    let includes: Vec<&str> = includes.split_whitespace().collect();
    let library = builder.app_dir().join(NATIVE);
    demo::compile_with(&apps.join("matrix/native.c"), &library, &includes).unwrap();
    builder
}

/// The event MPM; `cargo xtask matrix` leaves nothing out.
fn walk(installation: &Installation) {
    for mpm in mpms() {
        walk_with(installation, mpm, Trace::start(&["--all"]).unwrap());
    }
}

fn mpms() -> impl Iterator<Item = Mpm> {
    let everything = std::env::var_os("SIGBLAME_MATRIX").is_some();
    Mpm::ALL
        .into_iter()
        .filter(move |mpm| everything || *mpm == Mpm::Event)
}

/// The same with an interpreter that ran before under the eyes of the trace: its file is large and
/// nowhere that the agent looks before a process has mapped it, so that the first worker of all may
/// start it in the window that ARCHITECTURE.md tells of.
fn walk_known(installation: &Installation) {
    for mpm in mpms() {
        let mut trace = Trace::start(&["--all"]).unwrap();
        let server = builder(installation, mpm)
            .daemon("alone", "processes=1 threads=3")
            .script(ALONE, "matrix.py", &Place::daemon("alone", "%{GLOBAL}"))
            .start()
            .unwrap();
        let known = wait_for(PATIENCE, || {
            ask(&server, &format!("{ALONE}/functions"));
            let lines = trace.lines(server.pid()).unwrap();
            let is_known = |line: &&Value| line["python"]["result"] == "complete";
            lines.into_iter().find(is_known).map(|_| ())
        });
        assert!(known.is_some(), "{}", server.error_log());
        server.stop().unwrap();
        walk_with(installation, mpm, trace);
    }
}

/// Every case, embedded and in a daemon, in sub-interpreters and in the main one.
///
/// With prefork all scripts are imported and run on one thread, and a request for the main
/// interpreter runs in the one that the thread was in last (see
/// `main_and_sub_interpreter_are_told_apart`): what it then says of its import is another one's. There
/// a third sub-interpreter takes its place.
fn walk_with(installation: &Installation, mpm: Mpm, trace: Trace) {
    let server = builder(installation, mpm)
        .daemon("matrix", "processes=1 threads=3")
        .daemon("alone", "processes=1 threads=3")
        .script(DAEMON, "matrix.py", &Place::daemon("matrix", "a"))
        .script(ALONE, "matrix.py", &Place::daemon("alone", "%{GLOBAL}"))
        .script(
            MAIN,
            "matrix.py",
            &Place::embedded(if mpm == Mpm::Prefork {
                "c"
            } else {
                "%{GLOBAL}"
            }),
        )
        .script(B, "matrix.py", &Place::embedded("b"))
        .script(A, "matrix.py", &Place::embedded("a"))
        .start()
        .unwrap();
    // mod_wsgi imports a script when its process starts, if that and the interpreter are named. The
    // main interpreter comes first, see `main_and_sub_interpreter_are_told_apart`.
    let imported = [MAIN, A, B, DAEMON, ALONE].map(|mount| visit(&server, mount, "imported"));
    let mut visits: Vec<Visit> = imported.into();
    visits.extend(mix(&server));
    let cases = ask(&server, &format!("{A}/"));
    let cases: BTreeMap<String, String> = serde_json::from_value(cases).unwrap();
    assert!(cases.len() > 35, "{cases:?}");
    for mount in [A, DAEMON, ALONE] {
        for case in cases.keys().filter(|case| *case != PARKED) {
            if mount == ALONE || !MAIN_ONLY.contains(&case.as_str()) {
                visits.push(visit(&server, mount, case));
            }
        }
    }
    let lines = trace.finish(server.pid()).unwrap();
    Report::new(&lines, visits).finish(1200);
}

/// Forty requests from four clients, to interpreters of one process in no order: its threads then
/// have states in several of them.
fn mix(server: &Httpd) -> Vec<Visit> {
    let clients = 0..4_u64;
    thread::scope(|scope| {
        let clients: Vec<_> = clients
            .map(|client| {
                scope.spawn(move || {
                    // A little generator (Knuth, MMIX) is as good as chance, and the same each time.
                    let mut state = client;
                    let mut next = || {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        [A, B, MAIN][(state >> 33) as usize % 3]
                    };
                    (0..10)
                        .map(|_| visit(server, next(), "lock_given_up"))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    })
}

fn visit(server: &Httpd, mount: &str, case: &str) -> Visit {
    let path = format!("{mount}/{case}");
    let answer: Value = ask(server, &path);
    Visit { path, answer }
}
