"""Exchange rate of a strategy: what the plain net, trained for less, would have had to spend for the same accuracy.

The baseline is trained anew at several budgets, each the share B of the recipe's epochs, the whole schedule inside it. Its
curve gives an accuracy a(B) and a cost c(B). A strategy ends with accuracy A at cost C. Its matched budget B* is where the
curve reaches A, its exchange rate c(B*) / C: above 1 the strategy saves, below 1 it wastes. The honest saving is 1 - C / c(B*).

Rules. The curve is made monotone (isotonic regression) and interpolated in the logarithm of the budget (PCHIP); costs are
interpolated in both logarithms. Where the curve is level, the matched budget is the smallest one that reaches A. An accuracy
above the curve's top gives a lower bound (">"), one below its bottom an upper bound ("<"). A curve of one budget gives bounds
only. The interval comes from draws of all means with the pooled spread and its degrees of freedom; what all strategies of a
seed share moves curve and strategy alike and falls out. An end of the interval beyond the curve is infinite, or 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression

DRAWS = 4000
POINTS = 257  # of a curve, evenly in the logarithm of the budget
SAVES, WASTES, UNDECIDED = "saves", "wastes", "undecided"
NO_CURVE = (
    "the baseline was trained at no budget, so there is no curve to hold this against; set `budgets` in the study"
)
NO_COST = "this cost was not measured"
NO_SPREAD = "the spread over seeds is unknown; run at least two"


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
    """Isotonic regression along the last axis: the closest curve that never falls. accuracies: (..., budgets)."""
    weights = np.asarray(weights, float)
    flat = accuracies.reshape(-1, accuracies.shape[-1])
    return np.array([isotonic_regression(row, weights=weights).x for row in flat]).reshape(accuracies.shape)


class Curve:
    """The baseline's accuracy over its budgets, as measured and as it might be.

    runs: the baseline's, a row per run with the columns budget, seed, test_accuracy and the costs; spread: standard
    deviation of one run around its budget and seed, and freedom: its degrees of freedom, both from the pool; wider: by
    budget, how many times as far its seeds scatter where they can't be pooled; draws, seed: of the simulation
    """

    def __init__(
        self,
        runs: pd.DataFrame,
        spread: float,
        freedom: int,
        wider: Mapping[float, float] | None = None,
        draws: int = DRAWS,
        seed: int = 0,
    ):
        groups = runs.groupby("budget", sort=True)
        self.runs, self.spread, self.freedom = runs, spread, freedom
        self.budgets = np.array(list(groups.groups), float)
        self.seeds = groups.size().to_numpy()
        self.means = groups["test_accuracy"].mean().to_numpy()
        self.generator = np.random.default_rng(seed)
        self.known = bool(freedom) and spread > 0
        self.scale = np.ones(draws)
        if self.known:
            self.scale = spread * np.sqrt(freedom / self.generator.chisquare(freedom, draws))
        self.wider = np.array([(wider or {}).get(budget, 1.0) for budget in self.budgets])
        noise = self.generator.standard_normal((draws, len(self.budgets))) * self.wider / np.sqrt(self.seeds)
        drawn = self.means + (self.scale[:, None] * noise if self.known else 0.0)
        fitted = monotone(np.vstack([self.means, drawn]), self.seeds)
        self.grid = np.linspace(np.log(self.budgets[0]), np.log(self.budgets[-1]), POINTS)
        self.curves = fitted[:, [0]] if len(self.budgets) == 1 else self._between(fitted)

    def _between(self, fitted: np.ndarray) -> np.ndarray:
        curve = PchipInterpolator(np.log(self.budgets), fitted, axis=1)(self.grid)
        return np.maximum.accumulate(curve, axis=1)  # rounding must not make it fall

    @property
    def falls(self) -> bool:
        """Whether the measured accuracy falls from one budget to a larger one by more than two standard errors."""
        single = self.wider**2 / self.seeds
        errors = self.spread * np.sqrt(single[1:] + single[:-1]) if self.known else 0.0
        return bool((np.diff(self.means) < -2 * errors).any())

    def matched(self, accuracies: np.ndarray) -> np.ndarray:
        """Logarithm of the budget at which each curve reaches an accuracy; -inf below its bottom, inf above its top.

        accuracies: (curves,), of the measured curve and each drawn one; returns (curves,)
        """
        curves, wanted = self.curves, accuracies[:, None]
        found = np.where(accuracies > curves[:, -1], np.inf, -np.inf)
        if len(self.budgets) == 1:
            return np.where(accuracies == curves[:, 0], self.grid[0], found)
        after = (curves < wanted).sum(1)  # the first point of the grid that reaches it
        inside = (accuracies >= curves[:, 0]) & (accuracies <= curves[:, -1])
        right = after.clip(1, POINTS - 1)
        rows = np.arange(len(curves))
        low, high = curves[rows, right - 1], curves[rows, right]
        share = np.where(high > low, (accuracies - low) / np.where(high > low, high - low, 1), 1.0).clip(0, 1)
        within = self.grid[right - 1] + share * (self.grid[right] - self.grid[right - 1])
        return np.where(inside, np.where(after == 0, self.grid[0], within), found)

    def cost(self, name: str, budgets: np.ndarray) -> np.ndarray:
        """Logarithm of what the baseline spends at logarithms of budgets (n,), clipped to those it was trained at: (n,)."""
        spent = self.runs.groupby("budget", sort=True)[name].mean().to_numpy(float)
        ends = np.clip(budgets, self.grid[0], self.grid[-1])
        return np.interp(ends, np.log(self.budgets), np.log(spent))


def exchange_rate(curve: Curve | None, runs: pd.DataFrame, cost: str, level: float = 0.95, wider: float = 1.0) -> Rate:
    """The exchange rate of one strategy in one currency.

    curve: the baseline's, None without one; runs: the strategy's, with test_accuracy and the cost; level: two-sided confidence of
    this one interval, above 0.95 where it is one of several that are to hold together; wider: how many times as far its seeds
    scatter as the pool's
    """
    if curve is None:
        return Rate(reason=NO_CURVE)
    for table in (runs, curve.runs):
        if table[cost].isna().any() or not (table[cost] > 0).all():
            return Rate(reason=NO_COST)
    count, mean = len(runs), runs["test_accuracy"].mean()
    generator = np.random.default_rng([count, len(curve.budgets)])
    noise = generator.standard_normal(len(curve.scale)) / np.sqrt(count)
    drawn = mean + (curve.scale * wider * noise if curve.known else 0.0)
    matched = curve.matched(np.concatenate([[mean], np.broadcast_to(drawn, curve.scale.shape)]))
    spent = np.log(runs[cost].mean())
    rates = np.exp(curve.cost(cost, matched) - spent)
    bound = ">" if matched[0] == np.inf else "<" if matched[0] == -np.inf else ""
    value, budget = float(rates[0]), float(np.exp(np.clip(matched[0], curve.grid[0], curve.grid[-1])))
    reason = {
        ">": "more accurate than the baseline at its largest budget: a lower bound",
        "<": "less accurate than the baseline at its smallest budget: an upper bound",
        "": "",
    }[bound]
    if len(curve.budgets) == 1:
        reason = "the baseline was trained at one budget, so this is a bound at best"
    if curve.falls:
        reason = f"{reason}; the baseline's accuracy falls with its budget, its curve is levelled".removeprefix("; ")
    if not curve.known:
        return Rate(value, bound, matched_budget=budget, reason=f"{NO_SPREAD}; {reason}".removesuffix("; "))
    open_rates = np.where(matched[1:] == np.inf, np.inf, np.where(matched[1:] == -np.inf, 0.0, rates[1:]))
    tail = (1 - level) / 2
    low, high = (float(np.quantile(open_rates, q, method=m)) for q, m in ((tail, "lower"), (1 - tail, "higher")))
    # Beyond the top of the curve the rate is at least that of the top, beyond its bottom at most that of the bottom.
    if low == np.inf:
        low = float(np.exp(curve.cost(cost, curve.grid[-1:]) - spent)[0])
    if high == 0.0:
        high = float(np.exp(curve.cost(cost, curve.grid[:1]) - spent)[0])
    verdict = SAVES if low > 1 else WASTES if high < 1 else UNDECIDED
    return Rate(value, bound, low, high, verdict, budget, reason)
