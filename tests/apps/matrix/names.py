"""Names of functions and files: of any script, and of any length."""

import importlib
import sys

from cases import case

# As the strings are kept: one, two and four bytes a character.
MODULES = ("matrix_plain", "módulo_é", "модуль_ж", "matrix_𐌰𐌱")


@case
def functions(take):
    """One, two and four bytes a character."""

    def leaf_é(call):
        call()

    def лист(call):
        leaf_é(call)

    def 𐌰𐌱(call):
        лист(call)

    class Ünïcode:
        """In a qualified name."""

        def метод(self, call):
            """Calls."""
            𐌰𐌱(call)

    Ünïcode().метод(take)


@case
def modules(take):
    """Code of a module, which is freed as soon as it has run, and of its functions."""
    for name in MODULES:
        sys.modules.pop(name, None)
        importlib.import_module(name).function(take)


@case
def generated_files(take):
    """Files that need not be there."""
    for file in (
        "<é>",
        "<ж>",
        "<𐌰>",
        "",
        "a b\tc\nd",
        '"quoted" \\ \x1b[31m',
        "/srv/" + "d/" * 60 + "app.py",
    ):
        exec(compile("take()", file, "exec"), {"take": take})


def named(name, file, take):
    """Calls `take` in a function of that name."""
    namespace = {}
    exec(compile("def %s(take): take()" % name, file, "exec"), namespace)
    namespace[name](take)


class Text(str):
    """A string whose characters are not behind its head."""


@case
def odd_strings(take):
    """Not what the interpreter makes itself."""
    for name in ("ascii", "latin é", "ж", "𐌰"):
        exec(compile("take()", Text(name), "exec"), {"take": take})
    if hasattr(names_itself.__code__, "replace"):
        for name in ("ascii", "latin é", "ж", "𐌰"):
            code = names_itself.__code__.replace(co_name=Text(name), co_filename=Text(name))
            type(names_itself)(code, {})(take)


def names_itself(take):
    """Gets other names."""
    take()


@case
def long_names(take):
    """Cut, and told to be cut."""
    for character in "xéж𐌰":
        for length in (60, 240, 300, 5000):
            named("f" + character * length, "/srv/app.py", take)
            named("function", "/srv/" + character * length + ".py", take)
