"""An application that wants signals, in the ways of `attempts.py`: `/WAY` is one of them.

`/imported` tells what an import script did in the same interpreter.
"""

import json

import mod_wsgi

import attempts


def application(environ, start_response):
    """Goes one way, and says who it is by mod_wsgi's and Python's own word."""
    way = environ["PATH_INFO"].rsplit("/", 1)[-1]
    if way == "imported":
        (answer,) = attempts.IMPORTED
    else:
        a = attempts.Attempts()
        attempts.WAYS[way](a)
        answer = a.report()
    answer = dict(
        answer,
        mod_wsgi="%d.%d.%d" % mod_wsgi.version,
        process_group=environ["mod_wsgi.process_group"],
        application_group=environ["mod_wsgi.application_group"],
        script=environ["SCRIPT_FILENAME"],
    )
    body = json.dumps(answer).encode("ascii")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
