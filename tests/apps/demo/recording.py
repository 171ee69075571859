"""Keeps what Python itself says about a call, so that a test can compare sigblame's answer with it.

`recorder.here(value)` is written as an argument of the call that changes a signal handler, on the
same line. It returns `value` unchanged and notes the stack, innermost frame first: when the call is
made a moment later, every frame still stands on the line that was noted.
"""

import os
import sys
import threading
import time

try:
    import _interpreters as INTERPRETERS
except ImportError:
    try:
        import _xxsubinterpreters as INTERPRETERS
    except ImportError:
        INTERPRETERS = None


def native_id():
    """The calling thread's id in the kernel. `threading` tells it from CPython 3.8 on."""
    if hasattr(threading, "get_native_id"):
        return threading.get_native_id()
    return int(os.readlink("/proc/thread-self").rsplit("/", 1)[1])


def interpreter():
    """The running interpreter's number, where Python tells: from CPython 3.7 on."""
    if INTERPRETERS is None:
        return None
    current = INTERPRETERS.get_current()
    # From 3.13 on it comes with who made the interpreter.
    return int(current[0] if isinstance(current, tuple) else current)


class Recorder:
    """The calls that one request, or one import, made."""

    def __init__(self):
        self.calls = []
        self.notes = []

    def here(self, value, signals=()):
        """Notes the caller's stack as that of a call that changes `signals`."""
        frames = []
        frame = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            frames.append(
                {
                    "file": code.co_filename,
                    "line": frame.f_lineno,
                    # The qualified name, like `Billing.reload_on_hangup`, is there from 3.11 on.
                    "function": getattr(code, "co_qualname", code.co_name),
                }
            )
            frame = frame.f_back
        self.calls.append(
            {
                "signals": [int(signal) for signal in signals],
                "tid": native_id(),
                "thread": threading.get_ident(),
                "at": time.monotonic(),
                "interpreter": interpreter(),
                "frames": frames,
            }
        )
        return value

    def note(self, sentence):
        """Something that the page and the JSON answer should say."""
        self.notes.append(sentence)

    def report(self):
        """The recorded calls and who made them, for the JSON answer."""
        return {
            "pid": os.getpid(),
            "main_thread": threading.current_thread() is threading.main_thread(),
            "python": "%d.%d" % sys.version_info[:2],
            "calls": self.calls,
            "notes": self.notes,
        }
