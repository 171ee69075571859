"""An application that takes a signal at import, through C, in a worker that lives for one request."""

import ctypes
import json
import os
import signal

from recording import Recorder

RECORDER = Recorder()
LIBRARY = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libtakeover.so"))


class Cache:
    """Wants to drop what it holds on SIGUSR2."""

    def __init__(self):
        LIBRARY.reports_start(RECORDER.here(int(signal.SIGUSR2), [signal.SIGUSR2]))


CACHE = Cache()
IMPORTED = json.dumps(RECORDER.report()).encode("utf-8")


def application(environ, start_response):
    """Tells how the import went."""
    start_response("200 OK", [("Content-Type", "application/json")])
    return [IMPORTED]
