"""What a run can cost, in words: the heading of a column, the label of an axis, the verb of a sentence.

Costs are measured apart and never derived from each other. A study names the one it is about (`cost` in its file).
"""

from dataclasses import dataclass

import pandas as pd
from matplotlib import ticker


@dataclass(frozen=True)
class Cost:
    """A cost, by its column in runs.csv.

    saved: heading of the share that was saved; axis, unit: of a figure; saving: what a strategy does, {} is the share;
    equally: what a control of equal cost does; running: column of history.csv from which the cost of the first epochs
    follows, summed up where `summed`; None where history cannot tell
    """

    saved: str
    axis: str
    unit: str
    saving: str
    equally: str
    running: str | None = None
    summed: bool = False

    @property
    def heading(self) -> str:
        """`saved` without its hints for breaking lines."""
        return self.saved.replace("&shy;", "")

    def told(self, amount: float) -> str:
        """An amount with its unit, to three digits, e.g. 3.31k."""
        return self.formatter(float(f"{amount:.3g}"))

    @property
    def formatter(self) -> ticker.Formatter:
        """For the axis of a figure."""
        return ticker.EngFormatter(unit=self.unit, sep="\N{THIN SPACE}" if self.unit else "")


COSTS = {
    "samples_backpropagated": Cost(
        saved="samples saved",
        axis="samples back-propagated in training",
        unit="",
        saving="back-propagates {} fewer samples",
        equally="back-propagates as many samples",
        running="samples",
        summed=True,
    ),
    "samples_forwarded": Cost(
        saved="forward passes saved",
        axis="samples forwarded in training",
        unit="",
        saving="forwards {} fewer samples",
        equally="forwards as many samples",
    ),
    "bytes_read": Cost(
        saved="bytes saved",
        axis="bytes read in training",
        unit="B",
        saving="reads {} fewer bytes",
        equally="reads as many bytes",
        running="bytes_read",
        summed=True,
    ),
    "flops_executed": Cost(
        saved="FLOPs saved",
        axis="FLOPs executed in training",
        unit="FLOP",
        saving="executes {} fewer FLOPs",
        equally="executes as many FLOPs",
        running="flops_executed",
    ),
    "flops_forward_per_sample": Cost(
        saved="FLOPs of a sample saved",
        axis="FLOPs of a sample, forward, at the end",
        unit="FLOP",
        saving="ends with {} fewer FLOPs per sample",
        equally="ends with as many FLOPs per sample",
    ),
    "train_seconds": Cost(
        saved="seconds saved",
        axis="seconds of training",
        unit="s",
        saving="trains in {} less time",
        equally="trains as long",
        running="train_seconds",
    ),
    "energy_joules": Cost(
        saved="energy saved",
        axis="joules metered in training",
        unit="J",
        saving="takes {} less energy",
        equally="takes as much energy",
    ),
    "peak_memory_bytes": Cost(
        saved="memory saved",
        axis="peak memory of training",
        unit="B",
        saving="needs {} less memory",
        equally="needs as much memory",
    ),
    "model_bytes": Cost(
        saved="model bytes saved",
        axis="size of the model",
        unit="B",
        saving="is stored in {} fewer bytes",
        equally="is stored in as many bytes",
    ),
    "optimizer_bytes": Cost(
        saved="optimizer bytes saved",
        axis="size of the optimizer's state",
        unit="B",
        saving="needs {} fewer bytes of optimizer state",
        equally="needs as many bytes of optimizer state",
    ),
    "live_parameters": Cost(
        saved="para&shy;meters saved",
        axis="live parameters at the end",
        unit="",
        saving="ends with {} fewer live parameters",
        equally="ends with as many live parameters",
    ),
}

ALWAYS = ("flops_executed", "train_seconds")  # that nothing was saved of these is a result too
FOLLOWS = {
    "samples_forwarded": "samples_backpropagated",
    "bytes_read": "samples_backpropagated",
    "flops_forward_per_sample": "flops_executed",
}


def spent_by_epoch(history: pd.DataFrame, cost: str) -> pd.Series | None:
    """What one run had spent of a cost by the end of each epoch; None where its history can't tell."""
    running = COSTS[cost].running
    if running is None or running not in history:
        return None
    return history[running].cumsum() if COSTS[cost].summed else history[running]


def worth_a_column(summary: pd.DataFrame, main: str) -> list[str]:
    """The costs that a table of savings shows: the study's own, FLOPs, seconds, and what else was measured and differs.

    summary: a row per strategy; main: the cost that the study is about. A cost that only follows another one
    is left out unless it is the study's own.
    """
    shown = []
    for cost in dict.fromkeys([main, *COSTS]):
        saved = summary[f"{cost}_saved_mean"].dropna()
        if cost == main or (cost in ALWAYS and len(saved)):
            shown.append(cost)
        elif (saved.abs() >= 0.005).any():  # what rounds to nothing for every strategy needs no column
            leader = FOLLOWS.get(cost)
            if leader is None or (saved - summary[f"{leader}_saved_mean"]).abs().max() >= 0.005:
                shown.append(cost)
    return shown
