"""Exchange rate of a strategy: what the plain net, trained for less, would have had to spend for the same accuracy.

The baseline is trained anew at several budgets, each the share B of the recipe's epochs, the whole schedule inside it. Its
curve gives an accuracy a(B) and a cost c(B). A strategy ends with accuracy A at cost C. Its matched budget B* is where the
curve reaches A, its exchange rate c(B*) / C: above 1 the strategy saves, below 1 it wastes. The honest saving is 1 - C / c(B*).

Rules. The curve is made monotone (isotonic regression) and interpolated in the logarithm of the budget (PCHIP); costs are
interpolated in both logarithms. A baseline that is less accurate at a larger budget, by more than two standard errors, is
overtrained: whoever has that budget may stop at the better one, so its curve is the best accuracy so far. Where the curve is
level, the matched budget is the smallest one that reaches A. An accuracy above the curve's top gives a lower bound (">"), one
below its bottom an upper bound ("<"). A curve of one budget gives bounds only. The interval comes from draws of all means with
the pooled spread and its degrees of freedom; what all strategies of a seed share moves curve and strategy alike and falls out.
An end of the interval beyond the curve is infinite, or 0. Seconds and joules scatter too, and their means are drawn likewise, of
the seeds that strategy and curve have on one machine; what is counted, as FLOPs are, is taken as it is.

A net that is trained for less scatters more, so that the pooled spread of whole runs is too small at the smaller budgets. There
the spread of their own runs counts, moderated by the pooled one since it comes from few seeds: both variances are averaged,
weighted by degrees of freedom, of which the pooled one has PRIOR. So are those of seconds and joules, in logarithms. Smyth,
"Linear Models and Empirical Bayes Methods", Statistical Applications in Genetics and Molecular Biology 3 (2004), has the form;
PRIOR is fixed, and checked by `make error-rates`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from frugal.report.machines import OF_A_MACHINE, counted
from frugal.report.pool import TINY

DRAWS = 4000  # at least
BEYOND = 50  # of the draws that lie beyond each end of the widest interval
STEPS = 24  # of the bisection that looks for a budget: to a part in ten million of a segment of the curve
PRIOR = (
    4  # degrees of freedom with which the pooled spread counts at a smaller budget, beside the spread of its own runs
)
SAVES, WASTES, UNDECIDED = "saves", "wastes", "undecided"
NO_CURVE = (
    "the baseline was trained at no budget, so there is no curve to hold this against; set `budgets` in the study"
)
LEVELLED = "the baseline's accuracy falls with its budget, its curve is levelled: the best so far"
SHORTER = "the plain net itself is more accurate here when it is trained for less"
ROUNDING = 1e-12  # of a mean
NO_COST = "this cost was not measured"
ANOTHER_MACHINE = "trained on another machine than the baseline, so that this can't be compared"
NO_SPREAD = "seeds show no spread, so there is no interval; run at least two, and more where all agree"


@dataclass(frozen=True)
class Rate:
    """An exchange rate with its 95 % interval, all null without one.

    bound: "" for a value, ">" or "<" where `value` is a bound; low, high: 0 and infinity where an end lies beyond the curve;
    matched_budget: B*, the end of the curve where the rate is a bound; reason: why there is no rate, no interval or only
    a bound
    """

    value: float = np.nan
    bound: str = ""
    low: float = np.nan
    high: float = np.nan
    verdict: str = UNDECIDED
    matched_budget: float = np.nan
    reason: str = ""

    @property
    def honest_saving(self) -> float:
        """1 - C / c(B*): the share saved of what the plain net would have spent for this accuracy; a bound where the rate is."""
        return 1 - 1 / self.value if self.value > 0 else np.nan


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
            for place in np.flatnonzero(self.budgets != 1):
                weight, sizes = min(PRIOR, freedom), self.seeds[place] - 1
                if wider and self.budgets[place] in wider and sizes:
                    weight = 0  # too far from the pooled spread to be moderated by it
                self.spreads[place] = _moderated(spread, weight, own[place], sizes)
                scales[:, place] = _scales(self.generator, self.spreads[place], weight + sizes, draws)
            noise = self.generator.standard_normal((draws, len(self.budgets))) / np.sqrt(self.seeds)
            drawn = self.means + scales * noise
        self.spent: dict[tuple[str, frozenset[int] | None], np.ndarray] = {}
        self.found: dict[tuple[float, int, float], np.ndarray] = {}  # of the last strategy, asked for in each currency
        curves = np.vstack([self.means, drawn])
        self.fitted = np.maximum.accumulate(curves, axis=-1) if self.falls else monotone(curves, self.seeds)
        self.ends = np.log(self.budgets[[0, -1]])
        if len(self.budgets) > 1:
            self.pieces = PchipInterpolator(np.log(self.budgets), self.fitted.T, axis=0).c  # (4, segments, curves)

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
        for _ in range(STEPS):
            middle = (low + high) / 2
            below = ((cubic[0] * middle + cubic[1]) * middle + cubic[2]) * middle + cubic[3] < wanted
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        found[rows] = starts[segment] + high
        return found

    def reached(self, mean: float, count: int, wider: float) -> np.ndarray:
        """`matched` of a strategy: (curves,), of its mean and of each draw of it. count, wider: as for `exchange_rate`."""
        key = mean, count, wider
        if key not in self.found:
            generator = np.random.default_rng([count, len(self.budgets)])
            noise = generator.standard_normal(len(self.scale)) / np.sqrt(count)
            scale = self.scale
            if wider != 1 and self.known:
                scale = _scales(generator, wider * self.spread, max(count - 1, 1), len(scale))
            drawn = mean + (scale * noise if self.known else 0.0)
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


def _of_both(curve: Curve, paid: pd.DataFrame, base: pd.DataFrame) -> frozenset[int] | None:
    """The seeds whose seconds are compared: those of the strategy and of each budget; None, for all, if fewer than two.

    Seeds were trained at different times, beside other work: what that adds to all of a seed then falls out.
    """
    shared = set(paid["seed"]).intersection(*(own["seed"] for _, own in base.groupby("budget")))
    every = {len(shared)} == {paid["seed"].nunique(), *base.groupby("budget")["seed"].nunique()}
    return None if every or len(shared) < 2 else frozenset(shared)


def draws_for(level: float) -> int:
    """How many draws an interval of this two-sided confidence needs."""
    return max(DRAWS, int(np.ceil(2 * BEYOND / (1 - level))))


def _moderated(pooled: float, weight: float, own: float, sizes: float) -> float:
    """A pooled spread and an own variance, averaged as variances by their degrees of freedom, weight and sizes: a spread."""
    return np.sqrt((weight * pooled**2 + sizes * own) / (weight + sizes))


def _scales(generator: np.random.Generator, spread: float, freedom: float, draws: int) -> np.ndarray:
    """What the true spread may be, given its estimate: (draws,)."""
    return spread * np.sqrt(freedom / generator.chisquare(freedom, draws))


def exchange_rate(curve: Curve | None, runs: pd.DataFrame, cost: str, level: float = 0.95, wider: float = 1.0) -> Rate:
    """The exchange rate of one strategy in one currency.

    curve: the baseline's, None without one; runs: the strategy's, with test_accuracy and the cost; level: two-sided confidence of
    this one interval, above 0.95 where it is one of several that are to hold together; wider: how many times as far its seeds
    scatter as the pool's, whose degrees of freedom don't count for it then; 0 where all of them agree, which gives no interval
    """
    if curve is None:
        return Rate(reason=NO_CURVE)
    paid, base = counted(runs, cost), counted(curve.runs, cost)
    if paid.empty or base["budget"].nunique() < len(curve.budgets):
        return Rate(reason=ANOTHER_MACHINE)
    for table in (paid, base):
        if table[cost].isna().any() or not (table[cost] > 0).all():
            return Rate(reason=NO_COST)
    seeds = _of_both(curve, paid, base) if cost in OF_A_MACHINE else None
    paid = paid if seeds is None else paid[paid["seed"].isin(seeds)]
    count, mean = len(runs), float(runs["test_accuracy"].mean())
    matched = curve.reached(mean, count, wider)
    generator = np.random.default_rng([count, len(curve.budgets), *cost.encode()])
    rates = np.exp(curve.cost(cost, matched, seeds) - curve.drawn_cost(cost, paid[cost].astype(float), generator))
    bound = ">" if matched[0] == np.inf else "<" if matched[0] == -np.inf else ""
    value, budget = float(rates[0]), float(np.exp(np.clip(matched[0], *curve.ends)))
    top, bottom = "the baseline at its largest budget", "the baseline at its smallest budget"
    if curve.falls:
        top, bottom = "the top of the curve", "the bottom of the curve"
    reason = {
        ">": f"more accurate than {top}: a lower bound",
        "<": f"less accurate than {bottom}: an upper bound",
        "": "",
    }[bound]
    if len(curve.budgets) == 1:
        reason = "the baseline was trained at one budget, so this is a bound at best"
    if curve.falls:
        reason = f"{reason}; {LEVELLED}".removeprefix("; ")
    if curve.overtrained:
        reason = f"{reason}; {SHORTER}"
    if not curve.known or not wider or np.isnan(curve.scatter.get(cost, 0.0)):
        return Rate(value, bound, matched_budget=budget, reason=f"{NO_SPREAD}; {reason}".removesuffix("; "))
    open_rates = np.where(matched[1:] == np.inf, np.inf, np.where(matched[1:] == -np.inf, 0.0, rates[1:]))
    tail = (1 - level) / 2
    low = float(np.quantile(open_rates, tail, method="lower"))
    high = float(np.quantile(open_rates, 1 - tail, method="higher"))
    # Beyond the top of the curve the rate is at least that of the top, beyond its bottom at most that of the bottom.
    if low == np.inf:
        low = float(np.quantile(rates[1:], tail, method="lower"))
    if high == 0.0:
        high = float(np.quantile(rates[1:], 1 - tail, method="higher"))
    verdict = SAVES if low > 1 else WASTES if high < 1 else UNDECIDED
    return Rate(value, bound, low, high, verdict, budget, reason)
