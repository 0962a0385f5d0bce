"""Verdicts that are withheld: nobody is said to save, or to be as accurate, by runs that the audit doubts or that failed in part.

The mean of the runs that did not fail is a mean of those that went well, and a saving that nothing in a record explains is a
figure without a source. Such a strategy keeps its figures, and its verdict is undecided; what it wastes stays wasted.
"""

from collections import Counter

import pandas as pd

from frugal.report.audit import FAILED
from frugal.report.budget_curve import CURRENCIES
from frugal.report.copies import COPIED, IDENTICAL, TRAINED_BEFORE
from frugal.report.evidence import CONTRADICTED, UNPROVEN
from frugal.report.exchange_rate import SAVES
from frugal.report.exchange_rate import UNDECIDED as OPEN
from frugal.report.findings import named
from frugal.report.statistics import BETTER, EQUAL, UNDECIDED
from frugal.study import Study

OF_SAVINGS = (FAILED, COPIED, IDENTICAL, TRAINED_BEFORE, UNPROVEN, CONTRADICTED)
OF_ACCURACY = (FAILED, COPIED, IDENTICAL, TRAINED_BEFORE)
BECAUSE = "not called a saving, since the audit found"


def withhold(study: Study, summary: pd.DataFrame, audit: pd.DataFrame) -> pd.DataFrame:
    """The summary, a row per cell, without the verdicts that findings of the audit forbid; the reason columns say which."""
    summary = summary.copy()
    for (dataset, model, strategy), found in _findings(audit).items():
        row = (summary["dataset"] == dataset) & (summary["model"] == model) & (summary["strategy"] == strategy)
        if strategy == study.baseline or not row.any():
            continue
        saves = False
        for cost in CURRENCIES:
            column = f"{cost}_exchange_verdict"
            called = row & (summary[column] == SAVES)
            summary.loc[called, column] = OPEN
            saves |= called.any()
        if saves:
            before = summary.loc[row, "exchange_reason"].fillna("").iloc[0]
            told = f"{BECAUSE} {_told(found, OF_SAVINGS)}"
            summary.loc[row, "exchange_reason"] = "; ".join(filter(None, [told, before]))
        if forbids := _told(found, OF_ACCURACY):
            for column in ("verdict", "verdict_full_fidelity"):
                good = row & summary[column].isin([BETTER, EQUAL])
                summary.loc[good, [column, f"{column}_reason"]] = UNDECIDED, f"the audit found {forbids}"
    return summary


def withheld(row: pd.Series) -> str:
    """Why a strategy of the summary is not said to save, though an interval of it does; empty where that isn't so."""
    reason = str(row["exchange_reason"])
    return reason.split("; ")[0] if reason.startswith(BECAUSE) else ""


def _findings(audit: pd.DataFrame) -> dict[tuple[str, str, str], Counter[str]]:
    """How many runs of each cell the audit has a finding on, by kind, of the kinds that matter here."""
    found: dict[tuple[str, str, str], Counter[str]] = {}
    for row in audit[audit["finding"].isin(OF_SAVINGS)].itertuples():
        for run in named(row.runs):
            cell = (row.dataset, row.model, run.rpartition("/seed-")[0])
            found.setdefault(cell, Counter())[row.finding] += 1
    return found


def _told(found: Counter[str], kinds: tuple[str, ...]) -> str:
    return ", ".join(f"{kind} ({found[kind]})" for kind in kinds if found[kind])
