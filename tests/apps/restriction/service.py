"""A service script: a daemon process with no request threads, which mod_wsgi never restricts.

It registers as any program may, and tells the error log what Python says about it.
"""

import json
import signal
import sys
import time

import attempts

ATTEMPTS = attempts.Attempts()


def run(a):
    """A service of its own, with a handler that works."""
    signal.signal(signal.SIGVTALRM, a.here(*a.asks(attempts.on_signal, signal.SIGVTALRM)))


ATTEMPTS.calling(run)
sys.stderr.write("service: %s\n" % json.dumps(ATTEMPTS.report()))
sys.stderr.flush()
# mod_wsgi's own handler for SIGTERM raises SystemExit.
while True:
    time.sleep(0.05)
