"""The matrix's application: every kind of Python code that can be on the stack when a signal is taken.

Valid for CPython 3.6 to 3.15. `/NAME` runs one case and answers with JSON: what Python itself said
about the stack of each registration, at the moment of each. `/` names the cases, and
`/imported` tells how the import went.
"""

import json

from cases import CASES, begin
import children
import frames
import functions
import names
import statements
import threads

MODULES = (children, frames, functions, names, statements, threads)

# While the interpreter is new; this code is freed when it has run.
IMPORTED = begin()
IMPORTED()


def application(environ, start_response):
    """Runs a case."""
    name = environ["PATH_INFO"].strip("/")
    if name == "imported":
        answer = IMPORTED.recorder.report()
    elif name:
        take = begin()
        CASES[name](take)
        answer = take.recorder.report()
    else:
        answer = {case: function.__module__ for case, function in CASES.items()}
    body = json.dumps(answer).encode("ascii")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
