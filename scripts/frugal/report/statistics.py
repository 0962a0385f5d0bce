"""Means over seeds, 95 % intervals, differences paired by seed, and what may be concluded from them.

A verdict reads one interval: that of the difference to the baseline, simultaneous over all strategies that are compared with it
(`frugal.report.simultaneous`). And a saving is held against the controls of equal cost: without them it says nothing about the
idea behind it.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from frugal.report.machines import OF_A_MACHINE, counted
from frugal.report.pool import TINY, Pool, by_seed
from frugal.study import Study

CONFIDENCE = 0.95

BETTER = "better"
EQUAL = "equal within the margin"
WORSE = "worse"
UNDECIDED = "undecided"
BASELINE = "baseline"
NO_DIFFERENCE = "no difference shown"
VERDICTS = (BETTER, EQUAL, WORSE, UNDECIDED, NO_DIFFERENCE, BASELINE)  # of strategies
NO_INTERVAL = "one seed gives no interval; run at least two, better five"
NO_SPREAD = "every seed differs by exactly as much, so how far seeds scatter is unknown; run more of them"

NEAR = 0.05  # two strategies cost the same where what they spent differs by at most this share
DIFFERENCE = [f"control_difference_{part}" for part in ("mean", "low", "high")]
VERDICT = "control_verdict"  # decided here and nowhere else


def intervals(values: pd.DataFrame, by: list[str], elsewhere: pd.Series | None = None) -> pd.DataFrame:
    """Mean and 95 % t-interval of every column of `values`, per group.

    values: numeric columns beside the columns `by`; one row per seed
    elsewhere: (rows,) bool, which rows are of another machine than the baseline's, whose seconds and joules don't count
    returns: indexed by group; columns <name>_mean, <name>_low, <name>_high. The interval is null with fewer than two
      seeds; all three are null where any seed's value is, since a mean over the rest would describe another set of runs.
    """
    groups = values.groupby(by, sort=False)
    count, size = groups.count(), groups.size()
    complete = count.eq(size, axis=0)
    mean = groups.mean().where(complete)
    quantile = stats.t.ppf(0.5 + CONFIDENCE / 2, np.maximum(size - 1, 1))
    half = groups.std(ddof=1).where(complete).mul(quantile / np.sqrt(size), axis=0)
    parts = {"mean": mean, "low": mean - half, "high": mean + half}
    named = [part.add_suffix(f"_{name}") for name, part in parts.items()]
    order = [f"{column}_{name}" for column in mean.columns for name in parts]
    found = pd.concat(named, axis=1)[order]
    if elsewhere is not None and elsewhere.any():
        timed = [column for column in values.columns if column.removesuffix("_saved") in OF_A_MACHINE]
        here = intervals(values.loc[~elsewhere, [*by, *timed]], by).reindex(found.index)
        found[here.columns] = here
    return found


def t_interval(values: np.ndarray) -> tuple[float, float]:
    """The ends of the 95 % t-interval of a mean, for seaborn's `errorbar`; values: (n,), one per seed; null with one seed."""
    mean, count = np.mean(values), len(values)
    half = (
        stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1) * np.std(values, ddof=1) / np.sqrt(count) if count > 1 else np.nan
    )
    return mean - half, mean + half


