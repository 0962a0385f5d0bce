"""Study at one scale, resolved: what was asked, which runs belong to it, and where their records lie.

The plan makes it from the config; tables and reports are given it as JSON.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from frugal.errors import FrugalError


class Cell(NamedTuple):
    """What a study compares: one strategy on one data set and model, over all seeds."""

    dataset: str
    model: str
    strategy: str


class StudyPair(BaseModel):
    """A data set with its model, and what it has of its own: keys of the recipe, a target accuracy, seeds, strategies."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    dataset: str
    model: str
    recipe: dict[str, Any] = {}
    target_accuracy: float | None = None
    seeds: list[int] | None = None
    strategies: list[str] | None = None


class Skipped(BaseModel):
    """A strategy that is left out on a data set and model, and why, in one clause."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    dataset: str
    model: str
    strategy: str
    why: str


class Sweep(BaseModel):
    """One strategy trained for each value of some of its parameters.

    parameters: their names; points: by name of the strategy that a point is, the values; controls: that of equal cost of each
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    strategy: str
    parameters: list[str]
    points: dict[str, dict[str, str]]
    controls: dict[str, str]


class Study(BaseModel):
    """A resolved study."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    title: str
    question: str
    source: str = ""
    scale: str
    baseline: str
    controls: list[str] = []
    cost: str = Field("flops_executed", description="the column of runs.csv that the study is about saving")
    measurements: list[str] = Field([], description="tables about the machine that the report shows")
    groups: dict[str, list[str]] = Field({}, description="strategies that share a panel of a figure, by its title")
    margin: float = Field(ge=0, lt=1, description="an accuracy lower by at most this fraction counts as equal")
    target_accuracy: float = Field(gt=0, le=1, description="validation accuracy whose first reaching is timed")
    datasets: list[str] = Field(min_length=1)
    models: list[str] = Field(min_length=1)
    strategies: list[str] = Field(min_length=1, description="in the order in which tables and figures show them")
    budgets: dict[str, dict[str, float]] = Field(
        {},
        description="what strategies are trained anew with: by strategy and name of the run, the share of its epochs, from "
        "small to large, itself with 1 among them",
    )
    scoring: list[str] = Field(
        [],
        description="scoring runs: trained for others, which are charged with all that they spent, and compared with nothing",
    )
    seeds: list[int] = Field(min_length=1)
    baseline_seeds: list[int] = Field([], description="all seeds of the baseline and of its budgets, where it has more")
    labels: dict[str, str] = {}
    parameters: dict[str, dict[str, Any]] = Field({}, description="of each strategy, defaults filled in")
    recipe: dict[str, Any] = {}
    recipes: dict[str, dict[str, Any]] = Field({}, description="what a strategy replaces of the recipe")
    plans: dict[str, dict[str, str]] = Field(
        {},
        description="`RunSpec.plan` of each cell by <data set>/<model> and strategy, for tables; {}: any record is taken",
    )
    absent: dict[str, list[str]] = Field(
        {}, description="by strategy, the controls that follow it in the study's file and are not trained"
    )
    config: dict[str, str] | None = Field(
        None,
        description="keys of `--config` beside scale and studies that it was planned with and that are not the default, as YAML; "
        "null: not known",
    )
    tasks: list[StudyPair] = Field([], description="data set with model; by default every one with every other")
    skipped: list[Skipped] = Field([], description="strategies that are left out where they don't fit")
    sweeps: list[Sweep] = Field([], description="strategies that an override trains for each of several values")
    follows: dict[str, str] = Field(
        {}, description="controls, and the strategy whose run each repeats or whose scores it uses"
    )

    @model_validator(mode="after")
    def _baseline_is_compared(self) -> "Study":
        if self.baseline not in self.strategies:
            raise ValueError(
                f"the baseline {self.baseline} is not among the strategies; add it, or name another baseline"
            )
        return self

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every data set with its model: what is compared lies within one of these."""
        listed = [(pair.dataset, pair.model) for pair in self.tasks]
        return listed or list(itertools.product(self.datasets, self.models))

    def pair(self, dataset: str, model: str) -> StudyPair:
        """What a data set and model have of their own."""
        own = [pair for pair in self.tasks if (pair.dataset, pair.model) == (dataset, model)]
        return own[0] if own else StudyPair(dataset=dataset, model=model)

    def target(self, dataset: str, model: str) -> float:
        """The validation accuracy whose first reaching is timed."""
        return self.pair(dataset, model).target_accuracy or self.target_accuracy

    def seeds_of(self, dataset: str, model: str, strategy: str | None = None) -> list[int]:
        """The seeds of the runs on a data set and model, of one strategy where it is named: the baseline may have more."""
        if self.baseline_seeds and strategy in (self.baseline, *self.budgets.get(self.baseline, ())):
            return self.baseline_seeds
        return self.pair(dataset, model).seeds or self.seeds

    @property
    def shortened(self) -> dict[str, str]:
        """The names of runs with a budget of their own, such as full@0.25, each with its strategy's."""
        return shortened(self.budgets)

    @property
    def trained(self) -> list[str]:
        """Everything that is trained: the strategies, scoring runs, and those with a budget of their own."""
        return [*self.strategies, *self.scoring, *self.shortened]

    def strategies_of(self, dataset: str, model: str) -> list[str]:
        """What is trained on a data set and model: all that are asked for there but those that don't fit."""
        out = {one.strategy for one in self.skipped if (one.dataset, one.model) == (dataset, model)}
        return [name for name in self.asked(dataset, model) if name not in out and self.shortened.get(name) not in out]

    def asked(self, dataset: str, model: str) -> list[str]:
        """What is to be trained on a data set and model, whether it fits or not."""
        own = self.pair(dataset, model).strategies
        short = self.shortened
        return [name for name in self.trained if own is None or name in own or short.get(name) in own]

    def only(self, dataset: str, model: str) -> "Study":
        """The study as it looks on one data set and model, with its seeds and strategies."""
        fit = self.strategies_of(dataset, model)
        strategies = [strategy for strategy in self.strategies if strategy in fit]
        controls = [strategy for strategy in self.controls if strategy in strategies]
        seeds = self.seeds_of(dataset, model)
        budgets = {name: runs for name, runs in self.budgets.items() if name in strategies}
        scoring = [name for name in self.scoring if name in fit]
        own = {"seeds": seeds, "strategies": strategies, "controls": controls, "scoring": scoring, "budgets": budgets}
        return self.model_copy(update=own)

    @property
    def panels(self) -> dict[str, list[str]]:
        """Every strategy but the baseline once, in panels few enough to tell apart; by default proposals and controls."""
        others = [strategy for strategy in self.strategies if strategy != self.baseline]
        groups = self.groups or {
            "Proposals": [strategy for strategy in others if strategy not in self.controls],
            "Controls": [strategy for strategy in others if strategy in self.controls],
        }
        named = [strategy for group in groups.values() for strategy in group]
        rest = [strategy for strategy in others if strategy not in named]
        here = {title: [strategy for strategy in group if strategy in others] for title, group in groups.items()}
        return {title: group for title, group in {**here, "Other strategies": rest}.items() if group}

    @property
    def panel_of(self) -> dict[str, str]:
        """The title of the panel that each strategy but the baseline stands in."""
        return {name: title for title, names in self.panels.items() for name in names}

    def runs(self) -> Iterator[tuple[Cell, int]]:
        """Every run of the study, in display order."""
        for dataset, model in self.pairs:
            for strategy in self.strategies_of(dataset, model):
                for seed in self.seeds_of(dataset, model, strategy):
                    yield Cell(dataset, model, strategy), seed

    def folder(self, cell: Cell, seed: int) -> Path:
        """Where a run's record lies, relative to the results of the scale."""
        return Path("runs", self.name, cell.dataset, cell.model, cell.strategy, f"seed-{seed}")


