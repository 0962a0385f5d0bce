"""Curve of the baseline: its accuracy over its budgets and what it spends there, as measured and as it might be.

A net that is trained for less scatters more, so that the pooled spread of whole runs is too small at the smaller budgets. There
the spread of their own runs counts, moderated by the pooled one since it comes from few seeds: both variances are averaged,
weighted by degrees of freedom, of which the pooled one has PRIOR. So are those of seconds and joules, in logarithms. Smyth,
"Linear Models and Empirical Bayes Methods", Statistical Applications in Genetics and Molecular Biology 3 (2004), has the form;
PRIOR is fixed, and checked by `make error-rates`.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from frugal.report.machines import counted
from frugal.report.pool import TINY

DRAWS = 4000  # at least
BEYOND = 50  # of the draws that lie beyond each end of the widest interval
STEPS = 24  # of the bisection that looks for a budget: to a part in ten million of a segment of the curve
ROUNDING = 1e-12  # of a mean
PRIOR = 4  # degrees of freedom with which the pooled spread counts at a smaller budget, beside that of its own runs


def monotone(accuracies: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Isotonic regression along the last axis: the closest curve that never falls. accuracies: (..., budgets).

    By its max-min formula, the largest over all starts of the least over all ends of the weighted mean between, so that
    thousands of drawn curves take one pass. Robertson, Wright, Dykstra: Order Restricted Statistical Inference, 1988, 1.4
    """
    weights, count = np.asarray(weights, float), accuracies.shape[-1]
    fitted = np.full(accuracies.shape, -np.inf)
    for start in range(count):
        means, total = [accuracies[..., start]], weights[start]
        for end in range(start + 1, count):
            means.append((means[-1] * total + accuracies[..., end] * weights[end]) / (total + weights[end]))
            total += weights[end]
        least = np.minimum.accumulate(np.stack(means[::-1], axis=-1), axis=-1)[..., ::-1]
        fitted[..., start:] = np.maximum(fitted[..., start:], least)
    return np.maximum.accumulate(fitted, axis=-1)


