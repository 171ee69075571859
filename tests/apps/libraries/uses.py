"""Ordinary uses of well-known libraries, each of which changes signal handlers in its own way.

Imports are inside the functions: loading a library is a part of using it, and for some the part
that matters. What the libraries do was seen with strace, in the versions that xtask installs.
"""

import signal
import sys
import traceback

from recording import Recorder

CRASHES = [signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSEGV]
# What Go's runtime, and Java's, may set.
GO = [signal.SIGINT, signal.SIGUSR1, signal.SIGPIPE, signal.SIGTERM, signal.SIGURG, signal.SIGXCPU]
GO += CRASHES
JAVA = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTERM]
JAVA += [signal.SIGUSR2, signal.SIGXFSZ, signal.SIGRTMIN + 28] + CRASHES


def polars(recorder):
    """Its Rust half puts a handler on SIGINT while it is imported, in all threads."""
    recorder.here(None, [signal.SIGINT]); import polars  # noqa: E702 (one line, one stack)
    frame = polars.DataFrame({"item": ["a", "b", "a"], "price": [1, 2, 3]})
    total = frame.lazy().group_by("item").agg(polars.col("price").sum()).collect()
    recorder.note("polars %s: %d groups" % (polars.__version__, total.height))


def pycurl(recorder):
    """libcurl ignores SIGPIPE during each transfer, here where it is ignored already."""
    import pycurl

    curl = pycurl.Curl()
    # Nobody listens there, and this is no privileged user who could.
    curl.setopt(pycurl.URL, "http://127.0.0.1:1/")
    try:
        curl.perform(*recorder.here((), [signal.SIGPIPE]))
    except pycurl.error as error:
        recorder.note(str(error))
    recorder.here(None, [signal.SIGPIPE]); curl.close()  # noqa: E702


def pyarrow(recorder):
    """On the main thread it takes SIGINT from Python's handler while it reads a file."""
    import io

    from pyarrow import csv

    # Ctrl-C works again, as when the application runs in a terminal.
    signal.signal(recorder.here(signal.SIGINT, [signal.SIGINT]), signal.default_int_handler)
    source = io.BytesIO(b"item,price\na,1\nb,2\n")
    table = csv.read_csv(recorder.here(source, [signal.SIGINT]))
    recorder.note("%d rows" % table.num_rows)


def gevent(recorder):
    """Its default loop, libev, takes SIGCHLD for a moment; a watcher takes its signal for good."""
    import gevent

    gevent.sleep(recorder.here(0.01, [signal.SIGCHLD]))
    watcher = gevent.signal_handler(recorder.here(signal.SIGUSR2, [signal.SIGUSR2]), print)
    watcher.cancel(*recorder.here((), [signal.SIGUSR2]))
    recorder.note("gevent " + gevent.__version__)


def greenlet(recorder):
    """A library in C, called inside of greenlets, whose stacks are copied in and out.

    Half of them are inside of each other, and the innermost switches away before it calls.
    """
    from gevent import monkey

    monkey.patch_all()
    import ctypes
    import os
    import time

    import gevent

    library = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "libtakeover.so"))

    def call(depth):
        if depth:
            return call(depth - 1)
        # gevent's: the greenlet's stack is moved out of the way, and another greenlet runs.
        time.sleep(0.01)
        return library.reports_start(recorder.here(signal.SIGUSR2, [signal.SIGUSR2]))

    def nest(depth):
        return gevent.spawn(nest, depth - 1).get() if depth else call(3)

    gevent.joinall([gevent.spawn(call, depth) for depth in (0, 1, 2, 30)], raise_error=True)
    gevent.joinall([gevent.spawn(nest, depth) for depth in (1, 2, 3, 4)], raise_error=True)


def uvloop(recorder):
    """libuv takes SIGCHLD while a child is there."""
    import asyncio

    import uvloop

    async def convert():
        child = await asyncio.create_subprocess_exec(recorder.here("true", [signal.SIGCHLD]))
        await child.wait()

    uvloop.run(*recorder.here((convert(),), [signal.SIGCHLD]))
    recorder.note("uvloop " + uvloop.__version__)


def uvloop_signal(recorder):
    """What a server on uvloop does when it starts; needs the main thread."""
    import uvloop

    loop = uvloop.new_event_loop()
    loop.add_signal_handler(recorder.here(signal.SIGUSR2, [signal.SIGUSR2]), print)
    loop.remove_signal_handler(recorder.here(signal.SIGUSR2, [signal.SIGUSR2]))
    loop.close()


def asyncio(recorder):
    """The standard library's own loop; needs the main thread."""
    import asyncio

    loop = asyncio.new_event_loop()
    loop.add_signal_handler(recorder.here(signal.SIGUSR2, [signal.SIGUSR2]), print)
    loop.remove_signal_handler(recorder.here(signal.SIGUSR2, [signal.SIGUSR2]))
    loop.close()


