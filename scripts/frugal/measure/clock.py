"""Clock of synchronised wall time: seconds end when the device has finished its work; and what the processor did meanwhile."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

SCHEDULED = "/proc/thread-self/schedstat"  # of this thread: nanoseconds on a core, nanoseconds in the queue for one
OTHER = "other"


def synchronise(device: torch.device) -> None:
    """Wait until everything handed to the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Reading(NamedTuple):
    """Seconds so far. wall: passed; cpu: of all threads of this process on cores; on_core, queued: of this thread, or None."""

    wall: float
    cpu: float
    on_core: float | None
    queued: float | None

    @classmethod
    def now(cls) -> "Reading":
        """The last two are None where the system doesn't tell."""
        try:
            with open(SCHEDULED, "rb", buffering=0) as file:
                on_core, queued = (int(field) / 1e9 for field in file.read().split()[:2])
        except (OSError, ValueError):
            on_core, queued = None, None
        return cls(time.perf_counter(), time.process_time(), on_core, queued)


class Clock:
    """Seconds spent in each of several stages ("train", "evaluate", "checkpoint"), summed over visits.

    seconds: wall time by stage; what passes outside all of them is that of the stage "other".
    cpu: seconds of all threads of this process on cores, by stage; queued: those in which this thread waited for a core that
    others had; idle: those in which it neither computed nor waited for a core, as in sleep or while a disk reads. The last
    two are None where the system doesn't tell.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.seconds: dict[str, float] = {}
        self.cpu: dict[str, float] = {}
        self.queued: dict[str, float | None] = {}
        self.idle: dict[str, float | None] = {}
        self._running, self._since = OTHER, Reading.now()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block, synchronised at both ends. A stage inside another is taken out of the outer one's time.

        What the outer stage took until then is in `seconds` at once, so that a checkpoint saved inside it holds it.
        """
        outer = self._running
        self.switch(name)
        try:
            yield
        finally:
            self.switch(outer)

    def so_far(self, name: str) -> tuple[float, float]:
        """Wall seconds and CPU seconds of a stage until now, synchronised; the stage may be under way."""
        self.switch(self._running)
        return self.seconds.get(name, 0.0), self.cpu.get(name, 0.0)

    def state_dict(self) -> dict[str, Any]:
        """Plain content for a checkpoint."""
        return {name: getattr(self, name) for name in ("seconds", "cpu", "queued", "idle")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        for name, by_stage in state.items():
            setattr(self, name, dict(by_stage))

    def switch(self, name: str) -> None:
        """End the stage under way and go on with another, for work that is no block of code."""
        synchronise(self.device)
        now, since, stage = Reading.now(), self._since, self._running
        wall = now.wall - since.wall
        self.seconds[stage] = self.seconds.get(stage, 0.0) + wall
        self.cpu[stage] = self.cpu.get(stage, 0.0) + now.cpu - since.cpu
        if None in (*now, *since):
            queued = idle = None
        else:
            queued = now.queued - since.queued
            idle = wall - queued - (now.on_core - since.on_core)
        for by_stage, value in ((self.queued, queued), (self.idle, idle)):
            so_far = by_stage.get(stage, 0.0)
            by_stage[stage] = None if so_far is None or value is None else so_far + value
        self._running, self._since = name, now
