"""Ties a process to its parent, so that none outlives the sweep it works for.

Linux only: elsewhere trials run one at a time, untied.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PARENT = "ABLATE_PARENT"
"""Environment variable in which a process that starts a server names itself."""


def named_parent() -> int | None:
    """The process that started this one, as it has named itself; None where it has not."""
    named = os.environ.get(PARENT)
    return None if named is None else int(named)


def tie_to_parent(parent: int | None) -> None:
    """SIGKILL this process when the thread that started it ends.

    `parent` is the process that should be the parent: where it is gone already, this one ends at
    once. None where the caller cannot know it.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if parent is not None and os.getppid() != parent:
        os._exit(1)
