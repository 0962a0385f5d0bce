"""The tables of a study, read back: as the data frames of a notebook, and as one comparison per data set and model.

A notebook's frames have four columns more than the files: `where` (data set and model), `kind` (baseline, proposal or
control), `strategy` as a category in the study's order, and `group`, the panel of a figure that a strategy belongs to.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from frugal.costs import RUNNING
from frugal.errors import FrugalError
from frugal.record import GENERATED
from frugal.report.costs import METRICS
from frugal.report.machines import ELSEWHERE, OF_A_MACHINE, marked
from frugal.report.repeat import SNAKEMAKE, making
from frugal.report.statistics import intervals
from frugal.study import Study, read_study

TABLES = ("runs", "summary", "history", "audit", "trace", "notes", "budgets")
STUDY = "study.json"  # beside the tables: what they are of
RUN = ["dataset", "model", "strategy", "seed"]
KINDS = ["baseline", "proposal", "control"]
SERIES = 8  # in one panel of a figure, at most
EVIDENCE = {  # columns that only some strategies add; null where none of a study's did
    "history": [
        "test_accuracy",
        "flip_rate",
        "pruned_share",
        "sparse",
        "activation_rate",
        "removals",
        "layers_at_floor",
    ],
    "trace": ["activation_rate", "threshold"],
}
POINTS = 80  # of a curve per iteration: more cannot be seen


def read_table(folder: str | Path, name: str, **options: object) -> pd.DataFrame:
    """A table of a folder. Raises FrugalError naming the file where it is missing or broken."""
    path = Path(folder) / f"{name}.csv"
    try:
        return pd.read_csv(path, **options)
    except FileNotFoundError as error:
        known, wanted = path.with_name(STUDY), shlex.quote(str(path))
        made = making(read_study(str(known)), wanted) if known.is_file() else f"{SNAKEMAKE} {wanted}"
        raise FrugalError(f"the table {path} is missing; make it with: {made}") from error
    except (OSError, ValueError) as error:
        raise FrugalError(f"the table {path} cannot be read ({error}); remove {folder} and run again") from error


def read_study_of(folder: str | Path) -> Study:
    """The study that the tables of a folder are of. Raises FrugalError where the tables are missing."""
    path = Path(folder) / STUDY
    if not path.is_file():
        table = path.with_name("runs.csv")
        raise FrugalError(f"{path} is missing; make it and the tables with: {SNAKEMAKE} {table}")
    return read_study(str(path))


# ---- what a notebook reads


def runs(tables: str | Path) -> pd.DataFrame:
    """A row per run. tables: the folder of a study's tables, e.g. results/demo/tables/ast.

    elsewhere: whether it was trained on another machine than the baseline (`machines`); its seconds and joules are null then
    """
    return _of_one_machine(tables, _frame(tables, "runs"))


def summary(tables: str | Path) -> pd.DataFrame:
    """A row per strategy, data set and model: means, intervals, savings, verdicts."""
    return _frame(tables, "summary")


def history(tables: str | Path) -> pd.DataFrame:
    """A row per run and epoch; epoch_seconds and epoch_flops are those of that epoch alone, `spent` the study's cost so far.

    What a run was charged with before it began is in that of its first epoch. Seconds and joules are null in runs of another
    machine than the baseline's.
    """
    frame, cost = _of_one_machine(tables, _frame(tables, "history")), read_study_of(tables).cost
    by = frame.groupby(["where", "strategy", "seed"], observed=True)
    for name, column in (("epoch_seconds", "train_seconds"), ("epoch_flops", "flops_executed")):
        frame[name] = by[column].diff().fillna(frame[column])
    if cost in RUNNING and RUNNING[cost].column in frame:
        column, summed, charged = RUNNING[cost]
        before = frame[charged].fillna(0) if charged in frame else 0
        frame["spent"] = by[column].cumsum() + before if summed else frame[column]
    return frame.assign(test_curve=frame["test_accuracy"].notna().any())


def _of_one_machine(tables: str | Path, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with a column `elsewhere`, of the run that each is of; seconds and joules are null where it is true.

    All runs decide which machine is the baseline's, as they do when the tables are made.
    """
    every = marked(read_study_of(tables), read_table(tables, "runs"))
    moved = pd.MultiIndex.from_frame(every.loc[every[ELSEWHERE], RUN])
    elsewhere = pd.MultiIndex.from_frame(frame[RUN].astype({"strategy": object})).isin(moved)
    timed = [name for name in OF_A_MACHINE if name in frame]
    frame.loc[elsewhere, timed] = np.nan
    return frame.assign(**{ELSEWHERE: elsewhere})


def trace(tables: str | Path) -> pd.DataFrame:
    """A row per run and batch that a strategy logged, numbered by `at` from 1 within the run; most strategies log none."""
    frame = _frame(tables, "trace")
    return frame.assign(at=frame.groupby(["where", "strategy", "seed"], observed=True).cumcount() + 1)


def budgets(tables: str | Path) -> pd.DataFrame:
    """A row per budget that a strategy was trained for, 1 among them: means over seeds, as `budgets_table` makes them."""
    return _frame(tables, "budgets")


