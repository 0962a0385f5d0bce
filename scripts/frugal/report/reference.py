"""Reference convergence points: how accurate the baseline of a ground is at each budget, from many seeds.

A ground is a data set, a model and a recipe. Its reference is a committed table, config/reference/<dataset>-<model>-<study>-
<scale>.csv, with a row per budget. The baseline of another installation is held against it, and a study with few seeds may
take its spread. As MLPerf Training has reference convergence points: https://github.com/mlcommons/training_policies
"""

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from frugal.atomic import write_text
from frugal.errors import FrugalError, in_one_line
from frugal.recipe import DEFAULTS
from frugal.report.pool import TINY, UNEQUAL, unequal
from frugal.report.simultaneous import CONFIDENCE
from frugal.study import Study, merged

FOLDER = Path("config/reference")
LEAST = 5  # seeds per budget of a reference
FEW = 5  # a study with fewer seeds may take a reference's spread
TOGETHER = 0.99  # confidence of a check, all budgets together: one in a hundred sound installations is doubted
# A row per budget: accuracies are shares, sd is of one run over seeds with `freedom` degrees of freedom, low to high the 95 %
# interval of the mean, train_seconds of one run. Then what it was made from, equal in all rows but for the fingerprints of code.
NUMBERS = ["budget", "seeds", "mean", "sd", "low", "high", "freedom", "train_seconds"]
ORIGIN = ["dataset", "model", "study", "scale", "strategy", "seed_list", "commit", "date", "cpu", "device"]
COLUMNS = [*NUMBERS, *ORIGIN, "data_checksum", "recipe"]


@dataclass(frozen=True)
class Reference:
    """A reference. table: a row per budget, from small to large, with the columns COLUMNS; recipe: that of budget 1."""

    name: str
    table: pd.DataFrame

    @property
    def recipe(self) -> dict[str, Any]:
        """The baseline's recipe at budget 1, as in the record of a run."""
        return json.loads(self.table["recipe"].iloc[-1])

    def origin(self, column: str) -> str:
        """What all rows share, such as the study."""
        return str(self.table[column].iloc[-1])

    @property
    def seeds(self) -> set[int]:
        """The seeds it was made from."""
        return {int(seed) for listed in self.table["seed_list"] for seed in str(listed).split()}

    @property
    def seconds(self) -> float:
        """What one seed at all budgets took to train where it was made."""
        return float(self.table["train_seconds"].sum())


@dataclass(frozen=True)
class Spread:
    """Standard deviation of one run, its degrees of freedom, and the sentence with which a report says where it is from."""

    spread: float
    freedom: int
    sentence: str


def name_of(study: Study, dataset: str, model: str) -> str:
    """<dataset>-<model>-<study>-<scale>: the recipe is named by the study and the scale that have it."""
    return f"{dataset}-{model}-{study.name}-{study.scale}"


def reference_from(study: Study, runs: pd.DataFrame, dataset: str, model: str) -> Reference:
    """The reference that the runs of a study's baseline make.

    runs: runs.csv of the study. Raises FrugalError, naming the budget, where seeds are too few or all agree, or where the runs
    are not of one recipe and one version of the data.
    """
    name, rows = name_of(study, dataset, model), []
    here = runs[(runs["dataset"] == dataset) & (runs["model"] == model)]
    for strategy, budget in study.budgets.get(study.baseline, {study.baseline: 1.0}).items():
        own = here[here["strategy"] == strategy].sort_values("seed")
        accuracies, where = own["test_accuracy"].to_numpy(float), f"reference {name}: budget {budget:g}"
        if len(own) < LEAST:
            raise FrugalError(
                f"{where} has {len(own)} seeds, a reference needs at least {LEAST}: run more with override='{{seeds: 20}}'"
            )
        for column, what in (("recipe", "recipe"), ("data_checksum", "version of the data"), ("device", "device")):
            if own[column].nunique(dropna=False) > 1:
                raise FrugalError(f"{where} has runs of more than one {what}: train them anew in a folder of their own")
        sd, count = accuracies.std(ddof=1), len(own)
        if not sd**2 > TINY:
            raise FrugalError(
                f"{where}: all {count} seeds are equally accurate, so there is no spread; use another ground"
            )
        half = float(special.stdtrit(count - 1, 0.5 + CONFIDENCE / 2)) * sd / np.sqrt(count)
        mean = accuracies.mean()
        numbers = [budget, count, mean, sd, max(0.0, mean - half), min(1.0, mean + half), count - 1]
        commits = sorted({f"{run.git_commit}{'-dirty' if run.git_dirty else ''}" for run in own.itertuples()})
        origin = [dataset, model, study.name, study.scale, study.baseline, " ".join(map(str, own["seed"]))]
        origin += [" ".join(commits), max(own["ended"])[:10], ", ".join(sorted(set(own["cpu"]))), own["device"].iloc[0]]
        rows.append(
            [*numbers, own["train_seconds"].mean(), *origin, own["data_checksum"].iloc[0], own["recipe"].iloc[0]]
        )
    return Reference(name, pd.DataFrame(rows, columns=COLUMNS).sort_values("budget", ignore_index=True))


def write(reference: Reference, path: Path) -> None:
    """Write a reference as CSV, whole or not at all."""
    text = io.StringIO()
    reference.table.to_csv(text, index=False, lineterminator="\n", float_format="%.8g")
    write_text(path, text.getvalue())


