"""Against the control of equal cost: without it, a saving says nothing about the idea behind it."""

import pandas as pd

from frugal.analysis.statistics import intervals, paired
from frugal.study import Study

NEAR = 0.05  # two strategies cost the same where their bytes differ by at most this share


def against_controls(study: Study, runs: pd.DataFrame, cell: list[str]) -> pd.DataFrame:
    """Per cell, the control nearest in bytes read and the difference in test accuracy, paired by seed; null without one.

    A control is itself compared with the other controls. returns: indexed by `cell`; columns control,
    control_difference_mean, _low, _high.
    """
    read = runs.groupby(cell, sort=False)["bytes_read"].mean()
    found = {key: _nearest(study, read, *key) for key in read.index}
    rows = []
    for key, control in found.items():
        if control is not None:
            mine = runs.set_index(cell).loc[[key]].reset_index()
            theirs = runs.set_index(cell).loc[[(*key[:2], control)]].reset_index()
            by = ["dataset", "model", "seed"]
            columns = [*by, "test_accuracy"]
            difference, _ = paired(mine[columns], theirs[columns], by=by)
            rows.append(difference.rename(columns={"test_accuracy": "control_difference"}).join(mine[cell]))
    names = [f"control_difference_{part}" for part in ("mean", "low", "high")]
    table = intervals(pd.concat(rows), cell) if rows else pd.DataFrame(columns=names, dtype=float)
    table = table.reindex(read.index)
    table.insert(0, "control", pd.Series(found, dtype=object))
    return table


def _nearest(study: Study, read: pd.Series, dataset: str, model: str, strategy: str) -> str | None:
    """The control that reads nearly as many bytes as this strategy, the nearest first; None where there is none."""
    mine = read[dataset, model, strategy]
    others = [name for name in study.controls if name in study.strategies and name != strategy]
    distance = {name: abs(read[dataset, model, name] / mine - 1) for name in others} if mine else {}
    nearest = min(distance, key=distance.get, default=None)
    return nearest if nearest is not None and distance[nearest] <= NEAR and strategy != study.baseline else None