def notes(tables: str | Path) -> pd.DataFrame:
    """A row per run and note of its manifest."""
    return _frame(tables, "notes")


def losses(tables: str | Path) -> pd.DataFrame:
    """Training loss per iteration: a row per run and step, columns step and loss, as `smooth` makes them."""
    frame = read_table(tables, "iterations", usecols=["dataset", "model", "strategy", "seed", "step", "loss"])
    return smooth(_told(frame, tables), "step", "loss")


def smooth(frame: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Column y of each run as a centred running mean over a sixtieth of the run, at no more than 80 places of x, evenly."""

    def run_of(rows: pd.DataFrame) -> pd.DataFrame:
        window = max(1, len(rows) // 60) | 1  # odd, so that it has a centre
        mean = rows[y].rolling(window, center=True, min_periods=window // 2 + 1).mean()
        return rows.assign(**{y: mean}).iloc[evenly(len(rows), POINTS)]

    by = frame.dropna(subset=y).sort_values(x).groupby(["where", "strategy", "seed"], observed=True)
    return pd.concat([frame[:0], *(run_of(rows) for _, rows in by)], ignore_index=True)


def evenly(count: int, most: int) -> np.ndarray:
    """(m,) at most `most` places of `count`, as evenly as can be, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))


def panels(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with a column `panel`, for seaborn's `col`: never more than eight strategies in one.

    Where a data set has more strategies than that, each group of the study is a panel and the baseline's rows stand in
    every one of them.
    """
    parts, several = [frame[:0].assign(panel="")], frame["where"].nunique() > 1
    for where, rows in frame.groupby("where", observed=True, sort=False):
        for title, mine in _split(rows):
            name = " · ".join(filter(None, [where if several or not title else "", title]))
            parts.append(mine.assign(panel=name))
    found = pd.concat(parts, ignore_index=True)
    return found.assign(strategy=found["strategy"].cat.remove_unused_categories())


def _split(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if rows["strategy"].nunique() <= SERIES:
        return [("", rows)]
    own, found = rows[rows["kind"] == "baseline"], []
    for title, group in rows[rows["kind"] != "baseline"].groupby("group", sort=False):
        names = list(group["strategy"].cat.remove_unused_categories().cat.categories)
        pieces = [names[start : start + SERIES - 1] for start in range(0, len(names), SERIES - 1)]
        for place, piece in enumerate(pieces, start=1):
            told = title if len(pieces) == 1 else f"{title} ({place} of {len(pieces)})"
            found.append((told, pd.concat([own, group[group["strategy"].isin(piece)]])))
    return found


def means(frame: pd.DataFrame, columns: Sequence[str], by: Sequence[str] = ("where", "strategy")) -> pd.DataFrame:
    """Means over seeds with the half width of their 95 % intervals, as text, e.g. 98.91 ± 0.12; a row per group.

    columns: known ones are shown in the unit of METRICS (per cent, MB) under its heading, others as they are
    """
    by = list(by)
    found = intervals(frame[[*by, *columns]], by, frame.get(ELSEWHERE))
    return pd.DataFrame({METRICS[name].shown if name in METRICS else name: spread(found, name) for name in columns})


def spread(found: pd.DataFrame, name: str) -> pd.Series:
    """Columns <name>_mean, _low, _high as text: a mean and the half width of its interval, in the unit of METRICS."""
    metric = METRICS.get(name.removesuffix("_difference"))
    saved = name.endswith("_saved")
    scale, digits = (100, 1) if saved else (metric.scale, metric.digits) if metric else (1, 2)
    mean, low, high = (found[f"{name}_{part}"].astype(float) * scale for part in ("mean", "low", "high"))
    sign = "+" if name.endswith("_difference") else ""

    def told_of(at: float, low: float, high: float) -> str:
        if np.isnan(at) or np.isnan(low):
            return "–" if np.isnan(at) else f"{at:{sign},.{digits}f}"
        if abs((high - at) - (at - low)) > 0.5 * 10**-digits:  # one that ends at 0 or 1
            return f"{at:{sign},.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"
        return f"{at:{sign},.{digits}f} ± {(high - low) / 2:,.{digits}f}"

    told = [told_of(*ends) for ends in zip(mean, low, high, strict=True)]
    return pd.Series(told, index=found.index).str.replace("-", "\N{MINUS SIGN}")


def _frame(tables: str | Path, name: str) -> pd.DataFrame:
    read_study_of(tables)  # without tables that says what to do
    frame = read_table(tables, name)
    lacking = [column for column in EVIDENCE.get(name, []) if column not in frame]
    return _told(frame.assign(**dict.fromkeys(lacking, np.nan)), tables)


def _told(frame: pd.DataFrame, tables: str | Path) -> pd.DataFrame:
    """With the columns where, kind, group, and strategy as a category; rows in the study's order."""
    study, noted = read_study_of(tables), read_table(tables, "notes")
    made = set(noted.loc[noted["note"] == GENERATED, "dataset"])
    kinds = dict.fromkeys(study.strategies, "proposal") | dict.fromkeys(study.controls, "control")
    kinds[study.baseline] = "baseline"
    groups = study.panel_of | {study.baseline: "Baseline"}
    names = {
        name: f"{name} (generated)" if name in made and "generated" not in name else name for name in study.datasets
    }
    pairs = [f"{names[dataset]}, {model}" for dataset, model in study.pairs]
    frame = frame[frame["strategy"].isin(study.strategies)]  # runs with a budget of their own are told of by `budgets`
    where = frame["dataset"].map(names) + ", " + frame["model"]
    told = frame.copy().assign(  # a copy, since what was read lies in pieces
        where=pd.Categorical(where, [pair for pair in pairs if pair in set(where)]),
        kind=pd.Categorical(frame["strategy"].map(kinds), KINDS),
        group=pd.Categorical(frame["strategy"].map(groups), ["Baseline", *study.panels]),
        strategy=pd.Categorical(
            frame["strategy"], [name for name in study.strategies if name in set(frame["strategy"])]
        ),
    )
    return told.sort_values(["where", "strategy"], kind="stable", ignore_index=True)


# ---- what sentences and tables of ours read


def comparisons(folder: str | Path, study: Study | None = None) -> list["Comparison"]:
    """One comparison per data set and model that has runs of the baseline, each of the strategies and seeds that it has.

    study: by default the one that lies beside the tables
    Raises FrugalError naming a table that is missing, or where no comparison is left.
    """
    folder = Path(folder)
    study = study or read_study_of(folder)
    tables = {name: read_table(folder, name) for name in TABLES}
    found = []
    for dataset, model in study.pairs:
        here = _rows_of(tables["runs"], dataset, model)
        if study.baseline in set(here["strategy"]):
            found.append(Comparison(_narrowed(study.only(dataset, model), here), folder, dataset, model, tables))
    if not found:
        raise FrugalError(f"{folder / 'runs.csv'} has no run of the baseline {study.baseline}; remove it and run again")
    return found


def without_baseline(study: Study, compared: Sequence["Comparison"]) -> list[tuple[str, str]]:
    """Data sets and models of a whole study that `comparisons` left out, for want of a run of the baseline."""
    there = {(one.dataset, one.model) for one in compared}
    return [pair for pair in study.pairs if pair not in there]


def _rows_of(table: pd.DataFrame, dataset: str, model: str) -> pd.DataFrame:
    return table[(table["dataset"] == dataset) & (table["model"] == model)].reset_index(drop=True)


def _narrowed(study: Study, runs: pd.DataFrame) -> Study:
    """The study without strategies and seeds of which no record could be used; the audit names these."""
    there = {name: set(runs[name]) for name in ("strategy", "seed")}
    strategies = [name for name in study.strategies if name in there["strategy"]]
    controls = [name for name in study.controls if name in there["strategy"]]
    seeds = [seed for seed in study.seeds if seed in there["seed"]]
    return study.model_copy(update={"strategies": strategies, "controls": controls, "seeds": seeds})


@dataclass(frozen=True)
class Comparison:
    """All strategies of a study on one data set and model."""

    study: Study
    folder: Path
    dataset: str
    model: str
    tables: dict[str, pd.DataFrame]

    def _mine(self, table: pd.DataFrame) -> pd.DataFrame:
        return _rows_of(table, self.dataset, self.model)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row per strategy, in the study's order; raises FrugalError where the table lacks one that has runs."""
        summary = self._mine(self.tables["summary"]).set_index("strategy", drop=False)
        missing = [strategy for strategy in self.study.strategies if strategy not in summary.index]
        if missing:
            path = self.folder / "summary.csv"
            raise FrugalError(
                f"{path} has no row for {self.dataset}/{self.model}/{missing[0]}; remove it and run again"
            )
        return summary.loc[self.study.strategies].reset_index(drop=True).copy()  # in one piece, to be added to

    @cached_property
    def everything(self) -> pd.DataFrame:
        """A row per run, those with a budget of their own among them; `elsewhere` as in `runs`."""
        return marked(self.study, self._mine(self.tables["runs"]))

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row per run of a strategy, trained for all of its epochs."""
        return self.everything[self.everything["strategy"].isin(self.study.strategies)].reset_index(drop=True)

    @cached_property
    def curve(self) -> pd.DataFrame:
        """A row per budget of the baseline, as `budgets_table` makes them; none without budgets."""
        budgets = self._mine(self.tables["budgets"])
        return budgets[budgets["strategy"] == self.study.baseline]

    @cached_property
    def audit(self) -> pd.DataFrame:
        """A row per doubt about this comparison."""
        return self._mine(self.tables["audit"])

    @property
    def generated(self) -> bool:
        """Whether a program made the data; then every report says so."""
        return bool((self._mine(self.tables["notes"])["note"] == GENERATED).any())

    @property
    def fidelity_differs(self) -> bool:
        """Whether any strategy is tested at another fidelity than that of the whole images; else there is one accuracy."""
        gap = self.runs["test_accuracy"] - self.runs["test_accuracy_full_fidelity"]
        return bool((gap != 0).any())
