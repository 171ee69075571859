//! Whole runtimes inside of a worker: Go and Java.

use sigblame_tests::{libraries::java, skip};

use super::{
    When::{Import, Request},
    check,
    expect::{
        End, Expected, Inner,
        Side::{Default, Handler, Ignore},
    },
};

const MOD_WSGI: &str = "mod_wsgi.so";
const RESERVED: &str = "reserved-signal";
const RESTRICTED: &str = "restricted-registration";
const SIGPIPE: &str = "sigpipe-not-ignored";

/// A Go library takes what Go needs when it is loaded. Where somebody has a handler already it keeps
/// that one, and sets it anew with SA_ONSTACK, which is no takeover.
#[test]
fn go_takes_its_signals_when_it_is_loaded() {
    const GO: &str = "tls-client-";
    const PYTHON: &[Inner] = &[
        ("/ctypes/__init__.py", "CDLL.__init__", "_dlopen("),
        (
            "/ctypes/__init__.py",
            "LibraryLoader.LoadLibrary",
            "self._dlltype(name)",
        ),
        ("/tls_client/cffi.py", "_load_library", "LoadLibrary("),
        ("/tls_client/cffi.py", "load_library", "_load_library("),
        ("/tls_client/cffi.py", "request", "load_library("),
        (
            "/tls_client/sessions.py",
            "Session.execute_request",
            "request(",
        ),
        (
            "/tls_client/sessions.py",
            "Session.get",
            "self.execute_request(",
        ),
    ];
    let keep = |signal| {
        Expected::new(signal, Handler(MOD_WSGI), Handler(MOD_WSGI))
            .by(
                GO,
                &[
                    (GO, "x_cgo_sigaction"),
                    (GO, "runtime.setsigstack"),
                    (GO, "runtime.initsig"),
                    (GO, "_rt0_amd64_lib"),
                    ("ld-linux", "call_init"),
                    ("libc.so", "dlopen"),
                    ("libpython3.", "_PyEval_EvalFrameDefault"),
                ],
            )
            .through(PYTHON)
    };
    let take = |signal, old, rule| {
        Expected::new(signal, old, Handler(GO))
            .by(
                GO,
                &[
                    (GO, "x_cgo_sigaction"),
                    (GO, "runtime.setsig"),
                    (GO, "runtime.initsig"),
                    (GO, "_rt0_amd64_lib"),
                    ("ld-linux", "call_init"),
                    ("libc.so", "dlopen"),
                    ("libpython3.", "_PyEval_EvalFrameDefault"),
                ],
            )
            .through(PYTHON)
            .finding(rule)
    };
    let expected = [
        keep("SIGINT"),
        take("SIGBUS", Default, RESTRICTED),
        take("SIGFPE", Default, RESTRICTED),
        keep("SIGUSR1"),
        take("SIGSEGV", Default, RESTRICTED),
        take("SIGPIPE", Ignore, SIGPIPE),
        keep("SIGTERM"),
        take("SIGURG", Default, RESTRICTED),
        keep("SIGXCPU"),
    ];
    check(
        "runtimes::go_takes_its_signals_when_it_is_loaded",
        &["tls-client"],
        "tls_client",
        (Request, true),
        &expected,
    );
}

const JVM: &str = "libjvm.so";
const STARTING: &[Inner] = &[("/jpype/_core.py", "startJVM", "_jpype.startup(")];

/// What the machine's own start takes, `-Xrs` or not.
fn machine() -> Vec<Expected> {
    let take = |signal, old, rule| {
        Expected::new(signal, old, Handler(JVM))
            .by(
                JVM,
                &[
                    (JVM, "PosixSignals::init"),
                    (JVM, "Threads::create_vm"),
                    (JVM, "JNI_CreateJavaVM"),
                    ("_jpype.so", "startJVM"),
                    ("libpython3.", "_PyEval_EvalFrameDefault"),
                ],
            )
            .through(STARTING)
            .finding(rule)
    };
    vec![
        take("SIGUSR2", Default, RESTRICTED),
        take("SIGSEGV", Default, RESTRICTED),
        take("SIGPIPE", Ignore, SIGPIPE),
        take("SIGBUS", Default, RESTRICTED),
        take("SIGILL", Default, RESTRICTED),
        take("SIGFPE", Default, RESTRICTED),
        take("SIGXFSZ", Ignore, RESTRICTED),
    ]
}

/// Loading libnet takes a real-time signal to wake threads with. Its constructor runs, so that it is
/// mapped milliseconds before; Java's own frames below it have no unwind information.
fn network() -> Expected {
    Expected::new("SIGRTMIN+28", Default, Handler("libnet.so"))
        .by(
            "libnet.so",
            &[("libnet.so", "init"), ("ld-linux", "call_init")],
        )
        .through(STARTING)
        .ends(End::Any)
        .finding(RESTRICTED)
}

fn on_java(test: &str, name: &str, when: super::When, expected: &[Expected]) {
    if java().is_none() {
        let why = "no Java virtual machine: `cargo xtask setup java`";
        return skip(&format!("libraries::{test}"), why);
    }
    check(test, &["JPype1"], name, (when, true), expected);
}

/// Java takes the server's signals to run its shutdown hooks.
#[test]
fn java_takes_the_servers_signals() {
    let quit = Expected::new("SIGQUIT", Default, Handler(JVM))
        .by(JVM, &[(JVM, "os::signal"), (JVM, "JNI_CreateJavaVM")])
        .through(STARTING)
        .finding(RESTRICTED);
    let take = |signal, old| {
        // From `jdk.internal.misc.Signal.handle0`, which Java's interpreter calls: made at run time.
        Expected::new(signal, old, Handler(JVM))
            .by(JVM, &[(JVM, "os::signal")])
            .through(STARTING)
            .ends(End::Any)
            .finding(RESERVED)
    };
    let mut expected = machine();
    expected.extend([
        quit,
        take("SIGHUP", Default),
        take("SIGINT", Handler(MOD_WSGI)),
        take("SIGTERM", Handler(MOD_WSGI)),
        network(),
    ]);
    let test = "runtimes::java_takes_the_servers_signals";
    on_java(test, "jpype", Request, &expected);
}

/// With `-Xrs`, which the remedy names, they stay the server's.
#[test]
fn java_leaves_them_alone_when_it_is_told_to() {
    let mut expected = machine();
    expected.push(network());
    let test = "runtimes::java_leaves_them_alone_when_it_is_told_to";
    on_java(test, "jpype_xrs", Import, &expected);
}
