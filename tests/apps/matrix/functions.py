"""Kinds of functions: generators, coroutines, comprehensions, lambdas, decorators, methods."""

import asyncio
import contextlib

from cases import case


@case
def plain(take):
    """The least that there is."""
    take()


@case
def lambdas(take):
    """Without a name."""
    (lambda call: call())(lambda: take())


@case
def closures(take):
    """Named by their place in the source from CPython 3.11 on."""

    def outer():
        def inner():
            take()

        inner()

    outer()


@case
def generators(take):
    """Their frames live in the generator object."""

    def leaf():
        yield take()
        yield take()

    def middle():
        yield from leaf()

    for _ in middle():
        pass
    next(call() for call in [take])


@case
def generator_methods(take):
    """Resumed with a value, an exception and an end."""

    def waits():
        try:
            yield 1
            yield take()
        except KeyError:
            yield take()
        finally:
            take()

    sent = waits()
    next(sent)
    sent.send(None)
    thrown = waits()
    next(thrown)
    thrown.throw(KeyError())
    thrown.close()
    sent.close()


@case
def comprehensions(take):
    """Inlined from CPython 3.12 on, a function of their own before."""
    [take() for _ in "a"]
    {take() for _ in "a"}
    {key: take() for key in "a"}
    list(take() for _ in "a")
    [[take() for _ in "a"] for _ in "a"]
    (lambda: [take() for _ in "a"])()


@case
def coroutines(take):
    """A chain of awaits, driven by hand."""

    class Awaitable:
        """Awaited by a method."""

        def __await__(self):
            take()
            yield

    async def leaf():
        take()
        await Awaitable()

    async def middle():
        return await leaf()

    async def outer():
        return await middle()

    coroutine = outer()
    with contextlib.suppress(StopIteration):
        while True:
            coroutine.send(None)


@case
def tasks(take):
    """The same on an event loop, behind its C code."""

    async def leaf():
        await asyncio.sleep(0)
        take()

    async def both():
        await asyncio.gather(leaf(), leaf())

    loop = asyncio.new_event_loop()
    try:
        loop.call_soon(take)
        loop.run_until_complete(both())
    finally:
        loop.close()


@case
def async_generators(take):
    """With `async for`, an asynchronous comprehension and `async with`."""

    async def numbers():
        for number in range(2):
            take()
            yield number

    class Manager:
        """Enters and leaves."""

        async def __aenter__(self):
            take()

        async def __aexit__(self, *error):
            take()

    async def reads():
        async for _ in numbers():
            take()
        [number async for number in numbers()]
        async with Manager():
            pass

    coroutine = reads()
    with contextlib.suppress(StopIteration):
        coroutine.send(None)


@case
def decorators(take):
    """At the definition and at the call."""

    def decorate(label):
        take()

        def inner(function):
            take()

            def wrapper(*arguments, **named):
                return function(*arguments, **named)

            return wrapper

        return inner

    @decorate("outer")
    @decorate(
        "inner"
    )
    def decorated(first, *, second=take()):
        return take()

    decorated(1, second=2)


@case
def class_bodies(take):
    """Code of their own, with a qualified name from CPython 3.11 on."""

    class Outer:
        """Nested."""

        VALUE = take()

        class Inner:
            """In it."""

            VALUE = take()

            def method(self):
                """Of the nested class."""
                return take()

            @staticmethod
            def static():
                """Without a self."""
                return take()

            @classmethod
            def of_class(cls):
                """With the class."""
                return take()

    Outer.Inner().method()
    Outer.Inner.static()
    Outer.Inner.of_class()


@case
def metaclasses(take):
    """Called when a class is made."""

    class Meta(type):
        """Does it."""

        def __new__(mcs, name, bases, namespace):
            take()
            return super().__new__(mcs, name, bases, namespace)

    class Made(metaclass=Meta):
        """By it."""

        def __init_subclass__(cls):
            take()

    class Below(Made):
        """Its subclass."""

    Below()
