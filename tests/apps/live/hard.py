"""The hard cases, one for each path. The answer is JSON: who made which calls from which lines."""

import ctypes
import json
import os
import signal
import time

from recording import Recorder

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libhard.so")
# CDLL gives up the interpreter lock during a call, PyDLL keeps it.
RELEASING = ctypes.CDLL(FILE)
HOLDING = ctypes.PyDLL(FILE)
for library in (RELEASING, HOLDING):
    library.hard_raw.argtypes = (ctypes.c_int, ctypes.c_void_p)
    library.hard_raw.restype = ctypes.c_long


def cdll(recorder, number):
    """Takes a signal while other threads may run Python."""
    RELEASING.hard_set(recorder.here(number, [number]))


def pydll(recorder, number):
    """Takes a signal while no other thread can run Python."""
    HOLDING.hard_set(recorder.here(number, [number]))


def late(recorder, number):
    """Takes a signal half a second after it gave up the lock."""
    RELEASING.hard_set_late(recorder.here(number, [number]), 500)


def busy(recorder, number):
    """Runs Python for a second, and holds the lock most of the time."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        sum(range(1000))


def reset(recorder, number):
    """Back to the default."""
    RELEASING.hard_reset(recorder.here(number, [number]))


def ignore(recorder, number):
    """Ignores a signal."""
    RELEASING.hard_ignore(recorder.here(number, [number]))


def entry32(recorder, number):
    """Ignores a signal by a 32-bit call; notes what the kernel said to that."""
    before = RELEASING.hard_32(recorder.here(number, [number]))
    recorder.note("result: %d" % before)


def loop(recorder, number):
    """Fifty thousand calls, in about three seconds."""
    failed = RELEASING.hard_loop(recorder.here(number, [number]), 50000, 60)
    recorder.note("failed: %d" % failed)


def contest(recorder, number):
    """One struct, two threads."""
    stands = ctypes.create_string_buffer(1000)
    RELEASING.hard_contest(recorder.here(number, [number]), len(stands), stands)
    RELEASING.hard_reset(number)
    for kind in stands.raw:
        recorder.note({1: "ignore", 2: "handler"}[kind])


def failing(recorder, number):
    """Three calls that the kernel refuses: not this signal, not this address, no such signal."""
    action = ctypes.create_string_buffer(32)
    address = ctypes.addressof(action)
    RELEASING.hard_raw(signal.SIGKILL, recorder.here(address, [signal.SIGKILL]))
    RELEASING.hard_raw(number, recorder.here(8, [number]))
    RELEASING.hard_raw(70, recorder.here(address, [70]))


ROUTES = {function.__name__: function for function in (
    cdll, pydll, late, busy, reset, ignore, entry32, loop, contest, failing
)}


def application(environ, start_response):
    """`/NAME/SIGNAL` calls the function of that name."""
    recorder = Recorder()
    _, name, number = environ["PATH_INFO"].split("/")
    ROUTES[name](recorder, int(number))
    body = json.dumps(recorder.report()).encode("utf-8")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
