"""Ways in which applications call `signal.signal`, and what each call came to.

Valid for CPython 3.6 to 3.15. Each call stands on a line of its own, and notes its stack in its own
arguments, see `recording.py`; what became of it is what Python says afterwards.
"""

import ctypes
import os
import signal
import threading

from recording import Recorder

LIBC = ctypes.CDLL(None)
# PyDLL keeps the interpreter lock during the call, which a child needs to go on in Python.
LOCKED_LIBC = ctypes.PyDLL(None)
LIBC.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
LIBC.signal.restype = ctypes.c_void_p
# Whether mod_wsgi has put its own object there, by Python's own word: what sigblame has to say, too.
# That is a `SignalIntercept`; a test may have given it another name.
INTERCEPTED = type(signal.signal).__name__.endswith("Intercept")
# What an import script did in this interpreter.
IMPORTED = []


def on_signal(number, frame):
    """A handler."""


class Service:
    """Has a handler of its own."""

    def on_signal(self, number, frame):
        """A handler that is a bound method."""

    def __call__(self, number, frame):
        """A handler that is an object."""


SERVICE = Service()


def wanted(handler):
    """What sigblame should say of a handler that did not come to stand anywhere."""
    if handler in (0, 1):
        kind = "ignore" if handler else "default"
        return {"kind": kind, "owner": None, "symbol": None}
    # A bound method is its function.
    code = getattr(getattr(handler, "__func__", handler), "__code__", None)
    if code is None:
        return {"kind": "handler", "owner": None, "symbol": type(handler).__name__}
    # The qualified name is there from 3.11 on.
    name = getattr(code, "co_qualname", code.co_name)
    return {"kind": "handler", "owner": code.co_filename, "symbol": name}


class Attempts(Recorder):
    """The calls of one request, or of one import."""

    def __init__(self):
        Recorder.__init__(self)
        self.handlers = []

    def asks(self, handler, number):
        """The handler of a call that is about to be made."""
        self.handlers.append(handler)
        return handler, [number]

    def calling(self, function, *arguments):
        """Calls what makes one call of `signal.signal`, and notes what that came to."""
        outcome = "returned"
        try:
            function(self, *arguments)
        except (TypeError, ValueError, OverflowError) as error:
            outcome = type(error).__name__
        call = self.calls[-1]
        handler = self.handlers[-1]
        number = call["signals"][0]
        if outcome == "returned":
            outcome = "swallowed" if INTERCEPTED else "set"
            stands = signal.getsignal(number)
            if (stands == handler) is INTERCEPTED and handler not in (0, 1):
                outcome = "neither"
        call["outcome"] = outcome
        call["wanted"] = wanted(handler)

    def report(self):
        """As of any recorder, and whether this interpreter is restricted."""
        return dict(Recorder.report(self), intercepted=INTERCEPTED)


# Each of these is one call on one line, in functions of different depth.


def function(a):
    """A function, and an enumeration's signal."""
    signal.signal(signal.SIGVTALRM, a.here(*a.asks(on_signal, signal.SIGVTALRM)))


def method(a):
    """A bound method, and a plain number."""

    class Nested:
        """Only to stand in the name."""

        def attempt(self):
            """The call."""
            signal.signal(27, a.here(*a.asks(SERVICE.on_signal, 27)))

    Nested().attempt()


def callable_object(a):
    """An object that can be called, from a lambda."""
    (lambda: signal.signal(29, a.here(*a.asks(SERVICE, 29))))()


def anonymous(a):
    """A lambda, from a generator."""

    def attempts():
        """One."""
        yield signal.signal(30, a.here(*a.asks(lambda number, frame: None, 30)))

    for _ in attempts():
        pass


def ignored(a):
    """Python's own word for ignoring."""
    signal.signal(signal.SIGTSTP, a.here(*a.asks(signal.SIG_IGN, signal.SIGTSTP)))


def ignored_by_number(a):
    """The number that stands for it."""
    signal.signal(signal.SIGTTIN, a.here(*a.asks(1, signal.SIGTTIN)))


def default(a):
    """Python's own word for the default."""
    signal.signal(signal.SIGTTOU, a.here(*a.asks(signal.SIG_DFL, signal.SIGTTOU)))


def server_signal(number):
    """A function that wants a signal of the server's."""

    def take(a):
        """The call."""
        signal.signal(number, a.here(*a.asks(on_signal, number)))

    return take


def wrong_number(a):
    """A number that is none."""
    signal.signal("15", a.here(*a.asks(on_signal, 15)))


def wrong_count(a):
    """No handler at all."""
    signal.signal(*a.here((15,), a.asks(None, 15)[1]))


def too_large(a):
    """A number that no C integer holds."""
    signal.signal(1 << 80, a.here(*a.asks(on_signal, 15)))


KINDS = (function, method, callable_object, anonymous, ignored, ignored_by_number, default)
SERVER = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
WRONG = (wrong_number, wrong_count, too_large)


def from_request(a):
    """All kinds; those of the server's signals only where mod_wsgi will not have it."""
    for kind in KINDS:
        a.calling(kind)
    for number in SERVER if INTERCEPTED else ():
        a.calling(server_signal(number))


def from_thread(a):
    """A thread of the application's."""
    thread = threading.Thread(target=a.calling, args=(function,), name="attempts")
    thread.start()
    thread.join()


def wrongly(a):
    """Calls that fail whoever gets them."""
    for way in WRONG:
        a.calling(way)


def from_child(a):
    """A forked child may do as it likes: mod_wsgi hands its calls on to the real function."""
    child = LOCKED_LIBC.fork()
    if child == 0:
        in_child()
    note_child(a, child)


def from_python_child(a):
    """The same by Python's own fork, which not every interpreter allows."""
    child = os.fork()
    if child == 0:
        in_child()
    note_child(a, child)


def in_child():
    """Never returns."""
    code = 1
    try:
        signal.signal(signal.SIGTERM, on_signal)
        code = 0 if signal.getsignal(signal.SIGTERM) is on_signal else 2
    except ValueError:
        # Not on the main thread of the main interpreter, said by the real function.
        code = 3
    finally:
        os._exit(code)


def note_child(a, child):
    """What the child's exit code tells."""
    _, status = os.waitpid(child, 0)
    meaning = ("set", "died", "swallowed", "ValueError")
    a.note("child: %s" % (meaning[status >> 8] if status & 127 == 0 else "killed"))


def slip(a):
    """Past mod_wsgi: a C function, by ctypes."""
    ignore = 1
    LIBC.signal(signal.SIGURG, a.here(ignore, [signal.SIGURG]))
    a.calls[-1]["outcome"] = "slipped"


def give_back(a):
    """Ends what `slip` began."""
    LIBC.signal(signal.SIGURG, a.here(0, [signal.SIGURG]))
    a.calls[-1]["outcome"] = "slipped"


def nothing(a):
    """A clean request."""


def one(a):
    """A single attempt."""
    a.calling(function)


WAYS = {
    way.__name__: way
    for way in (
        from_request, from_thread, wrongly, from_child, from_python_child, slip, give_back,
        nothing, one,
    )
}
