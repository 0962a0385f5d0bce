"""Column dictionary of a study's tables: type, unit and meaning of each column.

A number is null (an empty cell) where it can't be measured. `datapackage` writes the dictionary beside the tables. Columns of
runs.csv are in `run_columns`, those of history.csv, iterations.csv and trace.csv in `history_columns`, the others here.
"""

import re

from frugal.report.budget_curve import CURRENCIES
from frugal.report.history_columns import EVIDENCE, FAMILIES, HISTORY, ITERATIONS, TRACE
from frugal.report.run_columns import (
    ACCURACIES,
    CELL,
    COSTS,
    OWN_RECIPE,
    RATIO,
    RUN,
    RUNS,
    TARGET,
    Column,
    columns_of,
)


def _with_interval(name: str, of: Column, what: str = "mean over seeds of {}") -> dict[str, Column]:
    told = what.format(name)
    return {
        f"{name}_mean": Column("number", of.unit, told),
        f"{name}_low": Column("number", of.unit, f"lower end of the 95 % interval of: {told}"),
        f"{name}_high": Column("number", of.unit, f"upper end of the 95 % interval of: {told}"),
    }


def _summary() -> dict[str, Column]:
    measured = ACCURACIES | COSTS | RATIO | TARGET
    table = CELL | columns_of(
        *("integer", "runs"),
        seeds="runs of the strategy",
        seeds_at_target="runs that reached the target accuracy",
        seeds_compared="runs whose seed the baseline has too",
        doubted="runs that the audit has a finding on",
    )
    table |= OWN_RECIPE | columns_of("string", charged="what the FLOPs were executed for, in words")
    for name, column in measured.items():
        table |= _with_interval(name, column)
    for name in ACCURACIES:
        difference = _with_interval(name, ACCURACIES[name], "mean of {}, strategy minus baseline, paired by seed")
        table |= {key.replace(name, f"{name}_difference", 1): column for key, column in difference.items()}
    for name in COSTS:
        saved = _with_interval(
            name, Column("number", "fraction", ""), "share of the baseline's {} not spent, paired by seed"
        )
        table |= {key.replace(name, f"{name}_saved", 1): column for key, column in saved.items()}
    table |= {
        "interval_remark": Column("string", "", "why the difference has an interval of its own, or none"),
        "pool_spread": Column("number", "fraction", "standard deviation of one run's accuracy, pooled over strategies"),
        "pool_freedom": Column("number", "", "degrees of freedom of pool_spread"),
        "pool_remark": Column("string", "", "where pool_spread is that of a reference: which"),
        "control": Column("string", "", "control of equal cost: its own, or else the nearest in cost"),
        "control_verdict": Column("string", "", "what the difference to that control allows to conclude"),
    }
    control = _with_interval("control_difference", ACCURACIES["test_accuracy"], "test accuracy minus the control's")
    table |= control
    for name in CURRENCIES:
        rate = f"{name}_exchange"
        table |= columns_of(
            *("number", "ratio"),
            **{
                f"{rate}_rate": f"{name} the baseline, trained for less, needs for this accuracy, over what was spent",
                f"{rate}_low": "lower end of its simultaneous 95 % interval",
                f"{rate}_high": "upper end of its simultaneous 95 % interval, inf where the curve has none",
            },
        )
        table |= columns_of(
            "string",
            **{
                f"{rate}_bound": "< or > where the rate is a bound only",
                f"{rate}_verdict": "saves, wastes or undecided, by that interval",
            },
        )
        table[f"{name}_honest_saving"] = Column("number", "fraction", f"1 - 1 / {rate}_rate")
    table["matched_budget"] = Column("number", "fraction", "share of its epochs at which the baseline is as accurate")
    return table | columns_of(
        "string",
        exchange_reason="why there is no exchange rate, no interval or a bound only",
        verdict="what the difference in test accuracy allows to conclude, by the study's margin",
        verdict_reason="why",
        verdict_full_fidelity="the same of test_accuracy_full_fidelity",
        verdict_full_fidelity_reason="why",
    )


BUDGETS = {
    **CELL,
    **columns_of("string", run="name of the run in runs.csv, in its column strategy"),
    **columns_of("number", "fraction", budget="share of the strategy's epochs that it was trained for"),
    **columns_of("integer", "runs", seeds="runs with this budget"),
    **_with_interval("test_accuracy", ACCURACIES["test_accuracy"]),
    **{f"{name}_mean": Column("number", COSTS[name].unit, f"mean over seeds of {name}") for name in CURRENCIES},
}
NOTES = RUN | columns_of("string", note="a remark of the run on itself")
AUDIT = columns_of("string", finding="kind of the doubt") | {name: CELL[name] for name in ("dataset", "model")}
AUDIT |= columns_of(
    "string", runs="the runs it is about: <strategy>/seed-<n>, ...", detail="what was found, and what follows"
)

DICTIONARY: dict[str, dict[str, Column]] = {
    "runs": RUNS,
    "summary": _summary(),
    "budgets": BUDGETS,
    "history": HISTORY | EVIDENCE,
    "notes": NOTES,
    "audit": AUDIT,
    "iterations": ITERATIONS,
    "trace": TRACE,
}


def column(table: str, name: str) -> Column | None:
    """What a column of a table says; None where the dictionary doesn't know it."""
    known = DICTIONARY[table].get(name)
    if known is None and table in ("history", "trace"):
        return next((found for family, found in FAMILIES.items() if re.fullmatch(family, name)), None)
    return known
