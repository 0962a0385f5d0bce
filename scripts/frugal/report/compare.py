"""Two sets of results: where they differ by more than their seeds do, and whether for the worse.

A difference is judged per strategy, data set, model and figure, paired by seed where both sets have at least two seeds in
common, else by Welch's test; Holm's correction over all cells keeps a comparison of many from failing by chance. Seconds,
joules and memory are compared on one machine alone: all runs of it, or the seeds that both sets trained on the same; joules by
one meter alone.

Costs have ratios too, after over before, with the interval of E. Fieller, "Some Problems in Interval Estimation", Journal of
the Royal Statistical Society B 16, 1954, https://www.jstor.org/stable/2984043: it holds 1 where that of the difference holds 0.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from frugal.errors import FrugalError
from frugal.report.costs import COSTS
from frugal.report.machines import MACHINE, OF_A_MACHINE, machines_of
from frugal.report.statistics import CONFIDENCE, holm

CELL = ["study", "dataset", "model", "strategy"]
NOT_COMPARED = {*OF_A_MACHINE, "peak_memory_bytes"}  # where the machine is another one
ACCURACY = "test_accuracy"
FIGURES = [ACCURACY, *COSTS, "inference_seconds"]
RATIO = ["ratio", "ratio_low", "ratio_high"]
EXACT = 1e-9  # relative difference below which two figures are the same

SAME, NOISE, SMALL, BETTER, WORSE = "same", "within noise", "smaller than relevant", "better", "worse"
ELSEWHERE, METERS, FEW = "another machine", "other meters", "too few seeds"


def read_runs(results: str | Path) -> pd.DataFrame:
    """The runs of a set of results: those of all studies under the folder of a scale, or those of one runs.csv.

    Raises FrugalError where there are none, or a table isn't one of runs.
    """
    place = Path(results)
    files = [place] if place.is_file() else sorted(place.glob("tables/*/runs.csv"))
    if not files:
        raise FrugalError(f"{place} holds no tables/<study>/runs.csv; give the folder of a scale, such as results/demo")
    return pd.concat([_read(file) for file in files], ignore_index=True)


def _read(file: Path) -> pd.DataFrame:
    try:
        runs = pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise FrugalError(f"the table {file} cannot be read ({error}); make it again from its records") from error
    missing = [column for column in [*CELL, "seed", *MACHINE, "test_accuracy"] if column not in runs]
    if missing:
        raise FrugalError(f"{file} is no table of runs, it lacks the column {missing[0]}; give a runs.csv")
    return runs


def differences(
    before: pd.DataFrame, after: pd.DataFrame, relevant: float = 0, relevant_cost: float = 0
) -> pd.DataFrame:
    """A row per cell of both sets and figure that both measured: is `after` better, worse, or neither beyond its seeds?

    relevant: smallest difference of test accuracy that matters, a fraction; relevant_cost: of a cost, as a share of it before
    returns: columns of CELL, figure, before, after (means), difference (after minus before) with low and high (its 95 %
    interval, null where there is none), of a cost ratio (after over before) with ratio_low and ratio_high, how (paired,
    Welch), p (after Holm's correction over the cells), verdict.
    Raises FrugalError where the sets share no cell.
    """
    cells = [key for key in _cells(before) if key in set(_cells(after))]
    if not cells:
        raise FrugalError("the two sets of results share no study, data set, model and strategy; compare others")
    groups = [dict(list(runs.groupby(CELL, sort=False))) for runs in (before, after)]
    rows = []
    for cell in cells:
        one, other = (group[cell].set_index("seed") for group in groups)
        mine, theirs = _on_one_machine(one, other)
        for figure in FIGURES:
            if figure in one and figure in other and one[figure].notna().all() and other[figure].notna().all():
                timed = figure in NOT_COMPARED
                pair = (mine, theirs) if timed and mine is not None else (one, other)
                found = _difference(*(runs[figure].astype(float) for runs in pair))
                if timed and mine is None:
                    found |= {"p": None, "how": ELSEWHERE}
                elif figure == "energy_joules" and _meters(one) != _meters(other):
                    found |= {"p": None, "how": METERS}
                rows.append(dict(zip(CELL, cell, strict=True)) | {"figure": figure} | found)
    table = pd.DataFrame(rows)
    table["p"] = table["p"].astype(float).groupby(table["figure"]).transform(holm)
    ends = ["low", "high", *RATIO]
    table[ends] = table[ends].astype(float)  # where no cell has an interval, they are None
    accurate = table["figure"] == ACCURACY
    change = table["difference"].abs().where(accurate, (table["ratio"] - 1).abs())
    small = change < np.where(accurate, relevant, relevant_cost)
    table["verdict"] = [_verdict(row, less) for row, less in zip(table.itertuples(), small, strict=True)]
    return table


def _cells(runs: pd.DataFrame) -> list[tuple[str, ...]]:
    return list(runs[CELL].drop_duplicates().itertuples(index=False, name=None))


def only_in(one: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """Cells that the first set has and the second lacks, as study/data set/model/strategy."""
    theirs = set(_cells(other))
    return ["/".join(cell) for cell in _cells(one) if cell not in theirs]


def _on_one_machine(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame] | tuple[None, None]:
    """Of two sets of runs of one cell, indexed by seed, those whose seconds can be compared; none where there are too few.

    All, where all are of one machine; else the seeds that both trained on the same one, if there are two.
    """
    machines = [machines_of(runs) for runs in (one, other)]
    if len(set(machines[0]) | set(machines[1])) == 1:
        return one, other
    shared = one.index.intersection(other.index)
    same = shared[(machines[0][shared] == machines[1][shared]).to_numpy()]
    return (one.loc[same], other.loc[same]) if len(same) > 1 else (None, None)


def _meters(runs: pd.DataFrame) -> set[str]:
    return set(runs["energy_source"].astype(str)) if "energy_source" in runs else set()


def _difference(before: pd.Series, after: pd.Series) -> dict[str, object]:
    """before, after: a figure by seed."""
    shared = before.index.intersection(after.index)
    paired = len(shared) > 1
    if paired:
        before, after = before[shared], after[shared]
    row = {"before": before.mean(), "after": after.mean(), "difference": after.mean() - before.mean()}
    row["ratio"] = row["after"] / row["before"] if before.name != ACCURACY and row["before"] else None
    row |= dict.fromkeys(["low", "high", "ratio_low", "ratio_high", "p"]) | {"how": "paired" if paired else "Welch"}
    if min(len(before), len(after)) < 2:
        return row | {"how": FEW}
    spread = (after - before).std() if paired else max(before.std(), after.std())
    if spread <= EXACT * max(abs(row["before"]), abs(row["after"])):  # counted figures don't scatter
        differs = abs(row["difference"]) > EXACT * max(abs(row["before"]), abs(row["after"]))
        exact = {"low": row["difference"], "high": row["difference"]}
        exact |= {"ratio_low": row["ratio"], "ratio_high": row["ratio"]}
        return row | exact | {"p": 0.0 if differs else 1.0}
    test = stats.ttest_rel(after, before) if paired else stats.ttest_ind(after, before, equal_var=False)
    low, high = test.confidence_interval(CONFIDENCE)
    if row["ratio"] is not None:
        quantile = stats.t.ppf(0.5 + CONFIDENCE / 2, test.df)
        row["ratio_low"], row["ratio_high"] = _ratio_interval(before.to_numpy(), after.to_numpy(), paired, quantile)
    return row | {"low": low, "high": high, "p": test.pvalue}


def _ratio_interval(
    before: np.ndarray, after: np.ndarray, paired: bool, quantile: float
) -> tuple[float, float] | tuple[None, None]:
    """Fieller's interval of the ratio of two means; none where the mean before can't be told from zero."""
    a, b = before.mean(), after.mean()
    aa, bb = before.var(ddof=1) / len(before), after.var(ddof=1) / len(after)
    ab = np.cov(before, after)[0, 1] / len(before) if paired else 0.0
    square, cross, rest = a**2 - quantile**2 * aa, a * b - quantile**2 * ab, b**2 - quantile**2 * bb
    if square <= 0:
        return None, None
    half = np.sqrt(max(cross**2 - square * rest, 0.0))
    return (cross - half) / square, (cross + half) / square


def _verdict(row: tuple, small: bool) -> str:
    if abs(row.difference) <= EXACT * max(abs(row.before), abs(row.after)):
        return SAME
    if np.isnan(row.p):
        return row.how
    if row.p > 1 - CONFIDENCE:
        return NOISE
    if small:
        return SMALL
    return BETTER if (row.difference > 0) == (row.figure == ACCURACY) else WORSE


def told(figure: str, amount: float) -> str:
    """An amount of a figure with its unit."""
    if figure == ACCURACY:
        return f"{100 * amount:.2f} %"
    return COSTS[figure].told(amount) if figure in COSTS else f"{amount:.3g} s"
