"""The parts of the demo site's application that change signal handlers, each in its own way.

Every one stands for something that real applications do. A method that changes a handler writes
`recorder.here(...)` into the very call, see `recording.py`.
"""

import ctypes
import faulthandler
import os
import signal
import subprocess
import threading

SIG_DFL = ctypes.c_void_p(0)
SIG_IGN = ctypes.c_void_p(1)
CRASHES = [signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT, signal.SIGSEGV]
HERE = os.path.dirname(os.path.abspath(__file__))


def prototype(library, name, *arguments):
    """A function of a C library with its types, without which pointers are cut to 32 bits."""
    function = getattr(library, name)
    function.argtypes = arguments
    function.restype = ctypes.c_void_p
    return function


LIBC = ctypes.CDLL(None, use_errno=True)
# PyDLL keeps the interpreter lock during the call, which a child needs to go on in Python.
LOCKED_LIBC = ctypes.PyDLL(None)
LIBRARY = ctypes.CDLL(os.path.join(HERE, "libtakeover.so"))
libc_signal = prototype(LIBC, "signal", ctypes.c_int, ctypes.c_void_p)
locked_signal = prototype(LOCKED_LIBC, "signal", ctypes.c_int, ctypes.c_void_p)


class Reports:
    """Starts a library that installs a handler for SIGTERM in C."""

    def start(self, recorder):
        """SIGTERM is what httpd ends its workers with."""
        LIBRARY.reports_start(recorder.here(int(signal.SIGTERM), [signal.SIGTERM]))
        recorder.note("libtakeover.so has SIGTERM now: this worker no longer ends when httpd asks")


class Download:
    """Puts SIGPIPE back to its default, as a wrapper of a command line tool does."""

    def break_pipes(self, recorder):
        """From here on a visitor who closes the browser can end the whole process."""
        libc_signal(signal.SIGPIPE, recorder.here(SIG_DFL, [signal.SIGPIPE]))
        recorder.note("SIGPIPE is at its default")

    def mend_pipes(self, recorder):
        """What httpd had set."""
        libc_signal(signal.SIGPIPE, recorder.here(SIG_IGN, [signal.SIGPIPE]))
        recorder.note("SIGPIPE is ignored again")


class Database:
    """A client library that, like MySQL's, ignores SIGPIPE whenever it connects."""

    def connect(self, recorder):
        """Sets what already stands."""
        libc_signal(signal.SIGPIPE, recorder.here(SIG_IGN, [signal.SIGPIPE]))
        recorder.note("SIGPIPE was ignored and is ignored")


class Watchdog:
    """Uses SIGALRM for a time limit."""

    def arm(self, recorder):
        """A handler in C, since Python's would never run here."""
        LIBRARY.reports_start(recorder.here(int(signal.SIGALRM), [signal.SIGALRM]))
        recorder.note("libtakeover.so has SIGALRM now")

    def disarm(self, recorder):
        """Back to the default."""
        libc_signal(signal.SIGALRM, recorder.here(SIG_DFL, [signal.SIGALRM]))
        recorder.note("SIGALRM is at its default")


class CrashReport:
    """Has Python write a traceback on a crash."""

    def __init__(self):
        self.sink = open(os.devnull, "w")

    def enable(self, recorder):
        """Takes the five signals that httpd's own crash handling uses."""
        faulthandler.enable(recorder.here(self.sink, CRASHES))
        recorder.note("faulthandler is enabled")

    def disable(self, recorder):
        """Puts back what stood there."""
        faulthandler.disable(*recorder.here((), CRASHES))
        recorder.note("faulthandler is disabled")


class Thumbnails:
    """Starts other programs."""

    def spawn(self, recorder):
        """The children reset dozens of handlers before their exec; the worker's own stay."""
        subprocess.run(recorder.here(["true"]), check=True)
        recorder.note("subprocess.run ran `true`")
        # There from CPython 3.8 on.
        if hasattr(os, "posix_spawn"):
            reset = recorder.here(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
            child = os.posix_spawn("/bin/true", ["true"], {}, setsigdef=reset)
            os.waitpid(child, 0)
            recorder.note("os.posix_spawn ran `true`")

    def shell(self, recorder):
        """In the worker itself SIGINT and SIGQUIT are ignored until the shell ends."""
        os.system(recorder.here("true", [signal.SIGINT, signal.SIGQUIT]))
        recorder.note("os.system ran `true`")


class Importer:
    """Works in a thread of its own."""

    def run(self, recorder):
        """Takes SIGUSR2 from a thread that is not the main thread."""
        thread = threading.Thread(target=self.listen, args=(recorder,), name="importer")
        thread.start()
        thread.join()
        recorder.note("libtakeover.so has SIGUSR2 now, set by a thread of the application")

    def listen(self, recorder):
        """The thread's own function."""
        LIBRARY.reports_start(recorder.here(int(signal.SIGUSR2), [signal.SIGUSR2]))

    def stop(self, recorder):
        """Back to the default."""
        libc_signal(signal.SIGUSR2, recorder.here(SIG_DFL, [signal.SIGUSR2]))
        recorder.note("SIGUSR2 is at its default")


class Exporter:
    """Forks, and the child arranges its signals as it likes: it is not a worker."""

    def fork(self, recorder):
        """Forks in C: `os.fork` in a sub-interpreter ends the child with a fatal error in 3.11."""
        child = LOCKED_LIBC.fork()
        if child == 0:
            self.child(recorder)
        os.waitpid(child, 0)
        recorder.note("a forked child set SIGTERM to its default and ended")

    def child(self, recorder):
        """Runs in the child, with the stack of the worker's request under it."""
        locked_signal(signal.SIGTERM, recorder.here(SIG_DFL, [signal.SIGTERM]))
        os._exit(0)
