"""Signals: SIGTERM, SIGINT and SIGUSR1 ask a run to save and stop at the next step; a process can end with its parent."""

import ctypes
import signal
import sys
from types import FrameType


class Interrupted(Exception):
    """A run was asked to stop and has saved its state. status: the exit status, 128 + signal as shells have it."""

    def __init__(self, number: int, where: str):
        super().__init__(f"stopped by {signal.Signals(number).name} {where}; run again to continue from there")
        self.status = 128 + number


class Interrupt:
    """Remembers the first such signal; a second SIGINT stops at once, for a person who means it."""

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)

    def __init__(self):
        self.number: int | None = None

    def __enter__(self) -> "Interrupt":
        self.before = {number: signal.signal(number, self._remember) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _: FrameType | None) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number


PR_SET_PDEATHSIG = 1  # of prctl(2)


def die_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent dies, kill -9 included (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