def faulthandler(recorder):
    """Crash reports, and a stack on demand."""
    import faulthandler
    import os

    sink = open(os.devnull, "w")
    faulthandler.enable(recorder.here(sink, CRASHES))
    faulthandler.register(recorder.here(signal.SIGUSR2, [signal.SIGUSR2]), sink)


def faulthandler_inside(recorder):
    """Crash reports again, from a greenlet: who switched to it has nothing to do with them."""
    import faulthandler
    import os

    import gevent

    sink = open(os.devnull, "w")
    started = gevent.spawn(lambda: faulthandler.enable(recorder.here(sink, CRASHES)))
    started.get()


def readline(recorder):
    """Importing it initialises GNU readline, which takes SIGWINCH."""
    recorder.here(None, [signal.SIGWINCH]); import readline  # noqa: E702
    recorder.note(readline.__name__)


def curses(recorder):
    """Takes what ends or stops a program where nobody has it, to put the screen back before."""
    import os

    # Without a terminal ncurses ends the process.
    os.environ["TERM"] = "xterm"
    import curses

    curses.initscr(*recorder.here((), [signal.SIGTSTP, signal.SIGWINCH]))


def tls_client(recorder):
    """A library in Go, loaded by its first request: Go's runtime takes several signals then."""
    import tls_client

    session = tls_client.Session(client_identifier="chrome_112")
    try:
        session.get(recorder.here("https://127.0.0.1:1/", GO))
    except tls_client.exceptions.TLSClientException as error:
        recorder.note(str(error))


def jpype(recorder):
    """A Java virtual machine, with and without its own opinion on signals."""
    import jpype

    jpype.startJVM(recorder.here(jpype.getDefaultJVMPath(), JAVA))
    recorder.note(str(jpype.java.lang.System.getProperty("java.version")))


def jpype_xrs(recorder):
    """The same with the switch that leaves the signals of the server alone."""
    import jpype

    jpype.startJVM(recorder.here(jpype.getDefaultJVMPath(), JAVA), "-Xrs")
    recorder.note(str(jpype.java.lang.System.getProperty("java.version")))

def pycurl_nosignal(recorder):
    """The same with libcurl's own switch: it sets nothing."""
    import pycurl

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, "http://127.0.0.1:1/")
    curl.setopt(pycurl.NOSIGNAL, 1)
    try:
        curl.perform()
    except pycurl.error as error:
        recorder.note(str(error))
    curl.close()


def pyarrow_switched_off(recorder):
    """The same with pyarrow's own switch: only Python's handler is set."""
    import io

    import pyarrow
    from pyarrow import csv

    pyarrow.enable_signal_handlers(False)
    signal.signal(recorder.here(signal.SIGINT, [signal.SIGINT]), signal.default_int_handler)
    table = csv.read_csv(io.BytesIO(b"item,price\na,1\nb,2\n"))
    recorder.note("%d rows" % table.num_rows)


def uvloop_to_thread(recorder):
    """A child of a thread, not of the loop: libuv takes no SIGCHLD."""
    import asyncio
    import subprocess

    import uvloop

    async def convert():
        await asyncio.to_thread(subprocess.run, ["true"])

    uvloop.run(convert())
    recorder.note("uvloop " + uvloop.__version__)


def curses_without_a_screen(recorder):
    """What a terminal can do, without taking it over."""
    import curses

    curses.setupterm("xterm", 1)
    recorder.note("%d colors" % curses.tigetnum("colors"))


def faulthandler_later(recorder):
    """A stack on demand, without a signal."""
    import faulthandler
    import os

    sink = open(os.devnull, "w")
    faulthandler.dump_traceback_later(60, file=sink)
    faulthandler.cancel_dump_traceback_later()
    faulthandler.dump_traceback(sink)
    recorder.note(faulthandler.__name__)


def jpype_other_signal(recorder):
    """A Java virtual machine that wakes its threads with another signal than SIGUSR2."""
    import os

    os.environ["_JAVA_SR_SIGNUM"] = "40"
    import jpype

    took = [signal.SIGRTMIN + 6] + [number for number in JAVA if number != signal.SIGUSR2]
    jpype.startJVM(recorder.here(jpype.getDefaultJVMPath(), took), "-Xrs")
    recorder.note(str(jpype.java.lang.System.getProperty("java.version")))


USES = {
    function.__name__: function
    for function in list(globals().values())
    if getattr(function, "__module__", None) == __name__
}
# What was used while a script was imported, for whoever asks in the same interpreter later.
IMPORTED = {}


def run(name):
    """Uses a library: the noted stacks, and what it said if it failed."""
    recorder = Recorder()
    failure = None
    try:
        USES[name](recorder)
    except BaseException:
        failure = traceback.format_exc()
        sys.stderr.write(failure)
    return dict(recorder.report(), failure=failure)
