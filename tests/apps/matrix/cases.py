"""What the cases share.

A case is a function that gets `take`: calling it takes SIGUSR2 from C and notes the stack of that
very call. `take` itself has no Python frame, so that the innermost frame is the case's own.
"""

import functools
import threading

import matrix_native as native
from recording import Recorder

SIGUSR2 = 12

CASES = {}

# For code that cannot be handed anything: modules, class bodies, threads.
CURRENT = threading.local()


def case(function):
    """Puts a function among the cases, by its name."""
    CASES[function.__name__.strip("_")] = function
    return function


def begin():
    """What one request takes signals with."""
    recorder = Recorder()
    take = functools.partial(native.hold, recorder.here, SIGUSR2)
    take.recorder = recorder
    CURRENT.take = take
    return take


def warm_up(function):
    """Calls it so often that the interpreter specialises its code (CPython 3.11 and later)."""
    for _ in range(200):
        function()
