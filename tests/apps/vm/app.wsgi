"""Makes one registration that mod_wsgi does not see, and tries one that it blocks, below frames of
several kinds.

Tells from where, as the interpreter itself sees it: what sigblame says is compared with that.
"""

import ctypes
import json
import signal
import sys
import traceback

LIBC = ctypes.CDLL(None)
LIBC.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
LIBC.signal.restype = ctypes.c_void_p

SIGUSR2 = 12
SIGTERM = 15
SIG_IGN = 1


def stack():
    """The caller's frames, innermost first; functions with their qualified names where there are."""
    return [
        {
            "file": frame.f_code.co_filename,
            "line": line,
            "function": getattr(frame.f_code, "co_qualname", frame.f_code.co_name),
        }
        for frame, line in traceback.walk_stack(sys._getframe(1))
    ]


class Reports:
    calls = 0

    def start(self, handler):
        def take():
            # On one line, so that both are called from the same one.
            registered = stack(); LIBC.signal(SIGUSR2, handler)
            blocked = stack(); signal.signal(signal.SIGALRM, self.on_alarm)
            return {"registered": registered, "blocked": blocked}

        return self.call(take)

    def on_alarm(self, number, frame):
        """Never called: mod_wsgi blocks its registration."""

    @staticmethod
    def call(function):
        return (lambda: function())()


def application(environ, start_response):
    if environ["PATH_INFO"] == "/deaf":
        LIBC.signal(SIGTERM, SIG_IGN)
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b"[1]"]
    # SIG_IGN, SIG_DFL, SIG_IGN, and so on: each call changes something.
    Reports.calls += 1
    told = Reports().start(Reports.calls % 2)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
