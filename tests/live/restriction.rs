//! The restriction of signal handlers as each mod_wsgi really enforces it: every call of
//! `signal.signal` that mod_wsgi swallows is told, with who and where; every one that it lets
//! through is a registration; and whether a worker is restricted is what Python in it says itself.
//!
//! The Python side is in `apps/restriction`.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sigblame_tests::{
    agent::{Agent, Trace},
    httpd::{Builder, Installation, Mpm, Place},
    package_dir, wait_for,
};

use crate::support::{PATIENCE, ask};

/// One test for each mod_wsgi, so that what fails or is not there has a name.
macro_rules! mod_wsgis {
    ($test:path) => {
        $crate::restriction::mod_wsgis! { $test:
            of_the_system: system(), whole;
            pip_5_0_2: pip(8), whole;
            pip_6_1_1: pip(11), whole;
            pip_6_1_1_stripped: pip(11), stripped;
            debian_bullseye_4_7_1: debian("bullseye", 9), whole;
            debian_trixie_5_0_2: debian("trixie", 13), whole;
            pip_6_1_1_cpython_3_12: pip(12), whole;
        }
    };
    ($test:path: $($name:ident: $from:ident($($which:expr),*), $state:ident;)*) => {
        $(#[test]
        fn $name() {
            let name = concat!(module_path!(), "::", stringify!($name));
            let installed = $crate::restriction::$from($($which),*);
            $crate::matrix::on(name, installed, |installation| {
                $test(installation, $crate::restriction::$state);
            });
        })*
    };
}

pub(crate) use mod_wsgis;

mod compare;
mod interpreters;
mod matrix;
mod service;
mod watched;
mod written;

pub(crate) use compare::Restriction;
pub(crate) use watched::Watched;

/// What is done to the file of a mod_wsgi before a server loads it.
pub(crate) type Edit = fn(&Path) -> Result<()>;

/// Where the application answers in an embedded worker.
pub(crate) const EMBEDDED: &str = "";
/// Where it does in a daemon process, in an interpreter of its own.
pub(crate) const DAEMON: &str = "/daemon";
/// Where it does in a daemon process that has no other interpreter than the main one.
pub(crate) const ALONE: &str = "/alone";
/// Where the clean application answers, in a process of [`DAEMON`].
pub(crate) const CLEAN: &str = "/clean";
/// The application groups of the two.
pub(crate) const GROUP: &str = "site";
const CLEAN_GROUP: &str = "clean";
/// mod_wsgi's name for the main interpreter.
pub(crate) const GLOBAL: &str = "%{GLOBAL}";

/// The system's packages.
pub(crate) fn system() -> Result<Installation, String> {
    Installation::find().ok_or_else(|| "httpd with mod_wsgi is not installed".to_owned())
}

/// The newest mod_wsgi that pip builds for CPython 3.`minor`.
pub(crate) fn pip(minor: u32) -> Result<Installation, String> {
    crate::matrix::pyenv(minor)
}

/// A Debian's package.
pub(crate) fn debian(suite: &str, minor: u32) -> Result<Installation, String> {
    crate::matrix::root(suite, minor)
}

/// As it was built.
pub(crate) fn whole(_: &Path) -> Result<()> {
    Ok(())
}

/// Without its symbols, as distributions ship files.
pub(crate) fn stripped(file: &Path) -> Result<()> {
    let output = Command::new("strip").arg(file).output();
    let output = output.context("failed to start strip: install the package binutils")?;
    if !output.status.success() {
        bail!("failed to strip {}: {}", file.display(), output.status);
    }
    Ok(())
}

/// A server with the files of `apps/restriction` and no application yet.
pub(crate) fn builder(installation: &Installation, edit: Edit, mpm: Mpm) -> Builder {
    let apps = package_dir().join("apps");
    let builder = Builder::on(installation.clone(), mpm).unwrap();
    // pip's build has everything in it; a file that nobody edits stays where it was installed.
    let builder = if std::ptr::fn_addr_eq(edit, whole as Edit) {
        builder
    } else {
        builder.own_mod_wsgi(edit).unwrap()
    };
    let recording = std::fs::read_to_string(apps.join("demo/recording.py")).unwrap();
    builder
        .files(&apps.join("restriction"))
        .unwrap()
        .file("recording.py", &recording)
        .unwrap()
}

/// The same with the application at [`EMBEDDED`], [`DAEMON`] and [`ALONE`], and the clean one at
/// [`CLEAN`]; `options` are those of the daemon processes.
///
/// With prefork all scripts of a worker run on one thread, and a request for the main interpreter in
/// the one that the thread was in last (see `main_and_sub_interpreter_are_told_apart`). So there is
/// one interpreter only in an embedded worker, and with prefork that is the main one: the only place
/// where the real `signal.signal` works in a request.
pub(crate) fn site(installation: &Installation, edit: Edit, mpm: Mpm, options: &str) -> Builder {
    let [embedded, daemon, alone] = places(mpm);
    builder(installation, edit, mpm)
        .daemon("work", &format!("processes=1 threads=3 {options}"))
        .daemon("alone", &format!("processes=1 threads=3 {options}"))
        .script(CLEAN, "clean.py", &Place::daemon("work", CLEAN_GROUP))
        .script(DAEMON, "application.py", &daemon)
        .script(ALONE, "application.py", &alone)
        .script("/", "application.py", &embedded)
}

/// Lets a server run with the same interpreter and mod_wsgi until both watchers know them: a file that
/// no process had mapped before may be used in the window that ARCHITECTURE.md tells of.
pub(crate) fn make_known(
    agent: &Agent,
    trace: &mut Trace,
    installation: &Installation,
    edit: Edit,
) {
    let server = site(installation, edit, Mpm::Event, "").start().unwrap();
    let is_known = |told: &Value| told["python"]["result"] == "complete";
    let known = wait_for(PATIENCE, || {
        for way in ["one", "slip", "give_back"] {
            ask(&server, &format!("{ALONE}/{way}"));
        }
        let found = agent.findings(server.pid()).unwrap();
        let mut lines = trace.lines(server.pid()).unwrap().into_iter();
        (found.iter().any(is_known) && lines.any(is_known)).then_some(())
    });
    assert!(known.is_some(), "{}", server.error_log());
    server.stop().unwrap();
}

/// The places of the application.
pub(crate) fn places(mpm: Mpm) -> [Place; 3] {
    let embedded = if mpm == Mpm::Prefork { GLOBAL } else { GROUP };
    [
        Place::embedded(embedded),
        Place::daemon("work", GROUP),
        Place::daemon("alone", GLOBAL),
    ]
}
