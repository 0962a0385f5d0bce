"""Clock of synchronised wall time: a stage's seconds end when the device has finished its work."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def synchronise(device: torch.device) -> None:
    """Wait until everything handed to the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Clock:
    """Seconds spent in each of several stages ("train", "evaluate", "checkpoint"), summed over visits."""

    def __init__(self, device: torch.device):
        self.device = device
        self.seconds: dict[str, float] = {}
        self._running: str | None = None
        self._since = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block, synchronised at both ends. A stage inside another is taken out of the outer one's time.

        What the outer stage took until then is in `seconds` at once, so that a checkpoint saved inside it holds it.
        """
        outer = self._running
        self._switch(name)
        try:
            yield
        finally:
            self._switch(outer)

    def _switch(self, name: str | None) -> None:
        synchronise(self.device)
        now = time.perf_counter()
        if self._running is not None:
            self.seconds[self._running] = self.seconds.get(self._running, 0.0) + now - self._since
        self._running, self._since = name, now
