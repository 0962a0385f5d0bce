"""The tables of a study for one data set and model, read back and brought into the shape that figures need."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from frugal.data.kinds import GENERATED
from frugal.errors import FrugalError
from frugal.report.costs import spent_by_epoch
from frugal.study import Study

TYPES = {"dataset": "category", "model": "category", "strategy": "category"}


def read_table(folder: Path, name: str, **options: object) -> pd.DataFrame:
    """A table of a folder. Raises FrugalError naming the file where it is missing or broken."""
    path = folder / f"{name}.csv"
    try:
        return pd.read_csv(path, **options)
    except FileNotFoundError as error:
        raise FrugalError(f"the table {path} is missing; make it with: snakemake --cores all {path}") from error
    except (OSError, ValueError) as error:
        raise FrugalError(f"the table {path} cannot be read ({error}); remove {folder} and run again") from error


def comparisons(study: Study, folder: str | Path) -> list["Comparison"]:
    """One comparison per data set and model that has runs of the baseline, each of the strategies and seeds that it has.

    Raises FrugalError naming a table that is missing, or where no comparison is left.
    """
    folder = Path(folder)
    tables = {name: read_table(folder, name) for name in ("runs", "summary", "history", "audit", "trace", "notes")}
    found = []
    for dataset, model in study.pairs:
        runs = _rows_of(tables["runs"], dataset, model)
        if study.baseline in set(runs["strategy"]):
            found.append(Comparison(_narrowed(study.only(dataset, model), runs), folder, dataset, model, tables))
    if not found:
        raise FrugalError(f"{folder / 'runs.csv'} has no run of the baseline {study.baseline}; remove it and run again")
    return found


def _rows_of(table: pd.DataFrame, dataset: str, model: str) -> pd.DataFrame:
    return table[(table["dataset"] == dataset) & (table["model"] == model)].reset_index(drop=True)


def _narrowed(study: Study, runs: pd.DataFrame) -> Study:
    """The study without strategies and seeds of which no record could be used; the audit names these."""
    there = {name: set(runs[name]) for name in ("strategy", "seed")}
    strategies = [name for name in study.strategies if name in there["strategy"]]
    controls = [name for name in study.controls if name in there["strategy"]]
    seeds = [seed for seed in study.seeds if seed in there["seed"]]
    return study.model_copy(update={"strategies": strategies, "controls": controls, "seeds": seeds})


def _band(seeds: pd.DataFrame) -> pd.DataFrame:
    """Mean over the columns, with one standard error to either side; a line without a band where there is one seed."""
    mean, error = seeds.mean(axis=1), seeds.sem(axis=1).fillna(0)
    return pd.DataFrame({"mean": mean, "low": (mean - error).clip(lower=mean / 10), "high": mean + error})


@dataclass(frozen=True)
class Comparison:
    """All strategies of a study on one data set and model."""

    study: Study
    folder: Path
    dataset: str
    model: str
    tables: dict[str, pd.DataFrame]

    @property
    def name(self) -> str:
        """How files of this comparison begin, e.g. mnist-cnn-small."""
        return f"{self.dataset}-{self.model}"

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
    def runs(self) -> pd.DataFrame:
        """A row per run."""
        return self._mine(self.tables["runs"])

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row per run and epoch."""
        return self._mine(self.tables["history"])

    @cached_property
    def audit(self) -> pd.DataFrame:
        """A row per doubt about this comparison."""
        return self._mine(self.tables["audit"])

    @cached_property
    def trace(self) -> pd.DataFrame:
        """A row per run and batch that a strategy logged; most strategies log none."""
        return self._mine(self.tables["trace"])

    @cached_property
    def notes(self) -> pd.DataFrame:
        """A row per run and note of its manifest."""
        return self._mine(self.tables["notes"])

    @property
    def generated(self) -> bool:
        """Whether a program made the data; then every report says so."""
        return bool((self.notes["note"] == GENERATED).any())

    @property
    def fidelity_differs(self) -> bool:
        """Whether any strategy is tested at another fidelity than that of the whole images; else there is one accuracy."""
        gap = self.runs["test_accuracy"] - self.runs["test_accuracy_full_fidelity"]
        return bool((gap != 0).any())

    @property
    def curve(self) -> str:
        """The accuracy that history has for every epoch: `test` where the recipe asks for its curve, else `val`."""
        return "test" if self.history.get("test_accuracy", pd.Series(dtype=float)).notna().any() else "val"

    @cached_property
    def _by_epoch(self) -> dict[str, dict[str, pd.DataFrame]]:
        return {}

    def by_epoch(self, column: str) -> dict[str, pd.DataFrame]:
        """A column of history per strategy that has it: a row per epoch; mean, low and high (one standard error) over seeds."""
        if column in self._by_epoch:  # a figure asks once for each of its looks
            return self._by_epoch[column]
        found = self._by_epoch[column] = {}
        for strategy in self.study.strategies:
            mine = self.history[self.history["strategy"] == strategy]
            seeds = mine.pivot(index="epoch", columns="seed", values=column)
            if seeds.notna().any(axis=None):
                found[strategy] = _band(seeds)
        return found

    def spent(self, cost: str) -> dict[str, pd.Series]:
        """Per strategy, what it had spent of a cost by the end of each epoch, mean over seeds; empty where no history tells."""
        found = {}
        for strategy in self.study.strategies:
            mine = self.history[self.history["strategy"] == strategy]
            runs = [spent_by_epoch(run.set_index("epoch"), cost) for _, run in mine.groupby("seed")]
            if all(run is not None for run in runs):
                found[strategy] = pd.concat(runs, axis=1).mean(axis=1)
        return found

    @cached_property
    def _iterations(self) -> pd.DataFrame:
        columns = [*TYPES, "seed", "step", "loss"]
        return self._mine(read_table(self.folder, "iterations", dtype=TYPES, usecols=columns))

    @cached_property
    def loss_curves(self) -> tuple[dict[str, pd.DataFrame], int]:
        """Training loss per step and strategy, and the width in steps of the centred running mean that smoothed it.

        Each seed's curve is smoothed, then mean, low and high (one standard error) are taken over the seeds, as far as
        the shortest seed goes. At most 400 steps are kept, evenly, since more cannot be seen.
        """
        longest = int(self._iterations["step"].max())
        window = max(1, longest // 60) | 1  # odd, so that it has a centre
        curves = {}
        for strategy, rows in self._iterations.groupby("strategy", observed=True):
            seeds = rows.pivot(index="step", columns="seed", values="loss").dropna()
            smooth = seeds.rolling(window, center=True, min_periods=window // 2 + 1).mean()
            kept = np.unique(np.linspace(0, len(smooth) - 1, min(400, len(smooth))).round().astype(int))
            smooth = smooth.iloc[kept]
            curves[strategy] = _band(smooth)
        return curves, window

    def levels(self) -> dict[str, pd.DataFrame]:
        """Per strategy that reads at more than one level: a row per epoch, a column per level k, and `flip`; mean over seeds."""
        columns = {column: int(column[7:]) for column in self.history if column.startswith("share_k")}
        shares = {}
        for strategy in self.study.strategies:
            mine = self.history[self.history["strategy"] == strategy]
            used = {column: level for column, level in columns.items() if mine[column].max() > 0}
            if len(used) > 1:
                mean = mine.groupby("epoch")[[*used, "flip_rate"]].mean().rename(columns={**used, "flip_rate": "flip"})
                shares[strategy] = mean
        return shares
