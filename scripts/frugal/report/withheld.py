"""Verdicts that are withheld: nobody is said to save, or to be as accurate, by runs that the audit doubts or that failed in part.

The mean of the runs that did not fail is a mean of those that went well, and a saving that nothing in a record explains is a
figure without a source. Accuracy counts on samples that a run kept away from, after the training that its settings ask for; an
exchange rate rests on it. Such a strategy keeps its figures, and its verdict is undecided; what it wastes stays wasted.
"""

from collections.abc import Sequence

import pandas as pd

from frugal.report.audit import FAILED
from frugal.report.budget_curve import CURRENCIES
from frugal.report.copies import COPIED, IDENTICAL, TRAINED_BEFORE
from frugal.report.evidence import CONTRADICTED, UNPROVEN
from frugal.report.exchange_rate import SAVES
from frugal.report.exchange_rate import UNDECIDED as OPEN
from frugal.report.findings import named
from frugal.report.heldout import CHOSEN, KNOWN, OPENED, STOPPED
from frugal.report.statistics import BETTER, EQUAL, UNDECIDED
from frugal.report.timing import UNCOUNTED
from frugal.study import Study

OF_ACCURACY = (FAILED, COPIED, IDENTICAL, TRAINED_BEFORE, OPENED, CHOSEN, KNOWN, STOPPED)
OF_SAVINGS = (*OF_ACCURACY, UNPROVEN, CONTRADICTED, UNCOUNTED)
BECAUSE = "not called a saving, since the audit found"


def withhold(study: Study, summary: pd.DataFrame, audit: pd.DataFrame) -> pd.DataFrame:
    """The summary, a row per cell, without the verdicts that findings of the audit forbid; the reason columns say which."""
    summary, of_accuracy = summary.copy(), doubts(audit, OF_ACCURACY)
    for (dataset, model, strategy), found in doubts(audit, OF_SAVINGS).items():
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
            summary.loc[row, "exchange_reason"] = "; ".join(filter(None, [f"{BECAUSE} {found}", before]))
        if forbids := of_accuracy.get((dataset, model, strategy)):
            for column in ("verdict", "verdict_full_fidelity"):
                good = row & summary[column].isin([BETTER, EQUAL])
                summary.loc[good, [column, f"{column}_reason"]] = UNDECIDED, f"the audit found {forbids}"
    return summary


def withheld(row: pd.Series) -> str:
    """Why a strategy of the summary is not said to save, though an interval of it does; empty where that isn't so."""
    reason = str(row["exchange_reason"])
    return reason.split("; ")[0] if reason.startswith(BECAUSE) else ""


def doubts(audit: pd.DataFrame, kinds: Sequence[str]) -> dict[tuple[str, str, str], str]:
    """Of each cell the findings of these kinds, each with its number of runs: "run failed (1), one run under two names (2)"."""
    found: dict[tuple[str, str, str], dict[str, set[str]]] = {}
    for row in audit[audit["finding"].isin(kinds)].itertuples():
        for run in named(row.runs):
            cell = (row.dataset, row.model, run.rpartition("/seed-")[0])
            found.setdefault(cell, {}).setdefault(row.finding, set()).add(run)
    return {
        cell: ", ".join(f"{kind} ({len(runs[kind])})" for kind in kinds if kind in runs) for cell, runs in found.items()
    }
