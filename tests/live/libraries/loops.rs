//! Event loops: libev in gevent, libuv in uvloop, the standard library's.

use super::{
    When::{Embedded, Import, Request},
    check, check_attempts,
    expect::{
        End, Expected, Inner, NEVER_DISPATCHED,
        Side::{self, Default, Handler},
    },
};

const PYTHON: Side = Handler("libpython3.");
const RESTRICTED: &str = "restricted-registration";
const LIBEV: &str = "corecext.cpython-";
const LIBUV: &str = "loop.cpython-";

/// gevent's first loop takes SIGCHLD and gives it back; a watcher takes SIGUSR2 until it is cancelled.
fn gevent() -> [Expected; 4] {
    const HUB: &[Inner] = &[
        ("/gevent/hub.py", "Hub.__init__", "self.loop_class("),
        ("/gevent/hub.py", "sleep", "_get_hub_noargs()"),
    ];
    const EVAL: (&str, &str) = ("libpython3.", "_PyEval_EvalFrameDefault");
    [
        Expected::new("SIGCHLD", Default, Handler(LIBEV))
            .by(
                LIBEV,
                &[(LIBEV, "ev_signal_start"), (LIBEV, "ev_default_loop"), EVAL],
            )
            .through(HUB)
            .finding(RESTRICTED)
            .resolved(),
        Expected::new("SIGCHLD", Handler(LIBEV), Default)
            .by(LIBEV, &[(LIBEV, "corecext_loop"), EVAL])
            .through(HUB),
        Expected::new("SIGUSR2", Default, Handler(LIBEV))
            .by(
                LIBEV,
                &[
                    (LIBEV, "ev_signal_start"),
                    (LIBEV, "watcher_start"),
                    (LIBEV, "watcher_3start"),
                    EVAL,
                ],
            )
            .through(&[("/gevent/hub.py", "signal.__init__", "self.watcher.start(")])
            .finding(RESTRICTED)
            .resolved(),
        Expected::new("SIGUSR2", Handler(LIBEV), Default)
            .by(
                LIBEV,
                &[("libc.so", "signal"), (LIBEV, "watcher_5stop"), EVAL],
            )
            .through(&[("/gevent/hub.py", "signal.cancel", "self.watcher.stop()")]),
    ]
}

#[test]
fn gevent_in_a_daemon() {
    check(
        "loops::gevent_in_a_daemon",
        &["gevent", "greenlet"],
        "gevent",
        (Request, true),
        &gevent(),
    );
}

#[test]
fn gevent_in_an_embedded_worker() {
    check(
        "loops::gevent_in_an_embedded_worker",
        &["gevent", "greenlet"],
        "gevent",
        (Embedded, true),
        &gevent(),
    );
}

/// libuv takes SIGCHLD for its first child. The second half runs deep inside of libuv's own loop, so
/// that the copy of the stack may end before the stack does. Not embedded: threads of the event MPM
/// block SIGCHLD, and libuv would wait for ever.
#[test]
fn uvloop_takes_sigchld_while_a_child_is_there() {
    let expected = [
        Expected::new("SIGCHLD", Default, Handler(LIBUV))
            .by(
                LIBUV,
                &[
                    (LIBUV, "uv__signal_start"),
                    (LIBUV, "uv_spawn"),
                    (LIBUV, "UVProcess"),
                    ("libpython3.", "_PyEval_EvalFrameDefault"),
                ],
            )
            .through(&[(
                "/asyncio/subprocess.py",
                "create_subprocess_exec",
                "loop.subprocess_exec(",
            )])
            .ends(End::Any)
            .finding(RESTRICTED)
            .resolved(),
        Expected::new("SIGCHLD", Handler(LIBUV), Default)
            .by(
                LIBUV,
                &[
                    (LIBUV, "uv__signal_stop"),
                    (LIBUV, "uv_close"),
                    (LIBUV, "UVProcess"),
                ],
            )
            .through(&[
                ("/asyncio/runners.py", "Runner.run", "run_until_complete("),
                ("/uvloop/__init__.py", "run", "runner.run("),
            ])
            .ends(End::Any),
    ];
    check(
        "loops::uvloop_takes_sigchld_while_a_child_is_there",
        &["uvloop"],
        "uvloop",
        (Request, true),
        &expected,
    );
}

/// Under the restriction mod_wsgi swallows asyncio's `signal.signal`. The `siginterrupt` behind it is
/// seen, and changes no more than SA_RESTART: no finding.
#[test]
fn asyncio_is_swallowed_but_for_siginterrupt() {
    let expected = [Expected::new("SIGUSR2", Default, Default).through(&[(
        "/asyncio/unix_events.py",
        "_UnixSelectorEventLoop.add_signal_handler",
        "signal.siginterrupt(sig, False)",
    )])];
    const FILE: &str = "/asyncio/unix_events.py";
    check_attempts(
        "loops::asyncio_is_swallowed_but_for_siginterrupt",
        &[],
        "asyncio",
        (Import, true),
        &expected,
        &[
            ("SIGUSR2", FILE, "_UnixSelectorEventLoop.add_signal_handler"),
            (
                "SIGUSR2",
                FILE,
                "_UnixSelectorEventLoop.remove_signal_handler",
            ),
        ],
    );
}

/// Off: the same calls arrive, and SIGUSR2 is not the server's.
#[test]
fn asyncio_may_take_what_is_free() {
    const SIGNAL: Inner = ("/signal.py", "signal", "_signal.signal(");
    const ADD: &str = "_UnixSelectorEventLoop.add_signal_handler";
    const REMOVE: &str = "_UnixSelectorEventLoop.remove_signal_handler";
    const FILE: &str = "/asyncio/unix_events.py";
    let expected = [
        Expected::new("SIGUSR2", Default, PYTHON)
            .through(&[SIGNAL, (FILE, ADD, "signal.signal(sig, _sighandler_noop)")])
            .finding(NEVER_DISPATCHED)
            .resolved()
            .by_signal_signal(),
        Expected::new("SIGUSR2", PYTHON, PYTHON).through(&[(
            FILE,
            ADD,
            "signal.siginterrupt(sig, False)",
        )]),
        Expected::new("SIGUSR2", PYTHON, Default)
            .through(&[SIGNAL, (FILE, REMOVE, "signal.signal(sig, handler)")])
            .by_signal_signal(),
    ];
    check(
        "loops::asyncio_may_take_what_is_free",
        &[],
        "asyncio",
        (Import, false),
        &expected,
    );
}

/// uvloop calls `siginterrupt` from its own code: it is to blame, where asyncio's Python is not.
#[test]
fn uvloop_is_swallowed_but_for_siginterrupt() {
    let expected = [Expected::new("SIGUSR2", Default, Default).by(
        LIBUV,
        &[
            ("libpython3.", ""),
            (LIBUV, "add_signal_handler"),
            ("libpython3.", "_PyEval_EvalFrameDefault"),
        ],
    )];
    check_attempts(
        "loops::uvloop_is_swallowed_but_for_siginterrupt",
        &["uvloop"],
        "uvloop_signal",
        (Import, true),
        &expected,
        &[("SIGUSR2", "/uses.py", "uvloop_signal")],
    );
}
