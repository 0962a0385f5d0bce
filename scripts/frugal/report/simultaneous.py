"""Simultaneous comparison of strategies with their baseline from few seeds: a two-way layout and Dunnett's intervals.

With three seeds a t-interval of one strategy is 4.3 standard errors wide. Strategies of one ground scatter alike, so their
spread is pooled: value = strategy + seed + residual, with one residual variance, which has (k - 1)(n - 1) degrees of freedom
where k strategies share n seeds. All strategies are compared with the baseline at once, so that one interval gives one
verdict, and the chance of even one wrong interval is five per cent.

Charles W. Dunnett, "A Multiple Comparison Procedure for Comparing Several Treatments with a Control", Journal of the American
Statistical Association 50 (1955), https://doi.org/10.1080/01621459.1955.10501294
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from frugal.report.pool import TINY, UNPAIRED, Pool, by_seed, layout, linked, pool_of

CONFIDENCE = 0.95
BASELINE_APART = "the baseline's seeds scatter otherwise than the others': an interval of its own"


def critical_value(
    comparisons: int, freedom: float, loadings: Sequence[float] | None = None, confidence: float = CONFIDENCE
) -> float:
    """Dunnett's two-sided critical value: how many standard errors wide simultaneous intervals are, to either side.

    comparisons: strategies beside the baseline; freedom: degrees of freedom of the variance; loadings: (comparisons,)
    differences i and j are correlated by loadings[i] * loadings[j]; by default 1/2, as where every strategy has as many seeds
    as the baseline. Raises ValueError for no comparison.
    """
    if comparisons < 1:
        raise ValueError("there is nothing to compare")
    given = [np.sqrt(0.5)] * comparisons if loadings is None else loadings
    return _critical_value(tuple(np.round(sorted(given), 6)), freedom, confidence)


@cache
def _critical_value(loadings: tuple[float, ...], freedom: float, confidence: float) -> float:
    comparisons = len(loadings)
    if comparisons == 1:
        return float(stats.t.ppf(0.5 + confidence / 2, freedom))
    nodes, weights = special.roots_hermitenorm(64)
    weights = weights / weights.sum()
    # Quantiles of s = sqrt(chi2 / freedom) at the nodes of a Gauss-Legendre rule on (0, 1).
    levels, parts = special.roots_legendre(200)
    spread = np.sqrt(stats.chi2.ppf((levels + 1) / 2, freedom) / freedom)
    distinct, counts = np.unique(loadings, return_counts=True)

    def missed(bound: float) -> float:
        edge, inside = bound * spread[:, None], 1.0
        for shared, count in zip(distinct, counts, strict=True):
            own = np.sqrt(1 - shared**2)
            within = special.ndtr((shared * nodes + edge) / own) - special.ndtr((shared * nodes - edge) / own)
            inside = inside * within**count
        return float((inside @ weights) @ parts / 2) - confidence

    single = stats.t.ppf(0.5 + confidence / 2, freedom)
    bonferroni = stats.t.ppf(1 - (1 - confidence) / (2 * comparisons), freedom)
    return float(optimize.brentq(missed, 0.99 * single, 1.01 * bonferroni, xtol=1e-7))


def compare(
    runs: pd.DataFrame, baseline: str, share: bool = True, known: tuple[float, float] | None = None
) -> tuple[pd.DataFrame, Pool]:
    """Every strategy of one ground beside its baseline: means, differences, simultaneous 95 % intervals.

    runs: a row per run with the columns strategy, seed and value; share: whether the values are shares, so that no interval
    of a mean leaves [0, 1]; known: variance of one run with its degrees of freedom, where it is taken from elsewhere, as
    from a reference, since these runs are too few to tell
    returns: indexed by strategy, in the order of the runs: seeds; mean, low, high; difference, difference_low,
      difference_high, level (two-sided confidence of one such interval by itself), reason (why there is none, or why it is
      the strategy's own); all null for the baseline's difference; and the pool
    """
    values = by_seed(runs, "value").dropna(how="all")
    found = pool_of(values, baseline, known)
    names, numbers = list(values.index), values.to_numpy(float)
    low, high = _means(names, numbers, found, known is not None)
    table = {
        "seeds": np.isfinite(numbers).sum(1),
        "mean": np.nanmean(numbers, axis=1),
        "low": np.clip(low, 0, 1) if share else low,
        "high": np.clip(high, 0, 1) if share else high,
    }
    none = [np.nan] * 4
    if baseline not in names:
        rows = {name: [*none, "the baseline has no run"] for name in names}
    else:
        others = len(names) - 1
        alone = dict.fromkeys(names, BASELINE_APART) | found.apart if baseline in found.apart else found.apart
        rows = {
            name: _by_itself(values, baseline, name, others, why) for name, why in alone.items() if name != baseline
        }
        pooled = [name for name in names if name != baseline and name not in alone]
        rows |= _together(names, numbers, baseline, pooled, found, others)
        rows[baseline] = [*none, found.apart.get(baseline, np.nan)]
    for place, column in enumerate([*DIFFERENCES, "level", "reason"]):
        table[column] = [rows[name][place] for name in names]
    return pd.DataFrame(table, index=values.index), found


DIFFERENCES = ("difference", "difference_low", "difference_high")


def _together(
    names: list[str], numbers: np.ndarray, baseline: str, pooled: list[str], pool: Pool, comparisons: int
) -> dict[str, list[float | str]]:
    """Differences to the baseline by least squares, with Dunnett's intervals over the pooled variance."""
    if not pooled:
        return {}
    numbers = numbers[[names.index(name) for name in [baseline, *pooled]]]
    if not pool.freedom or pool.variance <= TINY:
        why = (
            "one seed gives no interval" if not pool.freedom else "every seed differs by as much: no spread to judge by"
        )
        plain = [row[np.isfinite(row)] for row in numbers[1:] - numbers[0]]
        return {
            name: [row.mean() if len(row) else np.nan, *[np.nan] * 3, why]
            for name, row in zip(pooled, plain, strict=True)
        }
    there = np.isfinite(numbers)
    told = linked(there, 0)[0] if (there.sum(0) > 1).any() else np.ones(len(there), bool)
    untold = {name: [*[np.nan] * 4, UNPAIRED] for name, kept in zip(pooled, told[1:], strict=True) if not kept}
    pooled = [name for name in pooled if name not in untold]
    if not pooled:
        return untold
    numbers, there = numbers[told], there[told]
    design = layout(there)
    inverse = np.linalg.pinv(design.T @ design)
    effects = inverse @ design.T @ numbers[there]
    contrasts = np.zeros((len(pooled), design.shape[1]))
    contrasts[:, 0], contrasts[:, 1 : 1 + len(pooled)] = -1, np.eye(len(pooled))
    covariance = contrasts @ inverse @ contrasts.T
    errors = np.sqrt(np.diag(covariance))
    loadings = _loadings(covariance / np.outer(errors, errors))
    rest = [np.sqrt(0.5)] * (comparisons - len(loadings))  # those with an interval of their own are comparisons too
    bound = critical_value(comparisons, pool.freedom, [*loadings, *rest])
    level = float(1 - 2 * special.stdtr(pool.freedom, -bound))
    half = bound * errors * np.sqrt(pool.variance)
    means = contrasts @ effects
    return untold | {
        name: [means[row], means[row] - half[row], means[row] + half[row], level, ""] for row, name in enumerate(pooled)
    }


def _loadings(correlations: np.ndarray) -> np.ndarray:
    """One number per difference whose products are the correlations: one factor, by principal axes; exact in Dunnett's layout."""
    if len(correlations) == 1:
        return np.array([np.sqrt(0.5)])
    loadings = np.full(len(correlations), np.sqrt(0.5))
    if np.allclose(correlations[~np.eye(len(correlations), dtype=bool)], 0.5):
        return loadings
    reduced = correlations.copy()
    for _ in range(100):
        np.fill_diagonal(reduced, loadings**2)
        values, vectors = np.linalg.eigh(reduced)
        loadings = np.abs(vectors[:, -1]) * np.sqrt(max(values[-1], 0.0))
    return loadings.clip(0.0, 0.99)


def _by_itself(values: pd.DataFrame, baseline: str, name: str, comparisons: int, why: str) -> list[float | str]:
    """A strategy that isn't pooled: a t-interval of its own differences, widened by Sidak for the number of comparisons."""
    differences = (values.loc[name] - values.loc[baseline]).dropna()
    spread = differences.std(ddof=1) if len(differences) > 1 else np.nan
    if not spread > TINY:
        return [differences.mean(), np.nan, np.nan, np.nan, why]
    level = CONFIDENCE ** (1 / comparisons)
    half = stats.t.ppf(0.5 + level / 2, len(differences) - 1) * spread / np.sqrt(len(differences))
    mean = differences.mean()
    return [mean, mean - half, mean + half, level, why]


def _means(names: list[str], numbers: np.ndarray, pool: Pool, known: bool) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals of the means over seeds, (strategies,) each: spread within strategies, pooled, with Satterthwaite's
    degrees of freedom; a known spread is one of whole runs. Of its own for a strategy that is not pooled.
    """
    pooled = np.array([name not in pool.apart for name in names], bool)
    count, mean = np.isfinite(numbers).sum(1), np.nanmean(numbers, axis=1)
    complete = numbers[pooled][:, np.isfinite(numbers[pooled]).all(0)]
    strategies, seeds = complete.shape
    half = np.full(len(names), np.nan)
    if known:
        half[pooled] = _quantile(pool.freedom) * np.sqrt(pool.variance / count[pooled])
    elif seeds > 1 and strategies > 1 and pool.freedom:
        between = strategies * complete.mean(axis=0).var(ddof=1)
        within = (strategies - 1) * pool.variance
        variance = (between + within) / strategies
        freedom = (between + within) ** 2 / (
            between**2 / (seeds - 1) + within**2 / max(1, (strategies - 1) * (seeds - 1)) + TINY**2
        )
        half[pooled] = _quantile(max(freedom, 1)) * np.sqrt(variance / count[pooled])
    for row in np.flatnonzero(np.isnan(half) & (count > 1)):
        own = numbers[row][np.isfinite(numbers[row])]
        half[row] = _quantile(len(own) - 1) * own.std(ddof=1) / np.sqrt(len(own))
    return mean - half, mean + half


def _quantile(freedom: float) -> float:
    return float(special.stdtrit(freedom, 0.5 + CONFIDENCE / 2))
