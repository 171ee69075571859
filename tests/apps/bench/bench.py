"""The application of `cargo xtask bench`: calls into C from a stack of exactly `frames` frames.

`/toggle/1500/20` changes SIGUSR2 1,500 times from a stack of 20 frames, `/repeat/…` sets SIGPIPE
to what it is, `/deep/30/20/50` is like the first with 50 frames of C below, `/attempt/…` calls
`signal.signal`, which mod_wsgi blocks. The answer is one line
of JSON.

Every frame has a code object and a file name of its own, as in an application with a framework
and middleware: a function that called itself would be cheaper to record than real stacks are.
"""

import ctypes
import functools
import json
import os
import signal
import sys
import time
import types

import mod_wsgi

HERE = os.path.dirname(os.path.abspath(__file__))
# PyDLL keeps the interpreter lock: nothing but the calls is in the time.
LIBRARY = ctypes.PyDLL(os.path.join(HERE, "libbench.so"))


def on_alarm(number, frame):
    """Never called: mod_wsgi blocks its registration."""


def attempt(number, calls):
    """From Python, because the intercept is a Python object; nanoseconds in all."""
    begin = time.thread_time_ns()
    for _ in range(calls):
        signal.signal(number, on_alarm)
    return time.thread_time_ns() - begin


KINDS = {
    "toggle": (LIBRARY.bench_toggle, signal.SIGUSR2),
    "repeat": (LIBRARY.bench_repeat, signal.SIGPIPE),
    "attempt": (attempt, signal.SIGALRM),
}
for function in (LIBRARY.bench_toggle, LIBRARY.bench_repeat):
    function.argtypes = [ctypes.c_int, ctypes.c_int]
    function.restype = ctypes.c_longlong
LIBRARY.bench_deep.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
LIBRARY.bench_deep.restype = ctypes.c_longlong


def step(rest, function, number, calls):
    """One frame of the stack; the innermost one calls C."""
    if rest:
        return rest[0](rest[1:], function, number, calls)
    return function(number, calls)


def layer(index):
    """`step` as if it stood in another file under another name."""
    name = f"Layer{index}.handle"
    changes = {"co_filename": os.path.join(HERE, f"layer_{index:03}.py"), "co_name": "handle"}
    if hasattr(step.__code__, "co_qualname"):
        changes["co_qualname"] = name
    return types.FunctionType(step.__code__.replace(**changes), globals(), name)


LAYERS = tuple(layer(index) for index in range(255))


def application(environ, start_response):
    """The outermost frame."""
    _, kind, calls, frames, *native = environ["PATH_INFO"].split("/")
    if kind == "deep":
        # A partial object is no frame.
        function, number = functools.partial(LIBRARY.bench_deep, int(native[0])), signal.SIGUSR2
    else:
        function, number = KINDS[kind]
    layers, calls = LAYERS[: int(frames) - 1], int(calls)
    if layers:
        nanoseconds = layers[0](layers[1:], function, number, calls)
    else:
        nanoseconds = function(number, calls)
    answer = {
        "pid": os.getpid(),
        "nanoseconds": nanoseconds,
        "python": sys.version.split()[0],
        "mod_wsgi": ".".join(map(str, mod_wsgi.version)),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
