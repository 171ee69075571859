//! Extensions: Rust, C and C++ libraries, those of the standard library among them.

use super::{
    When::{Embedded, Import, Request},
    check,
    expect::{
        Expected, Inner,
        Side::{Default, Handler, Ignore},
    },
};

const MOD_WSGI: &str = "mod_wsgi.so";
const HTTPD: &str = "apache2";
const PYTHON: &str = "libpython3.";
const RESERVED: &str = "reserved-signal";
const RESTRICTED: &str = "restricted-registration";

/// `import` of a package that is a directory with an `__init__.py` (CPython 3.11).
const IMPORTING: [Inner; 5] = [
    (
        "importlib._bootstrap>",
        "_call_with_frames_removed",
        "return f(*args",
    ),
    (
        "importlib._bootstrap_external>",
        "_LoaderBasics.exec_module",
        "_call_with_frames_removed(exec",
    ),
    (
        "importlib._bootstrap>",
        "_load_unlocked",
        "exec_module(module)",
    ),
    (
        "importlib._bootstrap>",
        "_find_and_load_unlocked",
        "_load_unlocked(spec)",
    ),
    (
        "importlib._bootstrap>",
        "_find_and_load",
        "_find_and_load_unlocked(",
    ),
];

/// polars takes SIGINT when it is imported, and never gives it back.
const fn polars(old: &'static str) -> Expected {
    const PYTHON: &[Inner] = &[
        ("/polars/__init__.py", "<module>", "register_startup_deps("),
        IMPORTING[0],
        IMPORTING[1],
        IMPORTING[2],
        IMPORTING[3],
        IMPORTING[4],
    ];
    Expected::new("SIGINT", Handler(old), Handler("_polars_runtime"))
        .by(
            "_polars_runtime",
            &[
                ("_polars_runtime", "Once"),
                ("_polars_runtime", "register_startup_deps"),
                ("libpython3.", "_PyEval_EvalFrameDefault"),
                (MOD_WSGI, ""),
            ],
        )
        .through(PYTHON)
        .finding(RESERVED)
}

#[test]
fn polars_takes_sigint_in_a_daemon() {
    let expected = [polars(MOD_WSGI)];
    check(
        "extensions::polars_takes_sigint_in_a_daemon",
        &["polars"],
        "polars",
        (Request, true),
        &expected,
    );
}

#[test]
fn polars_takes_sigint_in_an_embedded_worker() {
    let expected = [polars(HTTPD)];
    check(
        "extensions::polars_takes_sigint_in_an_embedded_worker",
        &["polars"],
        "polars",
        (Embedded, true),
        &expected,
    );
}

/// Off does not make it good: SIGINT is the server's.
#[test]
fn polars_takes_sigint_at_import_without_the_restriction() {
    let expected = [polars(MOD_WSGI)];
    check(
        "extensions::polars_takes_sigint_at_import_without_the_restriction",
        &["polars"],
        "polars",
        (Import, false),
        &expected,
    );
}

/// libcurl ignores SIGPIPE around all it does, and puts back what stood there: in a worker that is
/// the same, so that nothing is found.
#[test]
fn libcurl_ignores_what_is_ignored() {
    const PERFORM: Expected = Expected::new("SIGPIPE", Ignore, Ignore).by(
        "libcurl",
        &[
            ("libcurl", "curl_easy_perform"),
            ("_pycurl.", "do_curl_perform"),
            ("libpython3.", "_PyEval_EvalFrameDefault"),
        ],
    );
    const CLOSE: Expected = Expected::new("SIGPIPE", Ignore, Ignore).by(
        "libcurl",
        &[
            ("libcurl", "curl_easy_cleanup"),
            ("_pycurl.", "do_curl_close"),
            ("libpython3.", "_PyEval_EvalFrameDefault"),
        ],
    );
    let expected = [
        PERFORM, PERFORM, PERFORM, PERFORM, PERFORM, PERFORM, CLOSE, CLOSE,
    ];
    check(
        "extensions::libcurl_ignores_what_is_ignored",
        &["pycurl"],
        "pycurl",
        (Request, true),
        &expected,
    );
}

