"""Progress of a run: a bar for a person at a terminal, a line per epoch for a log, and a file for `make status`.

The file, progress.json beside the record, tells what a process list can't, on whichever machine of a cluster the run is.
"""

import os
import socket
import sys
import time
from pathlib import Path

from tqdm import tqdm

from frugal.atomic import write_json

SECONDS = 5.0  # between two signs
PROGRESS_FILE = "progress.json"


class Heartbeat:
    """Writes PROGRESS_FILE in `folder` at most every SECONDS; does nothing where folder is None."""

    def __init__(self, folder: Path | None, epochs: float, done: float):
        """epochs: planned; done: when it starts."""
        self.file = folder and folder / PROGRESS_FILE
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


class Progress:
    """Counts epochs, in fractions. total: planned; done: when it starts; shown: not on ranks beside the first.

    folder: of the run's record, where a sign of life is left for `make status`, or None
    """

    def __init__(self, total: float, done: float, shown: bool = True, folder: Path | None = None):
        self.total, self.shown = total, shown
        self.heartbeat = Heartbeat(folder if shown else None, total, done)
        self.bar = tqdm(
            total=total,
            initial=done,
            unit="epoch",
            disable=not (shown and sys.stderr.isatty()),
            bar_format="{l_bar}{bar}| {n:.2f}/{total:.4g} epochs [{elapsed}<{remaining}{postfix}]",
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def advance(self, epochs: float) -> None:
        """A part of an epoch is done."""
        self.bar.update(epochs)
        self.heartbeat.beat(epochs)

    def epoch_done(self, row: dict[str, float | None], total: float) -> None:
        """Show an epoch's figures. row: as in history.csv; total: epochs as they are planned now."""
        self.total = self.bar.total = self.heartbeat.epochs = total
        text = f"train loss {row['train_loss']:.4f}"
        if row["val_accuracy"] is not None:
            text += f", validation accuracy {row['val_accuracy']:.4f}"
        if not self.shown:
            return
        if self.bar.disable:
            place = (
                f"epoch {row['epoch']}/{self.total:.4g}" if total > 0.001 else "one step"
            )  # of a net that stays untrained
            print(
                f"{place}: {text}, {row['train_seconds']:.1f} s of training",
                file=sys.stderr,
                flush=True,
            )
        else:
            self.bar.set_postfix_str(text)
