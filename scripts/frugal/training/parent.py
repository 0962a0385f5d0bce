"""A process that ends with the one that started it."""

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1  # of prctl(2)


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent dies, kill -9 included (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
