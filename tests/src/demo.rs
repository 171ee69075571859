//! The demo site on a server of its own, and what sigblame has to say about each of its links.
//!
//! The Python side, with the sentences that a visitor reads, is in `apps/demo`.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    httpd::{Builder, Httpd, Mpm, Place},
    package_dir, scratch,
};

/// Where the same site runs in a daemon process group.
pub const DAEMON_MOUNT: &str = "/daemon";
/// The daemon process group.
pub const PROCESS_GROUP: &str = "demo";
/// The application group of the site; `billing.py`, behind `/import/`, has its own.
pub const APPLICATION_GROUP: &str = "site";
/// The application group of `billing.py`.
pub const BILLING_GROUP: &str = "billing";
/// What `takeover.c` becomes.
pub const LIBRARY: &str = "libtakeover.so";

/// The link behind which `billing.py` is.
pub const IMPORT: &str = "/import/";

/// A link of the site.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Relative to the mount.
    pub path: &'static str,
    /// What stands there before anybody clicks: a script whose process and application group are
    /// both given is imported when a process starts (`wsgi_add_script_alias` puts it on the list of
    /// `WSGIImportScript`, mod_wsgi 4.7 to 6.1).
    pub at_start: &'static [(&'static str, &'static str)],
    /// Under `WSGIRestrictSignal On`: the signals taken, each with the rule that says most.
    pub findings: &'static [(&'static str, &'static str)],
    /// The signals that it gives back. Findings of an earlier route, or its own, are then resolved.
    pub restores: &'static [&'static str],
}

const fn route(
    path: &'static str,
    findings: &'static [(&'static str, &'static str)],
    restores: &'static [&'static str],
) -> Route {
    Route {
        path,
        at_start: &[],
        findings,
        restores,
    }
}

const RESTRICTED: &str = "restricted-registration";
const BLOCKED: &str = "blocked-attempt";
const CRASHES: &[&str] = &["SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGSEGV"];

/// Every link, in the page's order. Clicked in this order each finding opens once.
pub const ROUTES: &[Route] = &[
    route("/clean/", &[], &[]),
    // Swallowed by mod_wsgi: no system call, so no registration.
    Route {
        path: IMPORT,
        at_start: &[
            ("SIGHUP", BLOCKED),
            ("SIGTERM", BLOCKED),
            ("SIGUSR1", BLOCKED),
        ],
        findings: &[],
        restores: &[],
    },
    route("/library/", &[("SIGTERM", "reserved-signal")], &[]),
    route("/ctypes/", &[("SIGPIPE", "sigpipe-not-ignored")], &[]),
    route("/ctypes/restore", &[], &["SIGPIPE"]),
    route(
        "/faulthandler/",
        &[
            ("SIGBUS", RESTRICTED),
            ("SIGILL", RESTRICTED),
            ("SIGFPE", RESTRICTED),
            ("SIGABRT", RESTRICTED),
            ("SIGSEGV", RESTRICTED),
        ],
        &[],
    ),
    route("/faulthandler/restore", &[], CRASHES),
    route("/subprocess/", &[], &[]),
    route(
        "/system/",
        &[("SIGINT", "reserved-signal"), ("SIGQUIT", RESTRICTED)],
        &["SIGINT", "SIGQUIT"],
    ),
    route("/sigpipe-ignore/", &[], &[]),
    route("/alarm/", &[("SIGALRM", RESTRICTED)], &[]),
    route("/alarm/restore", &[], &["SIGALRM"]),
    route("/thread/", &[("SIGUSR2", RESTRICTED)], &[]),
    route("/thread/restore", &[], &["SIGUSR2"]),
    route("/fork/", &[], &[]),
];

/// Starts a server with the site embedded at `/` and in a daemon group at [`DAEMON_MOUNT`].
///
/// # Errors
/// When httpd, mod_wsgi or a C compiler is missing, or the server does not come up.
pub fn start(mpm: Mpm) -> Result<Httpd> {
    builder(mpm)?.start()
}

/// The same, not started yet, for a test that wants to add something.
///
/// # Errors
/// When httpd, mod_wsgi or a C compiler is missing.
pub fn builder(mpm: Mpm) -> Result<Builder> {
    let daemon = Place::daemon(PROCESS_GROUP, BILLING_GROUP);
    let billing = |builder: Builder, mount: &str, place: &Place| {
        builder.script(&format!("{mount}/import"), "billing.py", place)
    };
    // The first prefix that fits wins.
    let builder = billing(group(mpm)?, DAEMON_MOUNT, &daemon);
    let builder = billing(builder, "", &Place::embedded(BILLING_GROUP));
    Ok(pages(builder))
}

/// The site without `billing.py` and its link: nothing that it imports wants a signal.
///
/// # Errors
/// When httpd, mod_wsgi or a C compiler is missing.
pub fn without_billing(mpm: Mpm) -> Result<Builder> {
    Ok(pages(group(mpm)?))
}

/// The files, the library and the process group.
fn group(mpm: Mpm) -> Result<Builder> {
    let source = package_dir().join("apps/demo");
    let builder = Builder::new(mpm)?.files(&source)?;
    compile(&source.join("takeover.c"), &builder.app_dir().join(LIBRARY))?;
    Ok(builder.daemon(PROCESS_GROUP, "processes=1 threads=3"))
}

/// The pages, in both mounts.
fn pages(builder: Builder) -> Builder {
    builder
        .script(
            DAEMON_MOUNT,
            "pages.py",
            &Place::daemon(PROCESS_GROUP, APPLICATION_GROUP),
        )
        .script("/", "pages.py", &Place::embedded(APPLICATION_GROUP))
}

/// Compiles a C file to a shared library that a server's workers can load.
///
/// # Errors
/// When there is no C compiler, or it finds fault with the file.
pub fn compile(source: &Path, library: &Path) -> Result<()> {
    compile_with(source, library, &[])
}

/// The same with more options for the compiler.
///
/// # Errors
/// As [`compile`].
pub fn compile_with(source: &Path, library: &Path, options: &[&str]) -> Result<()> {
    let output = Command::new("cc")
        .args(["-O2", "-g", "-fPIC", "-shared", "-Wl,--build-id"])
        .args(["-Wall", "-Wextra"])
        .args(options)
        .arg("-o")
        .arg(library)
        .arg(source)
        .output()
        .context("failed to start cc: install a C compiler, like the package gcc")?;
    if !output.status.success() {
        bail!(
            "failed to compile {}:\n{}",
            source.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    scratch::make_readable(library)
}
