"""Causes of takeovers, for a group of many workers: each path names one, and who is to act.

`/NAME/PIDS` lets a worker act if its process id is among those, which commas separate; it is slow, so
that as many requests at once reach as many workers. `/NAME/any` lets whoever gets it act. The answer
is JSON: who got the request, and whether it acted.
"""

import ctypes
import json
import os
import signal
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FIRST, SECOND = (ctypes.CDLL(os.path.join(HERE, name)) for name in ("libfirst.so", "libsecond.so"))


def nothing():
    """Tells who is there."""


def library():
    """A library that wants to clean up at the end, behind Python's back."""
    FIRST.chain_take(signal.SIGTERM)


def extension():
    """An import that takes a signal on the way: GNU readline wants to know of the window's size."""
    import readline  # noqa: F401 (it is the import that acts)


def system():
    """What it runs takes SIGINT and SIGQUIT, and puts both back, each time."""
    for _ in range(50):
        os.system("true")


def take_second():
    SECOND.chain_take(signal.SIGTERM)


def back_second():
    SECOND.chain_give_back(signal.SIGTERM)


def back_first():
    FIRST.chain_give_back(signal.SIGTERM)


def java():
    """A Java virtual machine takes what it needs to run its shutdown hooks."""
    import jpype

    jpype.startJVM(jpype.getDefaultJVMPath())


CAUSES = {
    function.__name__: function
    for function in (
        nothing, library, extension, system, take_second, back_second, back_first, java
    )
}


def application(environ, start_response):
    _, name, pids = environ["PATH_INFO"].split("/")
    acts = pids == "any" or str(os.getpid()) in pids.split(",")
    if acts:
        CAUSES[name]()
    if pids != "any":
        time.sleep(0.2)
    body = json.dumps({"pid": os.getpid(), "acted": acts}).encode("utf-8")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
