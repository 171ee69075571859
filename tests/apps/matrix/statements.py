"""Statements over several lines: the line is that of the call, wherever the statement begins."""

import sys
import threading

from cases import case


@case
def expressions(take):
    """Calls in the middle of something."""
    value = (
        1
        + (take() or 0)
        + 2
    )
    take(
    )
    dict(
        first=1,
        second=take(),
        third=3,
    )
    "text".join([
        "a",
        str(take()),
    ]).upper(
    ).center(
        10 + take()
    )
    total = value + \
        take()
    return [
        total,
        take(),
    ]


@case
def conditions(take):
    """Jumps in between."""
    if (take() == 0 and
            take() == 0 and
            not take()):
        pass
    value = (
        take()
        if take() == 0
        else None
    )
    assert (
        take() == value
    ), "the same"
    while take():
        break
    else:
        take()
    for _ in range(
        2 + take()
    ):
        if _:
            continue
        take()
    return 0 < 1 + take() < \
        2 + take()


@case
def exceptions(take):
    """Where an exception goes on, and cleaning up."""
    try:
        take()
        raise ValueError(
            take()
        )
    except ValueError:
        take()
    else:
        take()
    finally:
        take()
    try:
        try:
            return take()
        finally:
            take()
    finally:
        take()


def raises(take):
    """Raises in a loop."""
    for number in range(3):
        try:
            if number == 1:
                raise KeyError(number)
            take()
        except KeyError:
            take()
            continue
        finally:
            take()


@case
def loops(take):
    """The same line many times, and lines that come before it."""
    raises(take)
    for number in range(3): take()
    number = 0
    while (
        number < 2
    ):
        number += 1
        take()


@case
def definitions(take):
    """Defaults, annotations and bases are computed where they stand."""

    def function(
        first=take(),
        second: take() = 2,
        *,
        third=take()
    ) -> take():
        return take()

    class Derived(
        [object, take()][0],
    ):
        """Its body begins later."""

        ATTRIBUTE = (
            take(),
        )

    function()
    return Derived


def long_source(lines):
    """A function whose table of lines is longer than any that people write."""
    body = "".join("    %s = take if %d else None\n" % ("v" * (n % 7 + 1), n) for n in range(lines))
    return (
        "def early(take):\n    take()\n" + body
        + "def beyond_the_table(take):\n" + body + "    take()\n"
    )


@case
def long_functions(take):
    """Told exactly where the table is read as far; unknown beyond, and never wrong."""
    namespace = {}
    exec(compile(long_source(6000), "<long>", "exec"), namespace)
    namespace["early"](take)
    namespace["beyond_the_table"](take)


@case
def generated(take):
    """Code that no file has, freed right after."""
    exec("take()\n\n\ntake()\n", {"take": take})
    exec(compile("\n" * 70000 + "take()", "<far down>", "exec"), {"take": take})
    eval("[take(), 1][0]", {"take": take})
    eval("(lambda: take())()", {"take": take})


@case
def traced(take):
    """Under a tracer and a profiler: the code is instrumented, and each line told.

    Not on 3.11: there a traced function never ends in a daemon of mod_wsgi 6.1.1 (seen with 3.11.7,
    also without sigblame).
    """
    if sys.version_info[:2] == (3, 11):
        take()
        return

    def tracer(frame, event, argument):
        return tracer

    def function():
        take()
        for _ in range(2):
            take()
        return [
            take()
        ]

    def run():
        sys.settrace(tracer)
        function()
        sys.setprofile(lambda frame, event, argument: None)
        function()
        sys.settrace(None)
        function()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
