"""Synchronised wall time: a stage's seconds end when the device has finished its work."""

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

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block, synchronised at both ends. A stage inside another is taken out of the outer one's time."""
        synchronise(self.device)
        inner = sum(self.seconds.values())
        start = time.perf_counter()
        try:
            yield
        finally:
            synchronise(self.device)
            elapsed = time.perf_counter() - start - (sum(self.seconds.values()) - inner)
            self.seconds[name] = self.seconds.get(name, 0.0) + elapsed