def paired(values: pd.DataFrame, reference: pd.DataFrame, by: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Line up each run with the reference run of the same data set, model and seed.

    by: the columns that must agree, e.g. dataset, model, seed
    returns: differences (value - reference) and saved shares (1 - value / reference), indexed like `values`
    """
    numbers = [column for column in values.columns if column in reference.columns and column not in by]
    mine = values[numbers].astype(float)
    matched = values[by].merge(reference[[*by, *numbers]], on=by, how="left", validate="many_to_one")
    theirs = matched[numbers].astype(float).set_axis(values.index)
    return mine - theirs, 1 - mine / theirs.where(theirs != 0)


def without_spread(low: float, high: float) -> bool:
    """Whether an interval has no width: a few seeds on a small test set come to that by chance, so it decides nothing."""
    return bool(np.isclose(low, high, rtol=0, atol=1e-12))


def verdict(low: float, high: float, margin: float) -> tuple[str, str]:
    """What a difference in accuracy allows to conclude, and why; non-inferiority with a margin.

    low, high: 95 % interval of (strategy - baseline), as fractions; NaN where there is none
    margin: by how much an accuracy may be lower and still count as equal
    """
    if np.isnan(low) or np.isnan(high):
        return UNDECIDED, NO_INTERVAL
    if without_spread(low, high):
        return UNDECIDED, NO_SPREAD
    if low > 0:
        return BETTER, "the whole interval lies above zero"
    if low >= -margin:
        return EQUAL, "the whole interval lies above minus the margin"
    if high < -margin:
        return WORSE, "the whole interval lies below minus the margin"
    if high < 0:
        return UNDECIDED, "below the baseline, but the interval crosses the margin; more seeds would tell"
    return UNDECIDED, "the interval reaches from below minus the margin to above zero; more seeds would tell"


def against_control(low: float, high: float) -> str:
    """What a difference in accuracy to a control of equal cost allows to conclude: better, worse, no difference shown, undecided.

    low, high: 95 % interval of (strategy - control), as fractions; NaN where there is none. An interval without width is as
    good as none: it decides nothing.
    """
    if np.isnan(low) or np.isnan(high) or without_spread(low, high):
        return UNDECIDED
    return BETTER if low > 0 else WORSE if high < 0 else NO_DIFFERENCE


def holm(p: pd.Series) -> pd.Series:
    """Holm's adjusted p-values of one family of tests: compare each with the level itself. Null ones are no tests."""
    known = p.dropna().sort_values(kind="stable")
    factors = np.arange(len(known), 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(known.to_numpy() * factors), 1.0)
    return pd.Series(adjusted, index=known.index).reindex(p.index)


def equal_cost(
    study: Study, runs: pd.DataFrame, cell: list[str], pools: Mapping[tuple[str, str], Pool]
) -> pd.DataFrame:
    """Every strategy beside every control that spent nearly as much of the study's cost, its own first, then the nearest.

    A control is itself compared with the other controls; the baseline with none. runs: a row per run; pools: of each data set
    and model
    returns: columns of `cell`, control, distance (share by which the costs differ), and control_difference_mean, _low,
      _high, the difference in test accuracy over the seeds that both have, and control_verdict, what it allows to conclude; no
      row where nothing was measured or nobody spent as much; seconds of rows marked as elsewhere (`machines`) don't count
    """
    spent = counted(runs, study.cost).groupby(cell, sort=False, observed=True)[study.cost].mean()
    rows, grounds = [], {}
    for place, here in runs.groupby(cell[:-1], sort=False, observed=True):
        grounds[place] = by_seed(here), pools[place]
    for key, mine in spent.items():
        *pair, strategy = key
        others = [name for name in study.controls if name in study.strategies and name != strategy]
        distances = {
            name: abs(spent[(*pair, name)] / mine - 1)
            for name in others
            if mine and strategy != study.baseline and (*pair, name) in spent.index
        }
        near = {name: distance for name, distance in distances.items() if distance <= NEAR}  # NaN is not near
        for control in sorted(near, key=lambda name: (study.follows.get(name) != strategy, near[name])):
            row = dict(zip(cell, key, strict=True)) | {"control": control, "distance": near[control]}
            rows.append(row | difference(*grounds[tuple(pair)], strategy, control))
    return pd.DataFrame(rows, columns=[*cell, "control", "distance", *DIFFERENCE, VERDICT])


def difference(values: pd.DataFrame, pool: Pool, mine: str, control: str) -> dict[str, float | str]:
    """Mean difference over the seeds that both have, its 95 % interval over the pooled spread, and what follows from it.

    values: a row per strategy, a column per seed. One of the two that is not in the pool makes it an interval of their own.
    """
    differences = (values.loc[mine] - values.loc[control]).dropna()
    count, mean = len(differences), differences.mean()
    if {mine, control} & set(pool.apart) or not pool.freedom:
        spread, freedom = (differences.std(ddof=1), count - 1) if count > 1 else (np.nan, 1)
    else:
        spread, freedom = np.sqrt(2 * pool.variance), pool.freedom
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, freedom) * spread / np.sqrt(count) if count else np.nan
    if count > 1 and differences.std(ddof=1) < TINY:  # to the last digit as far apart in every seed: that is no chance
        half = 0.0
    ends = (mean, mean - half, mean + half)
    return dict(zip(DIFFERENCE, ends, strict=True)) | {VERDICT: against_control(*ends[1:])}


def against_controls(
    study: Study, runs: pd.DataFrame, cell: list[str], pools: Mapping[tuple[str, str], Pool]
) -> pd.DataFrame:
    """Per cell the first control: columns control, control_difference_mean, _low, _high, control_verdict; null without one."""
    cells = runs.groupby(cell, sort=False).size().index
    first = equal_cost(study, runs, cell, pools).drop_duplicates(cell).set_index(cell)
    first = first.reindex(cells)[["control", *DIFFERENCE, VERDICT]]
    return first.astype(dict.fromkeys(DIFFERENCE, float) | {"control": object, VERDICT: object})