class Curve:
    """The baseline's accuracy over its budgets, as measured and as it might be.

    runs: the baseline's, a row per run with the columns budget, seed, test_accuracy and the costs; spread: standard
    deviation of one whole run around its strategy and seed, and freedom: its degrees of freedom, both from the pool; wider: by
    budget, how many times as far its seeds scatter where they can't be pooled; scatter: by currency of a machine, the standard
    deviation of one run's logarithm, pooled too; draws, seed: of the simulation
    """

    def __init__(
        self,
        runs: pd.DataFrame,
        spread: float,
        freedom: int,
        wider: Mapping[float, float] | None = None,
        scatter: Mapping[str, float] | None = None,
        draws: int = DRAWS,
        seed: int = 0,
    ):
        groups = runs.groupby("budget", sort=True)
        self.runs, self.spread, self.freedom = runs, spread, freedom
        self.budgets = np.array(list(groups.groups), float)
        self.seeds = groups.size().to_numpy()
        self.means = groups["test_accuracy"].mean().to_numpy()
        self.seed, self.scatter = seed, scatter or {}
        self.generator = np.random.default_rng(seed)
        self.known = bool(freedom) and spread**2 > TINY
        self.scale, drawn = np.ones(draws), np.broadcast_to(self.means, (draws, len(self.budgets)))
        self.spreads = np.full(len(self.budgets), spread if self.known else np.nan)  # of one run at each budget
        if self.known:
            self.scale = _scales(self.generator, spread, freedom, draws)
            own = groups["test_accuracy"].var(ddof=1).fillna(0).to_numpy()
            scales = np.repeat(self.scale[:, None], len(self.budgets), axis=1)
            for place in np.flatnonzero((self.budgets != 1) | np.isin(self.budgets, list(wider or ()))):
                weight, sizes = min(PRIOR, freedom), self.seeds[place] - 1
                if wider and self.budgets[place] in wider and sizes:
                    weight = 0  # too far from the pooled spread to be moderated by it
                self.spreads[place] = _moderated(spread, weight, own[place], sizes)
                scales[:, place] = _scales(self.generator, self.spreads[place], weight + sizes, draws)
            noise = self.generator.standard_normal((draws, len(self.budgets))) / np.sqrt(self.seeds)
            drawn = self.means + scales * noise
        self.spent: dict[tuple[str, frozenset[int] | None], np.ndarray] = {}
        self.found: dict[tuple[float, ...], np.ndarray] = {}  # of the last strategy, asked for in each currency
        curves = np.vstack([self.means, drawn])
        self.fitted = np.maximum.accumulate(curves, axis=-1) if self.falls else monotone(curves, self.seeds)
        self.ends = np.log(self.budgets[[0, -1]])
        if len(self.budgets) > 1:
            self.pieces = PchipInterpolator(np.log(self.budgets), self.fitted.T, axis=0).c  # (4, segments, curves)
            self.off = off_between(self.budgets, self.fitted[0])
            self.sides = np.concatenate([[0.0], np.resize([1.0, -1.0], draws)])  # of the interpolation, in each draw

    def accuracy(self, budgets: np.ndarray) -> np.ndarray:
        """The measured curve, levelled, at budgets between its ends (n,): (n,); for figures."""
        if len(self.budgets) == 1:
            return np.full(len(budgets), self.fitted[0, 0])
        return PchipInterpolator(np.log(self.budgets), self.fitted[0])(np.log(budgets))

    @cached_property
    def falls(self) -> bool:
        """Whether the measured accuracy falls from one budget to a larger one by more than two standard errors."""
        return bool(np.triu(self._losses(), 1).any())

    @cached_property
    def overtrained(self) -> bool:
        """Whether it does so from a smaller budget to that of the strategies, 1."""
        return bool(self._losses()[self.budgets < 1][:, self.budgets == 1].any())

    def _losses(self) -> np.ndarray:
        """(budgets, budgets): whether the second of two is less accurate than the first, by more than two standard errors."""
        variances = self.spreads**2 / self.seeds if self.known else np.zeros(len(self.means))
        return self.means[:, None] - self.means > 2 * np.sqrt(variances[:, None] + variances)

    def matched(self, accuracies: np.ndarray) -> np.ndarray:
        """Logarithm of the budget at which each curve reaches an accuracy; -inf below its bottom, inf above its top.

        accuracies: (curves,), of the measured curve and each drawn one; returns (curves,)
        """
        bottom, top = self.fitted[:, 0], self.fitted[:, -1]
        above, below = accuracies > top + ROUNDING, accuracies < bottom - ROUNDING
        found = np.where(above, np.inf, np.where(below, -np.inf, self.ends[0]))
        rows = np.flatnonzero((accuracies > bottom + ROUNDING) & ~above)
        if not len(rows):
            return found
        wanted = np.minimum(accuracies, top)[rows]
        segment = (self.fitted[rows] < wanted[:, None]).sum(1) - 1  # its left end lies below, its right end reaches it
        cubic = self.pieces[:, segment, rows]
        starts = np.log(self.budgets)
        low, high = np.zeros(len(rows)), np.diff(starts)[segment]
        width, bulge = high, 4 * self.sides[rows] * self.off[segment]
        for _ in range(STEPS):
            middle = (low + high) / 2
            between = bulge * middle * (width - middle) / width**2  # none where it was measured, most half-way
            below = ((cubic[0] * middle + cubic[1]) * middle + cubic[2]) * middle + cubic[3] + between < wanted
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        found[rows] = starts[segment] + high
        return found

    def reached(self, mean: float, count: int, wider: float, unshared: float) -> np.ndarray:
        """`matched` of a strategy: (curves,), of its mean and of each draw. count: seeds; the others as for `exchange_rate`."""
        key = mean, count, wider, unshared
        if key not in self.found:
            generator = np.random.default_rng([count, len(self.budgets)])
            noise = generator.standard_normal(len(self.scale)) / np.sqrt(count)
            scale = self.scale
            if wider != 1 and self.known:
                scale = _scales(generator, wider * self.spread, max(count - 1, 1), len(scale))
            drawn = mean + (scale * noise if self.known else 0.0)
            if unshared > 0 and self.known:
                drawn = drawn + np.sqrt(unshared) * self.scale * generator.standard_normal(len(self.scale))
            self.found = {key: self.matched(np.concatenate([[mean], np.broadcast_to(drawn, self.scale.shape)]))}
        return self.found[key]

    def cost(self, name: str, budgets: np.ndarray, seeds: frozenset[int] | None = None) -> np.ndarray:
        """Logarithm of what the baseline spends at logarithms of budgets, clipped to those it was trained at.

        budgets: (curves,), one of each as `matched` gives them; seeds: whose costs count, None for all; returns (curves,)
        """
        if (name, seeds) not in self.spent:
            runs = counted(self.runs, name)
            runs = runs if seeds is None else runs[runs["seed"].isin(seeds)]
            groups = [own[name].astype(float) for _, own in runs.groupby("budget", sort=True)]
            generator = np.random.default_rng([self.seed, *name.encode()])
            self.spent[name, seeds] = np.stack([self.drawn_cost(name, own, generator) for own in groups], axis=-1)
        spent, starts = self.spent[name, seeds], np.log(self.budgets)
        if len(starts) == 1:
            return spent[:, 0]
        budgets = np.clip(budgets, *self.ends)
        left = np.clip(np.searchsorted(starts, budgets, side="right") - 1, 0, len(starts) - 2)
        share = (budgets - starts[left]) / np.diff(starts)[left]
        rows = np.arange(len(spent))
        return (1 - share) * spent[rows, left] + share * spent[rows, left + 1]

    def drawn_cost(self, name: str, paid: pd.Series, generator: np.random.Generator) -> np.ndarray:
        """Logarithm of a mean cost as measured and as it might be: (curves,). paid: of each run, on one machine."""
        mean, draws, spread = np.log(paid.mean()), len(self.scale), self.scatter.get(name, np.nan)
        if np.isnan(spread):
            return np.full(1 + draws, mean)
        weight, sizes = PRIOR, len(paid) - 1
        own = np.log(paid).var(ddof=1) if sizes else 0.0
        spread = _moderated(spread, weight, own, sizes)
        noise = _scales(generator, spread, weight + sizes, draws) * generator.standard_normal(draws)
        return np.concatenate([[mean], mean + noise / np.sqrt(len(paid))])