def read(path: Path) -> Reference:
    """Read a reference. Raises FrugalError for a file that is none, in one line that says why."""
    try:
        table = pd.read_csv(path)
        missing = [column for column in COLUMNS if column not in table]
        if missing:
            raise ValueError(f"column {missing[0]} is missing")
        numbers = table[NUMBERS].astype(float)
        wrong = ~np.isfinite(numbers).all() | (numbers <= 0).all()
        if wrong.any() or not len(table):
            raise ValueError(f"column {wrong.idxmax()} has no numbers above 0" if len(table) else "it has no row")
        if (numbers["sd"] <= 0).any() or (numbers["seeds"] < LEAST).any() or (numbers["budget"].diff() <= 0).any():
            raise ValueError(f"sd must be above 0, seeds at least {LEAST}, budgets must rise")
        reference = Reference(path.stem, table.astype({"seeds": int, "freedom": int}))
        if not isinstance(reference.recipe, dict):
            raise ValueError("its recipe is no JSON object")
        return reference
    except (OSError, ValueError, TypeError, pd.errors.ParserError) as error:
        raise FrugalError(f"{path} is not a reference: {in_one_line(error, kind=False)}; make it anew") from error


def read_all(folder: Path = FOLDER) -> list[Reference]:
    """All references, the cheapest to train first. Raises FrugalError for a file that is none."""
    return sorted((read(path) for path in folder.glob("*.csv")), key=lambda one: one.seconds)


def check_same_ground(reference: Reference, recipe: dict[str, Any], data_checksum: str) -> None:
    """Raise FrugalError where runs were made with another recipe or other data than the reference: they say nothing about it.

    recipe: that of the baseline at budget 1
    """
    if differ := _differing(reference.recipe, recipe):
        raise FrugalError(
            f"reference {reference.name} was made with another recipe ({', '.join(differ)}): make it anew"
        )
    if data_checksum != reference.origin("data_checksum"):
        raise FrugalError(
            f"reference {reference.name} was made from other data than {reference.origin('dataset')} here: make it anew"
        )


def agreement(reference: Reference, runs: pd.DataFrame) -> pd.DataFrame:
    """Whether an installation converges as it should: a z-test per budget on the difference of the means.

    The standard error is the reference's sd times sqrt(1/n + 1/m), of n seeds here and m there. Since sd is an estimate the
    bound is a t quantile, with Sidak's level, so that all budgets hold together in 99 of 100 sound installations.
    runs: of the baseline, of other seeds than the reference's, with the columns budget and test_accuracy
    returns: a row per budget of the runs: budget, seeds, mean, reference_mean, difference, allowed (either way), z, agrees.
    Raises FrugalError for a budget that the reference lacks, or where there is no run.
    """
    table = reference.table.set_index("budget")
    if runs.empty:
        raise FrugalError(f"no run to hold against reference {reference.name}: train the baseline first")
    groups = runs.groupby("budget")["test_accuracy"]
    if unknown := sorted(set(groups.groups) - set(table.index)):
        raise FrugalError(f"reference {reference.name} has no budget {unknown[0]:g}: use one of {list(table.index)}")
    found = pd.DataFrame({"seeds": groups.size(), "mean": groups.mean()})
    own = table.loc[found.index]
    found["reference_mean"] = own["mean"]
    found["difference"] = found["mean"] - own["mean"]
    error = own["sd"] * np.sqrt(1 / found["seeds"] + 1 / own["seeds"])
    level = TOGETHER ** (1 / len(found))
    found["allowed"] = error * special.stdtrit(own["freedom"].to_numpy(float), 0.5 + level / 2)
    found["z"] = found["difference"] / error
    found["agrees"] = found["difference"].abs() <= found["allowed"]
    return found.reset_index()


def spread_for(
    study: Study,
    dataset: str,
    model: str,
    data_checksum: str,
    own: tuple[float, float] | None = None,
    folder: Path = FOLDER,
) -> Spread | None:
    """The spread of a reference of this ground, for a study with few seeds; None where seeds suffice or there is none.

    The reference must be of the same data, by checksum, and have the recipe of the study's baseline, whichever study it was made
    from. Its sd holds what strategies of
    one seed share, so that intervals of differences are rather too wide than too narrow. `simultaneous.compare` takes it as
    `known=(spread**2, freedom)`. own: variance and degrees of freedom of the study's own pool; where an F-test at 1 %
    tells them from the reference's, this study scatters otherwise, and None is returned.
    Raises FrugalError for a broken file.
    """
    seeds = len(study.seeds_of(dataset, model))
    if seeds >= FEW:
        return None
    recipe = study.recipe
    for more in (study.pair(dataset, model).recipe, study.recipes.get(study.baseline, {})):
        recipe = merged(recipe, more)
    for reference in _of(read_all(folder), dataset, model):
        if data_checksum != reference.origin("data_checksum") or _differing(reference.recipe, recipe):
            continue
        row = reference.table.iloc[-1]
        if row["budget"] != 1 or (own and _apart(own, (row["sd"] ** 2, row["freedom"]))):
            continue
        told = (
            f"{seeds} seeds are too few to tell how far runs scatter: the standard deviation, {100 * row['sd']:.2g} points, "
            f"is that of {row['seeds']} runs of {reference.origin('strategy')} in {FOLDER / reference.name}.csv"
        )
        return Spread(float(row["sd"]), int(row["freedom"]), told.replace("1 seeds are", "1 seed is"))
    return None


def _of(references: Iterable[Reference], dataset: str, model: str) -> Iterable[Reference]:
    return (one for one in references if (one.origin("dataset"), one.origin("model")) == (dataset, model))


def _apart(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """F-test, two-sided, of two variances with their degrees of freedom."""
    if not one[1] >= 1:
        return False
    return bool(unequal(one[0] / other[0], one[1], other[1]) < UNEQUAL)


def _differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Keys of two recipes that differ. One that is younger than a recipe stands there with its default, which changed nothing."""
    one, other = merged(DEFAULTS, one), merged(DEFAULTS, other)
    return sorted(k for k in one.keys() | other.keys() if one.get(k, ...) != other.get(k, ...))
