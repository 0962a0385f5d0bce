"""A sign of life beside a run's record: how far it is and how long it will take, for `make status`.

It tells what a process list can't, on whichever machine of a cluster the run is.
"""

import os
import socket
import time
from pathlib import Path

from frugal.atomic import write_json

SECONDS = 5.0  # between two signs
FILE = "progress.json"


class Heartbeat:
    """Writes FILE in `folder` at most every SECONDS; does nothing where folder is None."""

    def __init__(self, folder: Path | None, epochs: int, done: float):
        """epochs: planned; done: when it starts."""
        self.file = folder and folder / FILE
        self.epochs, self.first, self.done = epochs, done, done
        self.started = time.monotonic()
        self.next = self.started
        self.beat(0)

    def beat(self, epochs: float) -> None:
        """A part of an epoch is done."""
        self.done += epochs
        now = time.monotonic()
        if self.file is None or now < self.next:
            return
        self.next = now + SECONDS
        pace = (self.done - self.first) / max(now - self.started, 1e-9)
        write_json(
            self.file,
            {
                "epochs_done": round(self.done, 4),
                "epochs": self.epochs,
                "seconds_left": round((self.epochs - self.done) / pace, 1) if pace else None,
                "host": socket.gethostname(),
                "pid": os.getpid(),
            },
        )


def stop(folder: Path) -> None:
    """Once the record is there, it says all."""
    (folder / FILE).unlink(missing_ok=True)
