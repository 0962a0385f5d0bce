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
An end of the interval beyond the curve is infinite, or 0. A strategy with other seeds than the baseline is corrected for what
these are worth, as the other runs of the seeds tell, and the error of that is drawn too. Nobody measured the curve between its
budgets: how far it may be from its interpolation is estimated by leaving out the budget next to it, which misses by something
at twice the distance. Half of that, up in one half of the draws and down in the other, is in the interval. Seconds and joules
scatter too, and their means are drawn likewise, of the seeds that strategy and curve have on one machine; what is counted, as
FLOPs are, is taken as it is.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from frugal.report.baseline_curve import Curve
from frugal.report.machines import OF_A_MACHINE, counted

SAVES, WASTES, UNDECIDED = "saves", "wastes", "undecided"
NO_CURVE = (
    "the baseline was trained at no budget, so there is no curve to hold this against; set `budgets` in the study"
)
LEVELLED = "the baseline's accuracy falls with its budget, its curve is levelled: the best so far"
SHORTER = "the plain net itself is more accurate here when it is trained for less"
NO_COST = "this cost was not measured"
ANOTHER_MACHINE = "trained on another machine than the baseline, so that this can't be compared"
TWO_BUDGETS = "two budgets don't tell how far the curve is from a line between them"
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


def _of_both(curve: Curve, paid: pd.DataFrame, base: pd.DataFrame) -> frozenset[int] | None:
    """The seeds whose seconds are compared: those of the strategy and of each budget; None, for all, if fewer than two.

    Seeds were trained at different times, beside other work: what that adds to all of a seed then falls out.
    """
    shared = set(paid["seed"]).intersection(*(own["seed"] for _, own in base.groupby("budget")))
    every = {len(shared)} == {paid["seed"].nunique(), *base.groupby("budget")["seed"].nunique()}
    return None if every or len(shared) < 2 else frozenset(shared)


def exchange_rate(
    curve: Curve | None, runs: pd.DataFrame, cost: str, level: float = 0.95, wider: float = 1.0, unshared: float = 0.0
) -> Rate:
    """The exchange rate of one strategy in one currency.

    curve: the baseline's, None without one; runs: the strategy's, with test_accuracy and the cost; level: two-sided confidence of
    this one interval, above 0.95 where it is one of several that are to hold together; wider: how many times as far its seeds
    scatter as the pool's, whose degrees of freedom don't count for it then; 0 where all of them agree, which gives no interval;
    unshared: what its seeds being others than the baseline's adds to the variance of its mean, as a multiple of one run's
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
    matched = curve.reached(mean, count, wider, unshared)
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
    if len(curve.budgets) == 2:
        reason = f"{reason}; {TWO_BUDGETS}".removeprefix("; ")
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
