"""The spread that the runs of one ground share: how far one run lies from its strategy and seed.

Everything that is said of a data set with a net is judged by one spread: intervals of differences and of exchange rates, and
comparisons with controls. It is pooled over the strategies of the study, whose runs are whole trainings. What else was trained,
for a share of the epochs or to give scores, is not in it, and is tested against it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import special

from frugal.study import Study

UNEQUAL = 0.01  # level of the test for a spread of its own, divided by how many strategies but the baseline are tested
NOT_POOLED = "not pooled"  # in what is said of a strategy that is apart, and in nothing else that is said of intervals
SPREADS_APART = f"its seeds scatter {{:,.1f}} times as far as the others': {NOT_POOLED}, it has an interval of its own"
NO_SPREAD = f"no spread: every seed gives the same value; {NOT_POOLED}"
UNPAIRED = "fewer than two seeds that the baseline has too; run the missing ones"
TINY = 1e-12


@dataclass(frozen=True)
class Pool:
    """The spread that the strategies of one ground share.

    variance: of one run around its strategy and seed; null where it can't be known; freedom: its degrees of freedom;
    apart: strategies that are not pooled, each with the reason
    """

    variance: float
    freedom: int
    apart: dict[str, str] = field(default_factory=dict)


def by_seed(runs: pd.DataFrame, column: str = "test_accuracy") -> pd.DataFrame:
    """A column of the runs of one data set and model: a row per strategy, in the order of the runs, a column per seed."""
    return runs.pivot(index="strategy", columns="seed", values=column).reindex(dict.fromkeys(runs["strategy"]))


def pool_of(values: pd.DataFrame, baseline: str, known: tuple[float, float] | None = None) -> Pool:
    """The spread that strategies share, and those that scatter otherwise: F-test of each against the others, Bonferroni.

    values: a row per strategy, a column per seed, null where a run is missing. Seeds are taken out by the median over the
    other strategies first, so that one that collapsed does not hide itself. A spread of zero among others that have one
    is no spread to pool. The baseline is tested too where there are at least two others. known: as for `compare`; the
    strategies, without the baseline, are tested against it too, and it is the spread of the pool.
    """
    every = values.to_numpy(float)
    several = np.isfinite(every).sum(1) >= 2
    names, numbers = np.array(values.index, object)[several], every[several]
    numbers = numbers[:, np.isfinite(numbers).any(0)]
    shared = (np.isfinite(every).sum(0) > 1).any()
    centred = numbers - np.nanmean(numbers, axis=1, keepdims=True) if len(numbers) else numbers
    if shared and len(numbers) > 1:  # what the others of a seed have in common, without the one that is looked at
        centred = centred - np.array([_median(np.delete(centred, row, axis=0)) for row in range(len(centred))])
    count = np.maximum(np.isfinite(centred).sum(1), 1)  # none where nobody else has a seed
    centred = centred - (np.nansum(centred, axis=1) / count)[:, None]
    sizes, squares = count - 1, np.nansum(centred**2, axis=1)
    variances = squares / np.maximum(sizes, 1)
    apart: dict[str, str] = {}
    alike = np.nanvar(numbers, axis=1, ddof=1) <= TINY if len(numbers) else np.zeros(0, bool)
    if not alike.all():
        apart = dict.fromkeys(names[alike & (names != baseline)], NO_SPREAD)
    more = known or (0.0, 0.0)
    while True:
        kept = np.array([name not in apart for name in names], bool)
        freedom = sizes[kept].sum() + more[1] - sizes
        one_of_many = kept.sum() > 2 and not known  # of two that differ it is the other one
        tested = kept & ((names != baseline) | one_of_many) & (sizes >= 1) & (freedom >= 2)
        if not tested.any():
            break
        size, freedom = sizes[tested], freedom[tested]
        others = (squares[kept].sum() + more[0] * more[1] - squares[tested]) / freedom
        alone = np.where(variances[tested] > TINY, np.inf, 1.0)  # where the others have no spread
        ratio = np.where(others > TINY, variances[tested] / np.maximum(others, TINY), alone)
        chance = unequal(ratio, size, freedom)
        worst = chance.argmin()
        if chance[worst] >= UNEQUAL / max(1, (names[tested] != baseline).sum()):
            break
        apart[names[tested][worst]] = SPREADS_APART.format(np.sqrt(ratio[worst]))
    if known:
        return Pool(*known, apart)
    return Pool(*_residual(every[np.array([name not in apart for name in values.index], bool)]), apart)


def pool_told(summary: pd.DataFrame) -> Pool:
    """The pool of one data set and model, as the rows of summary.csv have it."""
    remarks = summary.set_index("strategy")["interval_remark"].dropna()
    spread, freedom = summary[["pool_spread", "pool_freedom"]].iloc[0]
    apart = {str(name): str(why) for name, why in remarks.items() if NOT_POOLED in why}
    return Pool(np.nan, 0, apart) if np.isnan(spread) else Pool(float(spread) ** 2, int(freedom), apart)


def with_others(pool: Pool, values: pd.DataFrame, pooled: Sequence[str]) -> Pool:
    """The same spread; runs that are not of those pooled and scatter otherwise are apart too: F-test of each, Bonferroni.

    values: as for `pool_of`. What the pooled ones of a seed have in common is taken out first, where these are enough to tell.
    """
    others = [name for name in values.index if name not in pooled]
    if not others or not pool.freedom or not pool.variance > TINY:
        return pool
    kept = values.loc[[name for name in values.index if name in pooled and name not in pool.apart]]
    shared = kept.sub(kept.mean(axis=1), axis=0).median() if len(kept) > 2 else pd.Series(0.0, values.columns)
    apart = {}
    for name in others:
        own = (values.loc[name] - shared.fillna(0)).dropna()
        size, ratio = len(own) - 1, own.var(ddof=1) / pool.variance
        if size < 1 or ratio <= TINY:
            continue
        if unequal(ratio, size, pool.freedom) < UNEQUAL / len(others):
            apart[name] = SPREADS_APART.format(np.sqrt(ratio))
    return replace(pool, apart=pool.apart | apart)


def unequal(ratio: np.ndarray, size: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Two-sided p-value of the F-test of two variances, by their ratio and their degrees of freedom: (n,) each, or numbers."""
    return 2 * np.minimum(special.fdtrc(size, freedom, ratio), special.fdtr(size, freedom, ratio))


