"""The demo site: one page of links, each of which does its thing in the worker that answers."""

import html
import json
import sys
import traceback

from recording import Recorder
from takeovers import (
    CrashReport,
    Database,
    Download,
    Exporter,
    Importer,
    Reports,
    Thumbnails,
    Watchdog,
)

DOWNLOAD = Download()
CRASHES = CrashReport()
WATCHDOG = Watchdog()
THUMBNAILS = Thumbnails()
IMPORTER = Importer()


def clean(recorder):
    """An application as it should be."""
    recorder.note("nothing was changed")


# Path, what happens, what sigblame should show, and the function. `/import/` is `billing.py`.
ROUTES = [
    ("/clean/", "A clean application", "No finding.", clean),
    (
        "/import/",
        "signal.signal while a WSGI script is imported",
        "Three blocked-attempt findings, open since this worker started and imported billing.py: "
        "under WSGIRestrictSignal On mod_wsgi swallows the calls without a system call, and the "
        "application never hears of it.",
        None,
    ),
    (
        "/library/",
        "A C library takes SIGTERM",
        "A critical reserved-signal finding that names libtakeover.so and Reports.start.",
        Reports().start,
    ),
    (
        "/ctypes/",
        "ctypes puts SIGPIPE to its default",
        "A critical sigpipe-not-ignored finding, open until the next link.",
        DOWNLOAD.break_pipes,
    ),
    (
        "/ctypes/restore",
        "ctypes puts SIGPIPE back to ignore",
        "The finding before is resolved, with its exposure time.",
        DOWNLOAD.mend_pipes,
    ),
    (
        "/faulthandler/",
        "faulthandler.enable takes five crash signals",
        "restricted-registration for SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT.",
        CRASHES.enable,
    ),
    (
        "/faulthandler/restore",
        "faulthandler.disable gives them back",
        "The five findings are resolved.",
        CRASHES.disable,
    ),
    (
        "/subprocess/",
        "subprocess.run and os.posix_spawn",
        "No finding: only the children, which are not workers, change anything.",
        THUMBNAILS.spawn,
    ),
    (
        "/system/",
        "os.system",
        "SIGINT and SIGQUIT are ignored in the worker itself while the command runs: findings "
        "that are resolved at once.",
        THUMBNAILS.shell,
    ),
    (
        "/sigpipe-ignore/",
        "A database client ignores SIGPIPE, which is ignored already",
        "No finding.",
        Database().connect,
    ),
    (
        "/alarm/",
        "A C library takes SIGALRM",
        "restricted-registration, and sigalrm beside it.",
        WATCHDOG.arm,
    ),
    ("/alarm/restore", "SIGALRM back to its default", "The finding is resolved.", WATCHDOG.disarm),
    (
        "/thread/",
        "A thread of the application takes SIGUSR2",
        "restricted-registration, and secondary-thread beside it.",
        IMPORTER.run,
    ),
    ("/thread/restore", "SIGUSR2 back to its default", "The finding is resolved.", IMPORTER.stop),
    (
        "/fork/",
        "A forked child sets SIGTERM to its default",
        "No finding: the child is not a worker.",
        Exporter().fork,
    ),
]
HANDLERS = {path: function for path, _, _, function in ROUTES if function}

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>sigblame's demo site</title>
<style>body{{font:16px/1.5 sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}}
dt{{margin-top:1rem}}dd{{margin-left:0;color:#555}}</style></head>
<body><h1>sigblame's demo site</h1>
<p>{mount} Each link makes this worker do what it says; sigblame tells which line did it.</p>
<dl>
{links}
</dl></body></html>
"""


def index(root, process_group):
    """The page of links, relative to where the site is mounted."""
    links = "\n".join(
        '<dt><a href="{root}{path}">{title}</a></dt><dd>{shows}</dd>'.format(
            root=html.escape(root), path=path, title=html.escape(title), shows=html.escape(shows)
        )
        for path, title, shows, _ in ROUTES
    )
    if process_group:
        mount = "This copy runs in the daemon process group <b>%s</b>." % html.escape(process_group)
    else:
        mount = "This copy runs embedded, in a child of httpd itself."
    return PAGE.format(mount=mount, links=links)


def application(environ, start_response):
    """Dispatches by path; `?json` asks for the recorded stacks instead of a sentence."""
    root, path = environ.get("SCRIPT_NAME", "").rstrip("/"), environ.get("PATH_INFO", "/")
    group = environ.get("mod_wsgi.process_group", "")
    status, kind = "200 OK", "text/plain; charset=utf-8"
    if path in ("", "/"):
        kind, text = "text/html; charset=utf-8", index(root, group)
    elif path in HANDLERS:
        recorder = Recorder()
        try:
            HANDLERS[path](recorder)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            recorder.note(traceback.format_exc())
            status = "500 Internal Server Error"
        if environ.get("QUERY_STRING") == "json":
            answer = dict(recorder.report(), route=path, process_group=group)
            answer["application_group"] = environ.get("mod_wsgi.application_group", "")
            kind, text = "application/json", json.dumps(answer)
        else:
            text = "\n".join(recorder.notes) + "\n"
    else:
        status, text = "404 Not Found", "There is no %s here; see %s/\n" % (path, root)
    body = text.encode("utf-8")
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]
