"""A script for WSGIImportScript that wants signals while it is imported, as mod_wsgi's guide says."""

import signal

import attempts

ATTEMPTS = attempts.Attempts()


def on_hangup(number, frame):
    """A handler of the script's own."""


def prepare(a):
    """SIGXFSZ is nobody else's."""
    signal.signal(signal.SIGXFSZ, a.here(*a.asks(on_hangup, signal.SIGXFSZ)))


ATTEMPTS.calling(prepare)
attempts.IMPORTED.append(ATTEMPTS.report())
