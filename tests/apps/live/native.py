"""Calls whose maker only a native stack tells, one for each path, like `hard.py`."""

import ctypes
import json
import os

from recording import Recorder

FOLDER = os.path.dirname(os.path.abspath(__file__))
OUTER = ctypes.CDLL(os.path.join(FOLDER, "libouter.so"))
INNER = ctypes.CDLL(os.path.join(FOLDER, "libinner.so"))
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)


def take(recorder, number):
    """A library takes a signal."""
    INNER.native_take(recorder.here(number, [number]))


def interleave(recorder, number):
    """A library calls Python, which calls another library, which takes the signal."""

    def called_back(number):
        return INNER.native_take(recorder.here(number, [number]))

    OUTER.native_dispatch(CALLBACK(called_back), number)


def by_itself(recorder, number):
    """A library calls Python, which takes the signal by itself."""

    def called_back(number):
        own = ctypes.CDLL(None)
        own.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
        own.signal(recorder.here(number, [number]), 1)
        return 0

    OUTER.native_dispatch(CALLBACK(called_back), number)


def thread(recorder, number):
    """A library ignores a signal, in a thread that has never seen Python."""
    INNER.native_thread(number)


def load(recorder, number):
    """A library that is loaded by this very call takes a signal."""
    file = os.path.join(FOLDER, "libfresh.so").encode()
    OUTER.native_load(file, recorder.here(number, [number]))


def made(recorder, number):
    """Code that a library has made ignores a signal."""
    INNER.native_made(recorder.here(number, [number]))


ROUTES = {
    function.__name__: function
    for function in (take, interleave, by_itself, thread, load, made)
}


def application(environ, start_response):
    """`/NAME/SIGNAL` calls the function of that name."""
    recorder = Recorder()
    _, name, number = environ["PATH_INFO"].split("/")
    ROUTES[name](recorder, int(number))
    body = json.dumps(recorder.report()).encode("utf-8")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