/// Where Python has a handler for SIGINT, pyarrow takes it over while it reads a file. Python's own
/// comes from `signal.signal`, which needs the restriction off.
#[test]
fn pyarrow_takes_sigint_while_it_reads() {
    const SET: &str = "arrow::internal::SetSignalHandler";
    let expected = [
        Expected::new("SIGINT", Handler(MOD_WSGI), Handler(PYTHON))
            .through(&[("/signal.py", "signal", "_signal.signal(")])
            .finding(RESERVED)
            .by_signal_signal(),
        Expected::new("SIGINT", Handler(PYTHON), Handler("libarrow.so"))
            .by(
                "libarrow.so",
                &[
                    ("libarrow.so", SET),
                    ("libarrow.so", "RegisterHandlers"),
                    ("libarrow.so", "RegisterCancellingSignalHandler"),
                    ("lib.cpython-", "SignalStopHandler"),
                    ("_csv.cpython-", "read_csv"),
                ],
            )
            .finding(RESERVED)
            .resolved(),
        Expected::new("SIGINT", Handler("libarrow.so"), Handler(PYTHON)).by(
            "libarrow.so",
            &[
                ("libarrow.so", SET),
                ("libarrow.so", "UnregisterHandlers"),
                ("lib.cpython-", "SignalStopHandler"),
                ("_csv.cpython-", "read_csv"),
            ],
        ),
    ];
    check(
        "extensions::pyarrow_takes_sigint_while_it_reads",
        &["pyarrow"],
        "pyarrow",
        (Import, false),
        &expected,
    );
}

/// faulthandler is a part of the interpreter: who called it is to blame, and no module.
#[test]
fn faulthandler_is_the_callers_doing() {
    const fn crash(signal: &'static str) -> Expected {
        Expected::new(signal, Default, Handler("libpython3.")).finding(RESTRICTED)
    }
    let crashes = ["SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGSEGV"].map(crash);
    let expected = [&crashes[..], &[crash("SIGUSR2")]].concat();
    check(
        "extensions::faulthandler_is_the_callers_doing",
        &[],
        "faulthandler",
        (Request, true),
        &expected,
    );
}

/// An extension of the standard library that takes a signal of the server's when it is imported: who
/// imported it is to blame.
#[test]
fn readline_takes_sigwinch() {
    const INNER: &[Inner] = &[
        IMPORTING[0],
        (
            "importlib._bootstrap_external>",
            "ExtensionFileLoader.create_module",
            "_call_with_frames_removed(",
        ),
        (
            "importlib._bootstrap>",
            "module_from_spec",
            "create_module(spec)",
        ),
        (
            "importlib._bootstrap>",
            "_load_unlocked",
            "module_from_spec(spec)",
        ),
        IMPORTING[3],
        IMPORTING[4],
    ];
    let expected = Expected {
        native: &[
            ("libpython3.", "PyOS_setsig"),
            ("readline.cpython-", "PyInit_readline"),
            ("libpython3.", "_PyEval_EvalFrameDefault"),
        ],
        ..Expected::new("SIGWINCH", Default, Handler("readline.cpython-"))
            .through(INNER)
            .finding(RESERVED)
    };
    check(
        "extensions::readline_takes_sigwinch",
        &[],
        "readline",
        (Request, true),
        &[expected],
    );
}

/// ncurses takes what nobody has taken yet; SIGINT and SIGTERM are mod_wsgi's.
#[test]
fn ncurses_takes_what_is_free() {
    const INNER: &[Inner] = &[("/curses/__init__.py", "initscr", "_curses.initscr()")];
    let take = |signal, rule| {
        Expected::new(signal, Default, Handler("libncursesw.so"))
            .by(
                "libncursesw.so",
                &[
                    ("libncursesw.so", "newterm"),
                    ("libncursesw.so", "initscr"),
                    ("_curses.cpython-", ""),
                    ("libpython3.", "_PyEval_EvalFrameDefault"),
                ],
            )
            .through(INNER)
            .finding(rule)
    };
    check(
        "extensions::ncurses_takes_what_is_free",
        &[],
        "curses",
        (Request, true),
        &[take("SIGTSTP", RESTRICTED), take("SIGWINCH", RESERVED)],
    );
}
