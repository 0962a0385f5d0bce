"""Metered runs of other people's loops, held against the plain net of a study trained for less."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from frugal.errors import FrugalError
from frugal.record import METERED
from frugal.report import load, words
from frugal.report.budget_curve import CURRENCIES, curve_of
from frugal.report.costs import COSTS
from frugal.report.exchange_rate import Rate, exchange_rate
from frugal.report.machines import ELSEWHERE, MACHINE, counted, in_words, machines_of, marked
from frugal.report.pool import by_seed, pool_told, with_others

NEEDED = ("name", "seed", "test_accuracy", "hardware", "device", *CURRENCIES)


def read_metered(path: str | Path) -> dict[str, Any]:
    """A file that `frugal.meter` wrote. Raises FrugalError where it is none."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FrugalError(f"{path} can't be read as JSON ({error}); name a file that frugal.meter wrote") from error
    if not isinstance(content, dict) or content.get("kind") != METERED:
        raise FrugalError(f"{path} is no file of frugal.meter; name one that its `write` made")
    if missing := [key for key in NEEDED if key not in content]:
        raise FrugalError(f"{path} lacks {', '.join(missing)}: it was changed, or cut off; measure again")
    return content


def compare_records(
    tables: str | Path, files: list[str | Path], dataset: str | None = None, model: str | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Exchange rates of metered runs, and what speaks against believing them.

    tables: folder of a study's tables; dataset, model: which of its pairs, where it has several. Runs of one name are seeds of
    one method. Returns a row per name and currency: spent, whole (what the baseline spends in all its epochs), rate; and remarks.
    Raises FrugalError for files that aren't metered runs, and for tables that hold no curve.
    """
    study, runs = load.read_study_of(tables), load.read_table(tables, "runs")
    pairs = list(dict.fromkeys(zip(runs["dataset"], runs["model"], strict=True)))
    chosen = [pair for pair in pairs if dataset in (None, pair[0]) and model in (None, pair[1])]
    if len(chosen) != 1:
        told = ", ".join(f"{one} with {other}" for one, other in pairs)
        raise FrugalError(f"{tables} holds {told}; name one of them with DATASET= and MODEL=")
    mine, summary = (
        table[(table["dataset"] == chosen[0][0]) & (table["model"] == chosen[0][1])]
        for table in (marked(study, runs), load.read_table(tables, "summary"))
    )
    curve, _, remark = curve_of(study, mine, with_others(pool_told(summary), by_seed(mine), study.strategies))
    if curve is None:
        raise FrugalError(
            f"{tables}: its baseline was trained at no budget; set `budgets` in the study and run it again"
        )
    metered = pd.DataFrame([read_metered(file) for file in files])
    theirs = set(machines_of(mine[~mine[ELSEWHERE]]))
    metered["machine"] = [
        in_words(dict.fromkeys(MACHINE) | about | {"device": device})
        for about, device in zip(metered["hardware"], metered["device"], strict=True)
    ]
    metered[ELSEWHERE] = ~metered["machine"].isin(theirs)
    remarks, rows = [remark] if remark else [], []
    for name, own in metered.groupby("name", sort=False):
        if own["seed"].duplicated().any():
            raise FrugalError(
                f"two files are of {name} with seed {own['seed'][own['seed'].duplicated()].iloc[0]}; name one of them"
            )
        remarks += _remarks(str(name), own, theirs)
        remarks += _other_net(str(name), own, mine[mine["strategy"] == study.baseline])
        for cost in CURRENCIES:
            spent = pd.to_numeric(own[cost]).mean() if own[cost].notna().all() else np.nan
            whole = counted(mine[mine["strategy"] == study.baseline], cost)[cost].mean()
            rate = exchange_rate(curve, own.assign(**{cost: pd.to_numeric(own[cost])}), cost)
            rows.append((name, len(own), own["test_accuracy"].mean(), cost, spent, whole, rate))
    columns = ["name", "seeds", "test_accuracy", "currency", "spent", "whole", "rate"]
    return pd.DataFrame(rows, columns=columns), remarks


def _remarks(name: str, own: pd.DataFrame, theirs: set[str]) -> list[str]:
    """What makes a metered run's seconds, or its interval, less than they seem. theirs: the baseline's machine, in words"""
    found = []
    if own[ELSEWHERE].any():
        here, there = ("; ".join(sorted(one)) for one in (set(own.loc[own[ELSEWHERE], "machine"]), theirs))
        found.append(f"{name}: measured on {here}, the baseline on {there}: compare no seconds")
    if len(own) < 3:
        found.append(
            f"{name}: {len(own)} seed{'s' if len(own) > 1 else ''}; the interval is that of the baseline's spread"
        )
    found += [f"{name}: {note}" for note in dict.fromkeys(note for notes in own.get("notes", []) for note in notes)]
    return found


def _other_net(name: str, own: pd.DataFrame, baseline: pd.DataFrame) -> list[str]:
    """That a method's net has another number of parameters than the baseline's; a rate then compares the nets too."""
    if "parameters" not in own or "parameters" not in baseline:
        return []
    here, there = (sorted(set(runs["parameters"].dropna().astype(int))) for runs in (own, baseline))
    if set(here) <= set(there):
        return []
    sizes = [" or ".join(f"{size:,}" for size in one) for one in (here, there)]
    return [
        f"{name}: its net has {sizes[0]} parameters, the baseline's {sizes[1]}: the rate compares two nets, not two ways "
        "to train one, unless the size is what the method changes"
    ]


def told(rate: Rate) -> str:
    """A rate in words: "1.31 (1.12 to 1.52), saves"; why there is none, where there is none."""
    if np.isnan(rate.value):
        return rate.reason or "unknown"
    high = "∞" if np.isinf(rate.high) else words.rate(rate.high)
    interval = "" if np.isnan(rate.low) else f" ({words.rate(rate.low)} to {high})"
    return f"{rate.bound}{words.rate(rate.value)}{interval}, {rate.verdict}"


def amount(cost: str, value: float) -> str:
    """An amount of a currency with its unit; "not measured" where it is NaN."""
    return "not measured" if np.isnan(value) else COSTS[cost].told(value)