def off_between(budgets: np.ndarray, accuracies: np.ndarray) -> np.ndarray:
    """How far a curve may be from its interpolation half-way between two budgets next to each other: (budgets - 1,).

    Half of what is missed at either of the two, if that is left out and interpolated, as of a smooth curve a quarter to a half
    remains at half the distance. 0 of two budgets, which can't tell. budgets, accuracies: of the curve, (budgets,)
    """
    places, missed = np.log(budgets), np.zeros(len(budgets))
    for left_out in range(1, len(budgets) - 1):
        there = np.arange(len(budgets)) != left_out
        missed[left_out] = abs(
            PchipInterpolator(places[there], accuracies[there])(places[left_out]) - accuracies[left_out]
        )
    return np.maximum(missed[:-1], missed[1:]) / 2


def draws_for(level: float) -> int:
    """How many draws an interval of this two-sided confidence needs."""
    return max(DRAWS, int(np.ceil(2 * BEYOND / (1 - level))))


def _moderated(pooled: float, weight: float, own: float, sizes: float) -> float:
    """A pooled spread and an own variance, averaged as variances by their degrees of freedom, weight and sizes: a spread."""
    return np.sqrt((weight * pooled**2 + sizes * own) / (weight + sizes))


def _scales(generator: np.random.Generator, spread: float, freedom: float, draws: int) -> np.ndarray:
    """What the true spread may be, given its estimate: (draws,)."""
    return spread * np.sqrt(freedom / generator.chisquare(freedom, draws))
