"""Children of the worker: what they do to their own signals is theirs."""

import os
import subprocess

import matrix_native as native
from cases import SIGUSR2, case


@case
def in_shared_memory(take):
    """`vfork`, `posix_spawn` and `clone`, which resets or takes signals in the parent's memory."""
    subprocess.run(["true"], check=True)
    subprocess.run(["true"], check=True, close_fds=False, restore_signals=True)
    # From CPython 3.8 on.
    if hasattr(os, "posix_spawn"):
        pid = os.posix_spawn("/bin/true", ["true"], {}, setsigdef=range(1, 32))
        os.waitpid(pid, 0)
    take.recorder.note(native.clone_vm(SIGUSR2))
    # And the worker itself is still heard.
    take()


@case
def forked(take):
    """A child with its own memory, which runs Python on. Only in the main interpreter: elsewhere
    CPython ends it (`_PyInterpreterState_DeleteExceptMain`, 3.11)."""
    pid = os.fork()
    if pid == 0:
        try:
            take()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    take.recorder.note(pid)
    take()


@case
def parked(take):
    """Stays in the call until the pipe beside this file was written to."""
    pipe = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pipe")

    class Parked:
        """With frames around it."""

        def down(self, depth):
            """Deeper, through C."""
            if depth:
                return native.call(lambda: self.down(depth - 1))
            return native.park(take.recorder.here, SIGUSR2, pipe)

    return Parked().down(3)
