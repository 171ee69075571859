"""Threads: Python's own, those of C, and what they hold."""

import json
import os
import sys
import threading

import matrix_native as native
import recording
from cases import CURRENT, SIGUSR2, case


def note_without_python(recorder, tid):
    """A registration from a thread that has no frame of Python."""
    recorder.here(SIGUSR2, [SIGUSR2])
    recorder.calls[-1].update(tid=tid, frames=[])


@case
def started(take):
    """By `threading`, one after the other and two at once."""

    class Worker(threading.Thread):
        """With a method of its own."""

        def run(self):
            take()

    for threads in ([threading.Thread(target=take)], [Worker(), threading.Thread(target=take)]):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@case
def two_hundred(take):
    """All of them there at the same time, each with a stack of its own."""
    count = 200
    everybody = threading.Barrier(count)

    def down(depth):
        if depth:
            return down(depth - 1)
        everybody.wait(30)
        take()
        everybody.wait(30)

    threads = [threading.Thread(target=down, args=(number % 7,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@case
def lock_given_up(take):
    """The stack of a thread whose interpreter runs something else meanwhile."""
    done = threading.Event()

    def busy():
        while not done.is_set():
            sum(range(100))

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        native.give_up(take.recorder.here, SIGUSR2)
    finally:
        done.set()
        thread.join()


@case
def by_ctypes(take):
    """`CDLL` gives up the lock, `PyDLL` keeps it."""
    # Before CPython 3.13 it does not load into an interpreter with a lock of its own.
    import ctypes

    here = take.recorder.here
    ctypes.CDLL(native.__file__).matrix_ignore(here(SIGUSR2, [SIGUSR2]))
    ctypes.PyDLL(native.__file__).matrix_ignore(here(SIGUSR2, [SIGUSR2]))
    ctypes.CFUNCTYPE(ctypes.c_long)(lambda: take() or 0)()


@case
def without_python(take):
    """A thread of C that Python does not know."""
    note_without_python(take.recorder, native.bare(SIGUSR2))


@case
def entered_from_c(take):
    """A thread of C that enters Python. Only in the main interpreter: `PyGILState_Ensure` knows no
    other one."""

    def inner():
        CURRENT.take = take
        native.call(take)
        native.give_up(take.recorder.here, SIGUSR2)

    native.foreign(inner)


# What an interpreter of its own does. It knows nothing of this one; what it notes goes into a pipe.
INNER = """
import json, os, sys
sys.path[:0] = [path]
from cases import SIGUSR2, begin
import matrix_native as native
take = begin()

def inner():
    take()
    sorted([1], key=lambda _: take())
    if released:
        native.give_up(take.recorder.here, SIGUSR2)

inner()
with os.fdopen(pipe, "w") as file:
    json.dump(take.recorder.calls, file)
"""


@case
def inner_interpreter(take):
    """Another interpreter on the same thread, on top of this one, which waits."""
    interpreters = recording.INTERPRETERS
    if interpreters is None:
        take()
        return
    inner = interpreters.create()
    reader, writer = os.pipe()
    # Without the lock nothing tells the two apart before CPython 3.12.
    shared = {
        "path": os.path.dirname(os.path.abspath(__file__)),
        "pipe": writer,
        "released": int(sys.version_info >= (3, 12)),
    }
    try:
        interpreters.run_string(inner, INNER, shared=shared)
    finally:
        interpreters.destroy(inner)
    with os.fdopen(reader) as file:
        take.recorder.calls += json.load(file)
    take()
