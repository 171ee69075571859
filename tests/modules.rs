//! Every mod_wsgi that was built or installed here, with its symbols and without: the agent finds its
//! version and the function of its signal intercept, and all ways to that agree.
#![expect(
    clippy::unwrap_used,
    reason = "in a test a panic is the right end, also in what several tests share"
)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use sigblame::process::{
    facts::FileFacts,
    files::FileCache,
    intercept_file::{Intercept, Way},
    scan::{InterceptTarget, Scanner},
};
use sigblame_tests::{
    httpd::{Builder, Installation, Mpm, Python, linked_in},
    roots::{Root, SUITES},
    scratch::Scratch,
    skip,
};

/// The modules, by what they are, each with its version where somebody else tells it.
fn modules() -> BTreeMap<String, (PathBuf, Option<&'static str>)> {
    let mut found = BTreeMap::new();
    if let Some(system) = Installation::find() {
        found.insert("installed".to_owned(), (system.mod_wsgi, None));
    }
    if let Ok(linked_in) = linked_in() {
        found.insert("linked in".to_owned(), (linked_in.mod_wsgi, None));
    }
    for python in Python::all() {
        if let Ok(built) = python.installation() {
            let module = (built.mod_wsgi, Some(python.mod_wsgi));
            found.insert(format!("for {}", python.version), module);
        }
    }
    for root in SUITES.iter().filter_map(|suite| Root::find(suite)) {
        let modules = root.path().join("usr/lib/apache2/modules");
        for entry in fs::read_dir(modules).unwrap().filter_map(Result::ok) {
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with("mod_wsgi.so-") {
                found.insert(format!("{} {name}", root.suite()), (entry.path(), None));
            }
        }
    }
    found
}

fn facts(path: &Path) -> FileFacts {
    let file = File::open(path).unwrap();
    let facts = FileCache::default().facts(&file);
    FileFacts::clone(&facts.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn intercept(facts: &FileFacts) -> Intercept {
    facts.intercept.clone().unwrap().unwrap()
}

/// What binutils' `nm` has, in any table.
fn nm(path: &Path, name: &str) -> Option<u64> {
    ["", "-D"].into_iter().find_map(|table| {
        let mut command = Command::new("nm");
        if !table.is_empty() {
            command.arg(table);
        }
        let output = command.arg(path).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_suffix(name)?.strip_suffix(" t "));
        u64::from_str_radix(line?, 16).ok()
    })
}

#[test]
fn every_build_has_its_intercept_stripped_or_not() {
    let modules = modules();
    if modules.is_empty() {
        skip(
            "every_build_has_its_intercept_stripped_or_not",
            "no mod_wsgi is installed; `cargo xtask test` installs one",
        );
        return;
    }
    let scratch = Scratch::new("modules").unwrap();
    for (what, (path, told)) in modules {
        let whole = facts(&path);
        let version = whole.mod_wsgi.clone().unwrap();
        if let Some(told) = told {
            assert_eq!(version, told, "{what}");
        }
        let found = intercept(&whole);
        let symbol = nm(&path, "SignalIntercept_call");
        assert_eq!(
            symbol.is_some(),
            found.ways.contains(&Way::Symbol),
            "{what}"
        );
        assert_eq!(symbol.unwrap_or(found.address), found.address, "{what}");
        // Up to 5.x the type is exported, which no strip takes away.
        let left: &[Way] = if version.starts_with(['4', '5']) {
            &[Way::ExportedType, Way::NamedType]
        } else {
            &[Way::NamedSpecification]
        };
        assert!(found.ways.ends_with(left), "{what}: {:?}", found.ways);
        for flag in ["--strip-all", "--strip-unneeded", "--strip-debug"] {
            let stripped = scratch.path().join("stripped.so");
            let mut strip = Command::new("strip");
            let status = strip.arg(flag).arg("-o").arg(&stripped).arg(&path).status();
            assert!(status.unwrap().success(), "{what}: strip {flag}");
            let facts = facts(&stripped);
            let again = intercept(&facts);
            assert_eq!(facts.mod_wsgi.as_ref(), Some(&version), "{what} {flag}");
            // Offsets may move, addresses do not.
            assert_eq!(again.address, found.address, "{what} {flag}");
            assert!(
                again.ways.ends_with(left),
                "{what} {flag}: {:?}",
                again.ways
            );
        }
        eprintln!("{what}: {version}, {:#x}, {:?}", found.address, found.ways);
    }
}

/// A package's upgrade under a running server: until it reloads, the file that is gone is the one to
/// probe, and then the new one.
#[test]
fn a_module_that_is_replaced_is_followed() {
    const NAME: &str = "a_module_that_is_replaced_is_followed";
    let Some(system) = Installation::find() else {
        skip(NAME, "no httpd with mod_wsgi is installed");
        return;
    };
    if !rustix::process::geteuid().is_root() {
        skip(
            NAME,
            "root is needed to reach a file that is mapped and gone",
        );
        return;
    }
    let scratch = Scratch::new("replaced").unwrap();
    let module = scratch.path().join("mod_wsgi.so");
    let next = scratch.path().join("next.so");
    for path in [&module, &next] {
        fs::copy(&system.mod_wsgi, path).unwrap();
    }
    let server = Builder::new(Mpm::Event).unwrap().mod_wsgi(&module);
    let server = server.start().unwrap();
    let look = || -> InterceptTarget {
        let look = Scanner::new("/proc").look(server.pid()).unwrap().unwrap();
        let [target] = <[_; 1]>::try_from(look.intercepts).unwrap();
        target
    };
    let (before, new) = (look(), fs::metadata(&next).unwrap().ino());
    assert_eq!(before.file.inode, fs::metadata(&module).unwrap().ino());
    fs::rename(&next, &module).unwrap();
    let gone = look();
    assert_eq!((gone.file, &gone.found), (before.file, &before.found));
    let open = fs::metadata(gone.open.path()).unwrap();
    assert_eq!((open.ino(), open.nlink()), (before.file.inode, 0));
    server.graceful().unwrap();
    assert_eq!(look().file.inode, new);
}
