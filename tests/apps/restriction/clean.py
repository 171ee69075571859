"""An application that leaves signals alone, but for looking at them."""

import json
import os
import signal


def application(environ, start_response):
    """Reads every disposition, which is nobody's business."""
    stands = {int(number): str(signal.getsignal(number)) for number in signal.Signals}
    body = json.dumps({"pid": os.getpid(), "stands": stands}).encode("ascii")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