def seed_shifts(study: Study, values: pd.DataFrame, pool: Pool) -> pd.Series:
    """By strategy, how much more accurate its seeds are than the baseline's, mean over each: 0 where both have the same seeds.

    By least squares over the strategies that are pooled. Null where no chain of shared seeds leads to the baseline's, so that
    nothing tells them apart from the strategy. values: as for `pool_of`, of all that was trained
    """
    kept = _linked_with_baseline(study, values, pool)
    if kept is None:
        return pd.Series(0.0, values.index)
    there = kept.notna().to_numpy()
    fitted = np.linalg.lstsq(layout(there), kept.to_numpy(float)[there], rcond=None)[0][len(kept) :]
    effects = pd.Series(0.0, kept.columns)
    effects.iloc[1:] = fitted if len(fitted) else 0.0
    effects = effects.reindex(values.columns)
    means = pd.Series({name: effects[row.notna()].mean() for name, row in values.iterrows()})
    return means - means[study.baseline]


def unshared_variances(study: Study, values: pd.DataFrame, pool: Pool) -> pd.Series:
    """By strategy, what `seed_shifts` adds to the variance of its distance from the baseline, as a multiple of one run's.

    That of two means over the same n seeds is 2 / n. With others it is larger than 1 / n + 1 / m, since what a seed is worth is
    known from runs too. 0 where both have the same seeds, or nothing was shifted. values: as for `pool_of`
    """
    kept = _linked_with_baseline(study, values, pool)
    found = pd.Series(0.0, values.index)
    if kept is None:
        return found
    design = layout(kept.notna().to_numpy())
    inverse, base = np.linalg.pinv(design.T @ design), kept.index.get_loc(study.baseline)
    count = kept.notna().sum(axis=1)
    for name, row in values.iterrows():
        contrast = np.zeros(design.shape[1])
        contrast[base] = 1
        own = 1 / count[study.baseline]
        if name in kept.index:
            contrast[kept.index.get_loc(name)] -= 1
            own += 1 / count[name]
        else:
            seeds = [kept.columns.get_loc(seed) for seed in row.dropna().index if seed in kept.columns]
            for seed in filter(None, seeds):  # the first has no column
                contrast[len(kept) + seed - 1] = 1 / len(seeds)
        found[name] = max(0.0, float(contrast @ inverse @ contrast) - own) if name != study.baseline else 0.0
    return found.where(found > TINY, 0.0)


def _linked_with_baseline(study: Study, values: pd.DataFrame, pool: Pool) -> pd.DataFrame | None:
    """Of the pooled strategies and the baseline those that a chain of shared seeds ties to it, and these seeds; None of none."""
    told_by = {*study.strategies} - {*pool.apart} | {study.baseline}
    kept = values.loc[[name for name in values.index if name in told_by]]
    there = kept.notna().to_numpy()
    if study.baseline not in values.index or not (there.sum(0) > 1).any():
        return None
    return kept.loc[linked(there, list(kept.index).index(study.baseline))]


def linked(there: np.ndarray, place: int) -> tuple[np.ndarray, np.ndarray]:
    """What hangs together with one strategy, by seeds that two of them share: bool, (strategies,) and (seeds,).

    there: (strategies, seeds) which runs there are; place: of the one, which has a run
    """
    rows = np.arange(len(there)) == place
    while True:
        seeds = there[rows].any(0)
        more = there[:, seeds].any(1)
        if (more == rows).all():
            return rows, seeds
        rows = more


def _median(numbers: np.ndarray) -> np.ndarray:
    """Of each column, null where all of it is."""
    whole = np.isfinite(numbers)
    if whole.all():
        return np.median(numbers, axis=0)
    return np.array(
        [np.median(column[there]) if there.any() else np.nan for column, there in zip(numbers.T, whole.T, strict=True)]
    )


def _residual(numbers: np.ndarray) -> tuple[float, int]:
    """Residual variance of strategy + seed and its degrees of freedom; of strategies alone where seeds are not shared."""
    long = numbers[np.isfinite(numbers)]
    if not len(long):
        return np.nan, 0
    design = layout(np.isfinite(numbers))
    fitted, _, rank, _ = np.linalg.lstsq(design, long, rcond=None)
    freedom = len(long) - rank
    if freedom < 1:
        return np.nan, 0
    variance = float(((long - design @ fitted) ** 2).sum() / freedom)
    return variance if variance > TINY else 0.0, int(freedom)  # what rounding leaves is no spread


def layout(there: np.ndarray) -> np.ndarray:
    """A row per run, a column per strategy, and one per seed but the first where at least two strategies share one.

    there: (strategies, seeds) which runs there are
    """
    strategies, seeds = np.nonzero(there)
    columns = np.eye(there.shape[0])[strategies]
    if (there.sum(0) > 1).any():
        columns = np.hstack([columns, np.eye(there.shape[1])[seeds][:, np.flatnonzero(there.any(0))[1:]]])
    return columns
