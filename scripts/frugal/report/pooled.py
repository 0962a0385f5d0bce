"""Simultaneous comparison of strategies with their baseline from few seeds: a two-way layout and Dunnett's intervals.

With three seeds a t-interval of one strategy is 4.3 standard errors wide. Strategies of one ground scatter alike, so their
spread is pooled: value = strategy + seed + residual, with one residual variance, which has (k - 1)(n - 1) degrees of freedom
where k strategies share n seeds. All strategies are compared with the baseline at once, so that one interval gives one
verdict, and the chance of even one wrong interval is five per cent.

Charles W. Dunnett, "A Multiple Comparison Procedure for Comparing Several Treatments with a Control", Journal of the American
Statistical Association 50 (1955), https://doi.org/10.1080/01621459.1955.10501294
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

CONFIDENCE = 0.95
UNEQUAL = 0.01  # level of the test for a spread of its own, divided by how many strategies are tested
SPREADS_APART = "its seeds scatter {:.2g} times as far as the others': not pooled, it has an interval of its own"
NO_SPREAD = "no spread: every seed gives the same value; not pooled"
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


def compare(runs: pd.DataFrame, baseline: str, share: bool = True) -> tuple[pd.DataFrame, Pool]:
    """Every strategy of one ground beside its baseline: means, differences, simultaneous 95 % intervals.

    runs: a row per run with the columns strategy, seed and value; share: whether the values are shares, so that no interval
    of a mean leaves [0, 1]
    returns: indexed by strategy, in the order of the runs: seeds; mean, low, high; difference, difference_low,
      difference_high, level (two-sided confidence of one such interval by itself), reason (why there is none, or why it is
      the strategy's own); all null for the baseline's difference; and the pool
    """
    values = runs.pivot(index="strategy", columns="seed", values="value")
    values = values.reindex(dict.fromkeys(runs["strategy"])).dropna(how="all")
    found = pool_of(values, baseline)
    others = [name for name in values.index if name != baseline]
    table = pd.DataFrame({"seeds": values.count(axis=1), "mean": values.mean(axis=1)}, index=values.index)
    table[["low", "high"]] = _means(values, found, share)
    if baseline not in values.index:
        return table.assign(**dict.fromkeys(DIFFERENCES, np.nan), level=np.nan, reason="the baseline has no run"), found
    pooled = [name for name in others if name not in found.apart]
    rows = {name: _by_itself(values, baseline, name, len(others), found.apart[name]) for name in found.apart}
    rows |= _together(values, baseline, pooled, found, len(others))
    differences = pd.DataFrame.from_dict(rows, orient="index", columns=[*DIFFERENCES, "level", "reason"])
    return table.join(differences), found


DIFFERENCES = ("difference", "difference_low", "difference_high")


def pool_of(values: pd.DataFrame, baseline: str) -> Pool:
    """The spread that strategies share, and those that scatter otherwise: F-test of each against the others, Bonferroni.

    values: a row per strategy, a column per seed, null where a run is missing. Seeds are taken out by the median over the
    other strategies first, so that one that collapsed does not hide itself. A spread of zero among others that have one
    is no spread to pool. The baseline always stays: what can't be pooled with it is left out.
    """
    enough = values[values.count(axis=1) >= 2]
    shared = (values.count(axis=0) > 1).any()
    centred = enough.sub(enough.mean(axis=1), axis=0)
    if shared and len(enough) > 1:  # what the others of a seed have in common, without the one that is looked at
        centred = centred - pd.DataFrame({name: centred.drop(name).median() for name in centred.index}).T
    variances, sizes = centred.var(axis=1, ddof=1), centred.count(axis=1) - 1
    apart: dict[str, str] = {}
    alike = enough.var(axis=1, ddof=1) <= TINY
    if not alike.all():
        apart = {name: NO_SPREAD for name in alike.index[alike] if name != baseline}
    while True:
        kept = [name for name in variances.index if name not in apart]
        tested = {}
        for name in kept:
            rest = [other for other in kept if other != name]
            freedom = sizes[rest].sum()
            if name == baseline or freedom < 2:
                continue
            others = (variances[rest] * sizes[rest]).sum() / freedom
            ratio = variances[name] / others if others > TINY else np.inf
            one_sided = min(stats.f.sf(ratio, sizes[name], freedom), stats.f.cdf(ratio, sizes[name], freedom))
            tested[name] = (2 * one_sided, ratio)
        worst = min(tested, key=lambda name: tested[name][0], default=None)
        if worst is None or tested[worst][0] >= UNEQUAL / len(tested):
            break
        apart[worst] = SPREADS_APART.format(np.sqrt(tested[worst][1]))
    variance, freedom = _residual(values.drop(index=list(apart)))
    return Pool(variance, freedom, apart)


def _residual(values: pd.DataFrame) -> tuple[float, int]:
    """Residual variance of strategy + seed and its degrees of freedom; of strategies alone where seeds are not shared."""
    long = values.stack().dropna()
    if long.empty:
        return np.nan, 0
    design, _ = _design(long.index)
    fitted, _, rank, _ = np.linalg.lstsq(design, long.to_numpy(), rcond=None)
    freedom = len(long) - rank
    if freedom < 1:
        return np.nan, 0
    return float(((long.to_numpy() - design @ fitted) ** 2).sum() / freedom), int(freedom)


def _design(index: pd.MultiIndex) -> tuple[np.ndarray, list[str]]:
    """A column per strategy, and one per seed but the first where at least two strategies share each."""
    strategies, seeds = index.get_level_values(0), index.get_level_values(1)
    names, shared = list(dict.fromkeys(strategies)), pd.Series(seeds).value_counts()
    blocks = list(dict.fromkeys(seeds))[1:] if (shared > 1).any() else []
    columns = [(strategies == name) for name in names] + [(seeds == seed) for seed in blocks]
    return np.column_stack(columns).astype(float), names


def _together(
    values: pd.DataFrame, baseline: str, pooled: list[str], pool: Pool, comparisons: int
) -> dict[str, list[float | str]]:
    """Differences to the baseline by least squares, with Dunnett's intervals over the pooled variance."""
    none = [np.nan] * 4
    if not pooled:
        return {}
    compared = values.loc[[baseline, *pooled]]
    plain = compared.sub(compared.loc[baseline]).mean(axis=1)
    if not pool.freedom or pool.variance <= TINY:
        why = (
            "one seed gives no interval" if not pool.freedom else "every seed differs by as much: no spread to judge by"
        )
        return {name: [plain[name], *none[1:], why] for name in pooled}
    long = compared.stack().dropna()
    design, names = _design(long.index)
    inverse = np.linalg.pinv(design.T @ design)
    effects = inverse @ design.T @ long.to_numpy()
    at, base = {name: names.index(name) for name in pooled if name in names}, names.index(baseline)
    contrasts = np.zeros((len(at), design.shape[1]))
    for row, place in enumerate(at.values()):
        contrasts[row, place], contrasts[row, base] = 1, -1
    covariance = contrasts @ inverse @ contrasts.T
    errors = np.sqrt(np.diag(covariance))
    loadings = _loadings(covariance / np.outer(errors, errors))
    rest = [np.sqrt(0.5)] * (comparisons - len(loadings))  # those with an interval of their own are comparisons too
    bound = critical_value(comparisons, pool.freedom, [*loadings, *rest])
    level = float(1 - 2 * stats.t.sf(bound, pool.freedom))
    half = bound * errors * np.sqrt(pool.variance)
    means = contrasts @ effects
    return {
        name: [means[row], means[row] - half[row], means[row] + half[row], level, ""] for row, name in enumerate(at)
    }


def _loadings(correlations: np.ndarray) -> np.ndarray:
    """One number per difference whose products are the correlations: one factor, by principal axes; exact in Dunnett's layout."""
    if len(correlations) == 1:
        return np.array([np.sqrt(0.5)])
    reduced = correlations.copy()
    loadings = np.full(len(reduced), np.sqrt(0.5))
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


def _means(values: pd.DataFrame, pool: Pool, share: bool) -> pd.DataFrame:
    """95 % intervals of the means over seeds: spread within strategies, pooled, with Satterthwaite's degrees of freedom."""
    pooled = values.drop(index=list(pool.apart))
    complete = pooled.dropna(axis=1)
    strategies, seeds = complete.shape
    low, high = pd.Series(np.nan, values.index), pd.Series(np.nan, values.index)
    if seeds > 1 and strategies > 1 and pool.freedom:
        between = strategies * complete.mean(axis=0).var(ddof=1)
        within = (strategies - 1) * pool.variance
        variance = (between + within) / strategies
        freedom = (between + within) ** 2 / (
            between**2 / (seeds - 1) + within**2 / max(1, (strategies - 1) * (seeds - 1)) + TINY**2
        )
        half = stats.t.ppf(0.5 + CONFIDENCE / 2, max(freedom, 1)) * np.sqrt(variance / pooled.count(axis=1))
        low.update(pooled.mean(axis=1) - half)
        high.update(pooled.mean(axis=1) + half)
    own = values.loc[[name for name in values.index if np.isnan(low[name])]]
    size = own.count(axis=1)
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, np.maximum(size - 1, 1)) * own.std(axis=1, ddof=1) / np.sqrt(size)
    low.update(own.mean(axis=1) - half)
    high.update(own.mean(axis=1) + half)
    bounds = pd.DataFrame({"low": low, "high": high})
    return bounds.clip(0, 1) if share else bounds