def shortened(budgets: dict[str, dict[str, float]]) -> dict[str, str]:
    """The names of runs with a budget of their own, such as full@0.25, each with its strategy's. budgets: as `Study.budgets`."""
    return {name: one for one, shares in budgets.items() for name in shares if name != one}


def epochs_of(epochs: float, share: float) -> int | float:
    """That share of so many epochs, a whole number where it is one: it is part of a run's identity."""
    part = round(epochs * share, 9)
    return int(part) if part == int(part) else part


def merged(section: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """`section` with the keys of `override` replaced, mappings merged key by key."""
    found = dict(section)
    for key, value in override.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


def one_line(error: ValidationError) -> str:
    """The first complaint of pydantic in one line: which key, and why."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return (f"{where}: " if where else "") + first["msg"].removeprefix("Value error, ") + more


def read_json(text_or_path: str, what: str) -> Any:
    """JSON given on the command line, either as text or as the path of a file that holds it; raises FrugalError for neither."""
    text, where = text_or_path, what
    if not text_or_path.lstrip().startswith(("{", "[")):
        where = f"{what} {text_or_path}"
        try:
            text = Path(text_or_path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FrugalError(f"{where} is neither JSON nor a readable file ({error}); give one of the two") from error
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise FrugalError(f"{where} is not valid JSON ({error}); correct it and run again") from error


def study_of(content: Any) -> Study:
    """Check a study that was read from JSON; raises a FrugalError that names the key that is wrong."""
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise FrugalError(f"the study is not complete: {one_line(error)}; see config/studies") from error


def read_study(text_or_path: str) -> Study:
    """The study given as JSON or as the path of a JSON file."""
    return study_of(read_json(text_or_path, "--study"))
