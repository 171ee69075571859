"""An application that takes signals past mod_wsgi, or takes its time. The answer is JSON."""

import ctypes
import json
import os
import time

LIBC = ctypes.CDLL(None)
LIBC.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
LIBC.signal.restype = ctypes.c_void_p
SIG_IGN = 1


def ignore(number):
    """The worker no longer hears this signal."""
    LIBC.signal(number, SIG_IGN)


def sleep(seconds):
    """A request that is slow, and takes nothing."""
    time.sleep(seconds)


ROUTES = {function.__name__: function for function in (ignore, sleep)}


def application(environ, start_response):
    """`/NAME/NUMBER` calls the function of that name."""
    _, name, number = environ["PATH_INFO"].split("/")
    ROUTES[name](int(number))
    body = json.dumps({"pid": os.getpid()}).encode("utf-8")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
