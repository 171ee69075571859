"""Takes a signal when it is imported. It is there under several names."""

from cases import CURRENT

CURRENT.take()


class Body:
    """Runs once, too."""

    VALUE = CURRENT.take()


def function(take):
    """For later."""
    return take()
