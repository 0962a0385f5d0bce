"""Against the controls of equal cost: without them, a saving says nothing about the idea behind it."""

import pandas as pd

from frugal.report.statistics import against_control, intervals, paired
from frugal.study import Study

NEAR = 0.05  # two strategies cost the same where what they spent differs by at most this share
DIFFERENCE = [f"control_difference_{part}" for part in ("mean", "low", "high")]
VERDICT = "control_verdict"  # decided here and nowhere else


def equal_cost(study: Study, runs: pd.DataFrame, cell: list[str]) -> pd.DataFrame:
    """Every strategy beside every control that spent nearly as much of the study's cost, the nearest first.

    A control is itself compared with the other controls; the baseline with none. runs: a row per run
    returns: columns of `cell`, control, distance (share by which the costs differ), and control_difference_mean, _low,
      _high, the difference in test accuracy, paired by seed, and control_verdict, what it allows to conclude; no row where
      nothing was measured or nobody spent as much
    """
    spent = runs.groupby(cell, sort=False, observed=True)[study.cost].mean()
    rows = []
    for key, mine in spent.items():
        *pair, strategy = key
        others = [name for name in study.controls if name in study.strategies and name != strategy]
        distances = {
            name: abs(spent[(*pair, name)] / mine - 1)
            for name in others
            if mine and strategy != study.baseline and (*pair, name) in spent.index
        }
        near = {name: distance for name, distance in distances.items() if distance <= NEAR}  # NaN is not near
        for control in sorted(near, key=near.get):
            row = dict(zip(cell, key, strict=True)) | {"control": control, "distance": near[control]}
            rows.append(row | _difference(runs, cell, key, (*pair, control)))
    return pd.DataFrame(rows, columns=[*cell, "control", "distance", *DIFFERENCE, VERDICT])


def _difference(
    runs: pd.DataFrame, cell: list[str], mine: tuple[str, ...], theirs: tuple[str, ...]
) -> dict[str, float | str]:
    by, own = ["dataset", "model", "seed"], runs.set_index(cell)[["seed", "test_accuracy"]]
    pair = [own.loc[[key]].reset_index()[[*by, "test_accuracy"]] for key in (mine, theirs)]
    difference, _ = paired(*pair, by=by)
    found = intervals(difference.assign(all="all"), ["all"]).iloc[0]
    told = {name: found[name.replace("control_difference", "test_accuracy")] for name in DIFFERENCE}
    return told | {VERDICT: against_control(found["test_accuracy_low"], found["test_accuracy_high"])}


def against_controls(study: Study, runs: pd.DataFrame, cell: list[str]) -> pd.DataFrame:
    """Per cell the nearest control: columns control, control_difference_mean, _low, _high, control_verdict; null without one."""
    cells = runs.groupby(cell, sort=False).size().index
    nearest = equal_cost(study, runs, cell).drop_duplicates(cell).set_index(cell)
    nearest = nearest.reindex(cells)[["control", *DIFFERENCE, VERDICT]]
    return nearest.astype(dict.fromkeys(DIFFERENCE, float) | {"control": object, VERDICT: object})
