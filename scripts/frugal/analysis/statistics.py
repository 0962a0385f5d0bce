"""Means over seeds, 95 % intervals, differences paired by seed, and what may be concluded from them."""

import numpy as np
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95

BETTER = "better"
EQUAL = "equal within the margin"
WORSE = "worse"
UNDECIDED = "undecided"
BASELINE = "baseline"


def intervals(values: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Mean and 95 % t-interval of every column of `values`, per group.

    values: numeric columns beside the columns `by`; one row per seed
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
    return pd.concat(named, axis=1)[order]


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


def verdict(low: float, high: float, margin: float) -> tuple[str, str]:
    """What a difference in accuracy allows to conclude, and why; non-inferiority with a margin.

    low, high: 95 % interval of (strategy - baseline), as fractions; NaN where there is none
    margin: by how much an accuracy may be lower and still count as equal
    """
    if np.isnan(low) or np.isnan(high):
        return UNDECIDED, "one seed gives no interval; run at least two, better five"
    if low > 0:
        return BETTER, "the whole interval lies above zero"
    if low >= -margin:
        return EQUAL, "the whole interval lies above minus the margin"
    if high < -margin:
        return WORSE, "the whole interval lies below minus the margin"
    if high < 0:
        return UNDECIDED, "below the baseline, but the interval crosses the margin; more seeds would tell"
    return UNDECIDED, "the interval reaches from below minus the margin to above zero; more seeds would tell"
