"""How far a run is: a bar for a person at a terminal, one line per epoch for a log."""

import sys
from pathlib import Path

from tqdm import tqdm

from frugal.training.heartbeat import Heartbeat


class Progress:
    """Counts epochs, in fractions. total: planned; done: when it starts; shown: not on ranks beside the first.

    folder: of the run's record, where a sign of life is left for `make status`, or None
    """

    def __init__(self, total: int, done: int, shown: bool = True, folder: Path | None = None):
        self.total, self.shown = total, shown
        self.heartbeat = Heartbeat(folder if shown else None, total, done)
        self.bar = tqdm(
            total=total,
            initial=done,
            unit="epoch",
            disable=not (shown and sys.stderr.isatty()),
            bar_format="{l_bar}{bar}| {n:.2f}/{total} epochs [{elapsed}<{remaining}{postfix}]",
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def advance(self, epochs: float) -> None:
        """A part of an epoch is done."""
        self.bar.update(epochs)
        self.heartbeat.beat(epochs)

    def epoch_done(self, row: dict[str, float | None]) -> None:
        """Show an epoch's figures; row: as in history.csv."""
        text = f"train loss {row['train_loss']:.4f}, validation accuracy {row['val_accuracy']:.4f}"
        if not self.shown:
            return
        if self.bar.disable:
            print(
                f"epoch {row['epoch']}/{self.total}: {text}, {row['train_seconds']:.1f} s of training",
                file=sys.stderr,
                flush=True,
            )
        else:
            self.bar.set_postfix_str(text)
