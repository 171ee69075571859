"""Uses a library, named by the last part of the path, and answers with the stacks that it noted."""

import json

import uses


def application(environ, start_response):
    """`/imported/NAME` gives what was noted at import, null before; `/NAME` uses the library now."""
    path = environ.get("PATH_INFO", "/").strip("/").split("/")
    answer = uses.IMPORTED.get(path[-1]) if path[0] == "imported" else uses.run(path[-1])
    body = json.dumps(answer).encode("utf-8")
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    )
    return [body]
