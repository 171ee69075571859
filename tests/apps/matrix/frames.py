"""C between two frames of Python, and frames that no traceback shows."""

import contextlib
import functools
import itertools
import json
import re

import matrix_native as native
from cases import case, warm_up


@case
def callbacks(take):
    """Called back by C: the chain goes on behind it."""
    native.call(lambda: native.call(lambda: take()))
    sorted([1], key=lambda _: take())
    max([1, 2], key=lambda _: take())
    list(map(lambda _: take(), "a"))
    list(filter(lambda _: take(), "a"))
    functools.reduce(lambda left, right: take(), "ab")
    re.sub("a", lambda match: str(take()), "aa")
    list(itertools.starmap(lambda first, second: take(), ["ab"]))
    json.dumps(object(), default=lambda _: take())


@case
def partials(take):
    """A call of C that calls Python."""

    def call(function, *arguments):
        return function(*arguments)

    functools.partial(call, functools.partial(call, take))()
    functools.lru_cache()(lambda: take())()


@case
def special_methods(take):
    """Called by the interpreter itself, with or without C between."""

    class Special:
        """Each of its methods takes the signal."""

        def __call__(self):
            return take()

        @property
        def read(self):
            """Computed."""
            return take()

        @read.setter
        def read(self, value):
            take()

        def __getattr__(self, name):
            return take()

        def __getitem__(self, key):
            return take()

        def __contains__(self, key):
            return take() == 0

        def __iter__(self):
            take()
            return iter(())

        def __len__(self):
            return take()

        def __add__(self, other):
            return take()

        def __eq__(self, other):
            return take() == 0

        def __hash__(self):
            return take()

        def __str__(self):
            return str(take())

        def __format__(self, form):
            return str(take())

        def __enter__(self):
            take()

        def __exit__(self, *error):
            take()

    special = Special()
    special()
    special.read
    special.read = 1
    special.missing
    special[0]
    0 in special
    list(special)
    special + 1
    special == 1
    {special: 1}
    str(special)
    f"{special} {special:x}"
    with special:
        pass
    with contextlib.closing(generator(take)) as opened:
        next(opened)


def generator(take):
    """Is closed by its manager."""
    try:
        yield
    finally:
        take()


@case
def specialised(take):
    """The same call again and again: from CPython 3.11 on it is done in another way then, and from
    3.13 on the call of a class leaves a frame that no traceback shows."""

    class Made:
        """With an initialiser in Python."""

        def __init__(self, call):
            call()

        def method(self, call):
            """Called as often."""
            call()

        @property
        def read(self):
            """Read as often."""
            return CALLS[0]()

    def function(call):
        call()

    def nothing():
        pass

    CALLS = [nothing]

    def all_of_it():
        Made(CALLS[0])
        made = Made(nothing)
        made.method(CALLS[0])
        made.read
        function(CALLS[0])
        [call() for call in CALLS]
        return sorted(CALLS, key=lambda call: call() or 0)

    warm_up(all_of_it)
    CALLS[0] = take
    all_of_it()


@case
def finalisers(take):
    """Called when the last reference goes."""

    class Mortal:
        """Takes the signal when it dies."""

        def __del__(self):
            take()

    mortal = Mortal()
    del mortal
    Mortal()

    def dies_on_return():
        mortal = Mortal()
        return id(mortal)

    dies_on_return()


@case
def recursion(take):
    """Deeper than what is told: the middle is left out, and counted."""

    def down(depth):
        if depth:
            return down(depth - 1)
        return take()

    down(500)


@case
def shallow_recursion(take):
    """Told whole: one code object, many frames."""

    def down(depth):
        return down(depth - 1) if depth else take()

    down(60)
