"""A WSGI script of its own, in an application group of its own, that sets handlers at import.

Under `WSGIRestrictSignal On`, the default, mod_wsgi puts its own object in the place of
`signal.signal`: it writes a line to the error log, returns as if all were well, and makes no system
call. Off the main thread of the main interpreter the real function raises ValueError instead.
"""

import json
import signal

from recording import Recorder

RECORDER = Recorder()


class Billing:
    """Wants to re-read its prices on SIGHUP and to finish its invoices before it goes."""

    def reload_on_hangup(self):
        """The handler that most applications of this kind want."""
        self.attempt(signal.SIGHUP)

    def finish_on_stop(self):
        """The two that httpd itself needs."""
        for number in (signal.SIGTERM, signal.SIGUSR1):
            self.attempt(number)

    def attempt(self, number):
        """One call of `signal.signal`, and how it went."""
        name = signal.Signals(number).name
        # What counts is what the kernel was told, so Python's answer is compared with the question.
        try:
            signal.signal(number, RECORDER.here(self.on_signal, [number]))
        except ValueError as error:
            RECORDER.note("%s: ValueError: %s" % (name, error))
            return
        if signal.getsignal(number) == self.on_signal:
            RECORDER.note("%s: set" % name)
        else:
            RECORDER.note("%s: swallowed by mod_wsgi, although the call returned" % name)

    def on_signal(self, number, frame):
        """Never called in a worker or event MPM or in a daemon."""


BILLING = Billing()
BILLING.reload_on_hangup()
BILLING.finish_on_stop()
IMPORTED = RECORDER.report()


def application(environ, start_response):
    """Tells how the import went; a request itself changes nothing."""
    answer = dict(IMPORTED, route="/import/")
    answer["process_group"] = environ.get("mod_wsgi.process_group", "")
    answer["application_group"] = environ.get("mod_wsgi.application_group", "")
    if environ.get("QUERY_STRING") == "json":
        kind, text = "application/json", json.dumps(answer)
    else:
        kind = "text/plain; charset=utf-8"
        text = "billing.py called signal.signal when it was imported:\n%s\n" % "\n".join(
            "  " + note for note in answer["notes"]
        )
    body = text.encode("utf-8")
    start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]
