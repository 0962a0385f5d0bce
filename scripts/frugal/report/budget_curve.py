"""Budgets: what the baseline reaches when it is trained anew for less, and every strategy held against that curve."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from frugal.costs import RUNNING
from frugal.report.baseline_curve import Curve, draws_for
from frugal.report.exchange_rate import NO_CURVE, Rate, exchange_rate
from frugal.report.machines import OF_A_MACHINE, counted
from frugal.report.pool import TINY, UNPAIRED, Pool, by_seed, seed_shifts, unshared_variances
from frugal.report.simultaneous import CONFIDENCE
from frugal.study import Study

CURRENCIES = (*RUNNING, "energy_joules")  # what a training pays in
PARTS = ("exchange_rate", "exchange_low", "exchange_high", "exchange_bound", "exchange_verdict", "honest_saving")
BASELINE = "the baseline is what the others are held against"
SCATTERS = (
    "the baseline's seeds at {} of its epochs scatter {:,.1f} times as far as the others', which its curve allows for"
)


def currency(study: Study) -> str:
    """What a study's exchange rates are told in: its own cost where a training pays in it, else FLOPs."""
    return study.cost if study.cost in CURRENCIES else "flops_executed"


Pools = Mapping[tuple[str, str], Pool]  # of each data set and model


def budgets_table(study: Study, runs: pd.DataFrame, pools: Pools) -> pd.DataFrame:
    """A row per budget that a strategy was trained for, itself with 1 among them: accuracy and costs, means over seeds.

    runs: a row per run, `marked`. test_accuracy_low, _high: 95 % interval over the pooled spread
    """
    rows = []
    for (dataset, model), mine in _with_pools(runs, pools):
        for strategy, budgets in study.budgets.items():
            for run, share in budgets.items():
                own = mine[mine["strategy"] == run]
                if len(own):
                    rows.append(_row(own, pools[dataset, model], dataset, model, strategy, run, share))
    columns = ["dataset", "model", "strategy", "run", "budget", "seeds"]
    accuracy = [f"test_accuracy_{part}" for part in ("mean", "low", "high")]
    return pd.DataFrame(rows, columns=[*columns, *accuracy, *(f"{cost}_mean" for cost in CURRENCIES)])


def _with_pools(runs: pd.DataFrame, pools: Pools) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """Each data set and model with its runs, but for those where nothing but parts of a training, or scoring runs, ended well."""
    return ((place, mine) for place, mine in runs.groupby(["dataset", "model"], sort=False) if place in pools)


def _row(runs: pd.DataFrame, pool: Pool, dataset: str, model: str, strategy: str, run: str, share: float) -> list[Any]:
    accuracy, count = runs["test_accuracy"], len(runs)
    own = run in pool.apart or not pool.freedom
    spread, freedom = (accuracy.std(ddof=1), count - 1) if own else (np.sqrt(pool.variance), pool.freedom)
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, max(freedom, 1)) * spread / np.sqrt(count) if freedom else np.nan
    low, high = np.clip([accuracy.mean() - half, accuracy.mean() + half], 0, 1)
    paid = (counted(runs, cost)[cost] for cost in CURRENCIES)
    costs = [spent.mean() if spent.notna().all() else np.nan for spent in paid]
    return [dataset, model, strategy, run, share, count, accuracy.mean(), low, high, *costs]


def exchange_table(study: Study, runs: pd.DataFrame, levels: pd.Series, pools: Pools) -> pd.DataFrame:
    """Every strategy's exchange rate in every currency, indexed by data set, model and strategy, in the order of the runs.

    runs: a row per run, `marked`, those of the baseline's budgets among them; levels: two-sided confidence of each interval by
    cell, so that all intervals of a data set and model hold together
    returns: <currency>_exchange_rate, _low, _high, _bound ("" or "<", ">": the rate is a bound), _verdict, _honest_saving;
    matched_budget; exchange_reason: why there is no rate, no interval or a bound only
    """
    rows = {}
    for (dataset, model), mine in _with_pools(runs, pools):
        pool = pools[dataset, model]
        strictest = levels.xs((dataset, model), level=["dataset", "model"]).max()
        curve, spreads, remark = curve_of(study, mine, pool, CONFIDENCE if np.isnan(strictest) else strictest)
        values = by_seed(mine)
        shifts, unshared = seed_shifts(study, values, pool), unshared_variances(study, values, pool)
        mine = mine.assign(test_accuracy=mine["test_accuracy"] - mine["strategy"].map(shifts))
        for strategy in dict.fromkeys(mine["strategy"]):
            if strategy not in study.strategies:
                continue
            cell, own = (dataset, model, strategy), mine[mine["strategy"] == strategy]
            level = levels.get(cell, np.nan)
            given = (CONFIDENCE if np.isnan(level) else level, spreads.get(strategy, 1.0), unshared[strategy])
            if strategy == study.baseline:
                rates = dict.fromkeys(CURRENCIES, Rate(reason=BASELINE, verdict=""))
            elif np.isnan(shifts[strategy]):
                rates = dict.fromkeys(CURRENCIES, Rate(reason=UNPAIRED))
            else:
                rates = {cost: exchange_rate(curve, own, cost, *given) for cost in CURRENCIES}
            rows[cell] = _told(rates, currency(study), "" if strategy == study.baseline else remark)
    index = pd.MultiIndex.from_tuples(rows, names=["dataset", "model", "strategy"])
    return pd.DataFrame(list(rows.values()), index=index)


