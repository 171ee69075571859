"""A script for WSGIImportScript: it registers as mod_wsgi's documentation says one should.

On the main thread of the main interpreter, as a side effect of the import. SIGUSR2 is nobody
else's; SIGTERM is the server's.
"""

import signal


def on_signal(number, frame):
    """Never mind."""


signal.signal(signal.SIGUSR2, on_signal)
signal.signal(signal.SIGTERM, on_signal)
