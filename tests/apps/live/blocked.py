"""Calls that mod_wsgi's intercept swallows, and some that it refuses.

The answer is JSON: who made which calls from which lines, and what each handler was.
"""

import ctypes
import enum
import json
import signal
import threading
import types

from recording import Recorder


def on_signal(number, frame):
    """A handler that is a function."""


class Handlers:
    """Handlers that are none."""

    def on_signal(self, number, frame):
        """A bound method."""

    def __call__(self, number, frame):
        """An object that can be called."""


class AVeryLongNameOfAClassThatHasNoRoomInTheRecordOfAnAttemptForWhichItIsTooLong(Handlers):
    """Its name is cut."""


class Number(enum.IntEnum):
    """A signal by another name."""

    USR2 = 12


LIBC = ctypes.CDLL(None)

#: A class of an application's that is called as functions are.
IMPOSTOR = type("function", (Handlers,), {})


def line(function):
    return function.__code__.co_firstlineno


def swallowed(recorder):
    """What is told, and how."""
    here = recorder.here
    for number, handler, kind in (
        (signal.SIGTERM, signal.SIG_DFL, "default"),
        (signal.SIGHUP, signal.SIG_IGN, "ignore"),
        (15, 0, "default"),
        (15, 1, "ignore"),
        (12, on_signal, "function %d on_signal" % line(on_signal)),
        (Number.USR2, Handlers().on_signal, "function %d Handlers.on_signal" % line(Handlers.on_signal)),
        (10, [].append, "object builtin_function_or_method"),
        (10, types.MethodType(len, ""), "object builtin_function_or_method"),
        (10, types.MethodType(Handlers(), 0), "object Handlers"),
        (True, Handlers(), "object Handlers"),
        (0, len, "object builtin_function_or_method"),
        (64, 5, "object int"),
        (-1, None, "object NoneType"),
        (2**31 - 1, AVeryLongNameOfAClassThatHasNoRoomInTheRecordOfAnAttemptForWhichItIsTooLong(),
         "object AVeryLongNameOfAClassThatHasNoRoomInTheRecordOfAnAttemptForWhichItIsTooLong"[:70] + "…"),
        (-(2**31), IMPOSTOR(), "object function"),
        (70, lambda number, frame: None, "function"),
    ):
        signal.signal(here(number, [number]), handler)
        recorder.note(kind)


def refused(recorder):
    """What is no attempt."""
    for arguments in (
        (),
        (15,),
        (15, on_signal, 1),
        ("15", on_signal),
        (2**31, on_signal),
        (-(2**31) - 1, on_signal),
        (2**100, on_signal),
        (None, on_signal),
        (1.5, on_signal),
    ):
        try:
            signal.signal(*arguments)
        except (TypeError, OverflowError):
            recorder.note("refused")
        else:
            recorder.note("taken: %r" % (arguments,))


def first(number, handler):
    signal.signal(number, handler)


def second(number, handler):
    signal.signal(number, handler)


def third(number, handler):
    signal.signal(number, handler)


def fourth(number):
    LIBC.signal(number, 1)


def many(recorder):
    """Eight threads, each with its own pairs of function and signal, and one past the intercept."""
    ways = (first, second, third)

    def run(number):
        for turn in range(150):
            ways[(number + turn) % 3](40 + (number + turn) % 3, on_signal)

    def take():
        for _ in range(150):
            fourth(50)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    threads.append(threading.Thread(target=take))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.note(8 * 150)
    recorder.note(150)


ROUTES = {function.__name__: function for function in (swallowed, refused, many)}


def application(environ, start_response):
    """`/NAME` calls the function of that name."""
    recorder = Recorder()
    ROUTES[environ["PATH_INFO"].strip("/")](recorder)
    body = json.dumps(recorder.report()).encode("utf-8")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