def curve_of(
    study: Study, runs: pd.DataFrame, pool: Pool, level: float = CONFIDENCE
) -> tuple[Curve | None, dict[str, float], str]:
    """The baseline's curve, how many times as far some strategies' seeds scatter, and what is to be said of it.

    runs: a row per run of one data set and model, those of the baseline's budgets among them; pool: of these, see `with_others`;
    level: the largest confidence of an interval that is to be read from it
    """
    budgets = study.budgets.get(study.baseline, {})
    own = runs[runs["strategy"].isin(budgets)]
    if own.empty:
        return None, {}, ""
    values, spread = by_seed(runs), np.sqrt(pool.variance)
    apart = {name: _wider(values.loc[name], spread) for name in pool.apart} if spread > 0 else {}
    wider = {budgets[name]: ratio for name, ratio in apart.items() if name in budgets and ratio > 0}
    remark = "; ".join(
        SCATTERS.format("all" if budget == 1 else f"{budget:g}", ratio) for budget, ratio in wider.items()
    )
    scatter = {
        cost: relative_scatter(counted(runs, cost), cost)
        for cost in OF_A_MACHINE
        if cost in CURRENCIES and cost in runs
    }
    own = own.assign(budget=own["strategy"].map(budgets).astype(float))
    return Curve(own, spread, pool.freedom, wider, scatter, draws_for(level)), apart, remark


def _wider(values: pd.Series, spread: float) -> float:
    """How many times as far seeds scatter as a spread; 0 where all of them agree but for rounding."""
    own = values.std(ddof=1)
    return own / spread if own**2 > TINY else 0.0


def relative_scatter(runs: pd.DataFrame, cost: str) -> float:
    """How far the runs of one strategy lie apart in what they spent, as a share of it: pooled over strategies; null of one seed.

    runs: a row per run; those in which it wasn't measured don't count
    """
    runs = runs[runs[cost] > 0]
    groups = np.log(runs[cost].astype(float)).groupby(runs["strategy"])
    sizes = groups.size() - 1
    return float(np.sqrt((groups.var(ddof=1).fillna(0) * sizes).sum() / sizes.sum())) if sizes.sum() else np.nan


def _told(rates: dict[str, Rate], main: str, remark: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for cost, rate in rates.items():
        told = (rate.value, rate.low, rate.high, rate.bound, rate.verdict, rate.honest_saving)
        row |= {f"{cost}_{part}": value for part, value in zip(PARTS, told, strict=True)}
    reason = "; ".join(filter(None, [rates[main].reason, remark if rates[main].reason != NO_CURVE else ""]))
    return row | {"matched_budget": rates[main].matched_budget, "exchange_reason": reason}


def charged(runs: pd.DataFrame) -> str:
    """What a strategy's FLOPs were executed for, in words, e.g. "training 88 %, scoring 12 %"; runs: those of one strategy."""
    parts = {
        "training": ("flops_forward", "flops_backward"),
        "scoring": ("flops_scoring",),
        "decoding": ("flops_decoding",),
        "the optimizer": ("flops_optimizer",),
        "a scoring run": ("charged_flops",),
    }
    if runs["flops_executed"].isna().any():
        return "FLOPs were not counted"
    total = runs["flops_executed"].sum()
    shares = {name: runs.filter(columns).sum(axis=None) / total for name, columns in parts.items()}
    return ", ".join(f"{name} {100 * share:.3g} %" for name, share in shares.items() if share > 0.0005)
