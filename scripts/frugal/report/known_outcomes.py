"""Known outcomes: what a right harness finds, and what papers claim, held against the tables of a study.

Each case is decided by one 95 % interval: that of a difference in test accuracy to another strategy, over the seeds that both
have and with the pooled spread, or that of an exchange rate. It is found where all of the interval agrees, not found where
none of it does, and undecided where the interval has both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field, model_validator

from frugal.report.budget_curve import CURRENCIES
from frugal.report.load import read_study_of, read_table
from frugal.report.pooled import by_seed, pool_of
from frugal.report.statistics import difference
from frugal.spec import Strict, parse
from frugal.study import Study
from frugal.yamlfile import read_yaml

FILE = Path("config/known_outcomes.yaml")
FOUND, NOT_FOUND, UNDECIDED, NOT_RUN = "found", "not found", "undecided", "not run"


class Case(Strict):
    """An entry of config/known_outcomes.yaml, whose head explains the keys."""

    case: str = Field(min_length=1)
    study: str
    strategy: str
    against: str | None = None
    expected: Literal["better", "worse", "no better", "no worse"] | None = None
    currency: str | None = None
    at_least: float | None = Field(None, gt=0)
    at_most: float | None = Field(None, gt=0)
    kind: Literal["known", "claimed"]
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _is_one_of_two(self) -> "Case":
        accuracy = self.against is not None, self.expected is not None
        rate = self.currency is not None, (self.at_least is None) != (self.at_most is None)
        if not ((all(accuracy) and not any(rate)) or (all(rate) and not any(accuracy))):
            raise ValueError("give either `against` and `expected`, or `currency` and one of `at_least` and `at_most`")
        if self.currency is not None and self.currency not in CURRENCIES:
            raise ValueError(f"unknown currency {self.currency!r}; choose one of {', '.join(CURRENCIES)}")
        return self

    @property
    def told(self) -> str:
        """What is expected, in words."""
        if self.against is not None:
            return f"{self.expected} than {self.against}"
        end, bound = ("at least", self.at_least) if self.at_most is None else ("at most", self.at_most)
        return f"rate {end} {bound:g} in {self.currency}"


@dataclass(frozen=True)
class Outcome:
    """What was measured of a case. ground: data set and model; measured: in words, with the interval; seeds: compared."""

    case: Case
    ground: str
    measured: str
    outcome: str
    seeds: int = 0


def read_cases(path: Path = FILE) -> list[Case]:
    """The cases of a file. Raises FrugalError naming the entry that is wrong."""
    return [parse(Case, {"case": name} | (entry or {}), f"{path}: {name}") for name, entry in read_yaml(path).items()]


def outcomes(cases: Sequence[Case], tables: Path) -> list[Outcome]:
    """Each case on each data set and model of its study. tables: the folder that holds one of tables per study.

    A case whose study or strategies have no runs there is listed as not run. Raises FrugalError for tables that are broken.
    """
    return [outcome for case in cases for outcome in _everywhere(case, tables / case.study)]


def _everywhere(case: Case, folder: Path) -> list[Outcome]:
    if not folder.is_dir():
        return [Outcome(case, "", f"no tables in {folder}", NOT_RUN)]
    study, tables = read_study_of(folder), (read_table(folder, name) for name in ("runs", "summary"))
    runs, summary = (dict(iter(table.groupby(["dataset", "model"], sort=False))) for table in tables)
    return [_outcome(case, study, "/".join(pair), runs[pair], summary[pair]) for pair in study.pairs if pair in runs]


def _outcome(case: Case, study: Study, ground: str, runs: pd.DataFrame, summary: pd.DataFrame) -> Outcome:
    missing = {name for name in (case.strategy, case.against) if name is not None} - set(runs["strategy"])
    if missing:
        return Outcome(case, ground, f"no run of {', '.join(sorted(missing))}", NOT_RUN)
    if case.against is None:
        return _by_rate(case, ground, summary.set_index("strategy").loc[case.strategy])
    return _by_accuracy(case, ground, study, by_seed(runs))


def _by_accuracy(case: Case, ground: str, study: Study, values: pd.DataFrame) -> Outcome:
    row = difference(values, pool_of(values, study.baseline), case.strategy, case.against)
    mean, low, high = (row[f"control_difference_{part}"] for part in ("mean", "low", "high"))
    seeds = int(values.loc[[case.strategy, case.against]].notna().all().sum())
    sign = -1 if case.expected in ("worse", "no worse") else 1
    least, most = sorted((sign * low, sign * high))  # "worse" is "better" with the axis turned round
    strict = case.expected in ("better", "worse")
    outcome = decided(least > 0, most < 0) if strict else decided(most <= study.margin, least > 0)
    return Outcome(case, ground, f"{100 * mean:+.2f} points ({100 * low:+.2f} to {100 * high:+.2f})", outcome, seeds)


def _by_rate(case: Case, ground: str, row: pd.Series) -> Outcome:
    seeds = int(row["seeds"])
    rate, low, high = (row[f"{case.currency}_exchange_{part}"] for part in ("rate", "low", "high"))
    if pd.isna([rate, low]).any():
        return Outcome(case, ground, f"no rate: {row['exchange_reason']}", UNDECIDED, seeds)
    if case.at_most is None:
        outcome = decided(low >= case.at_least, high < case.at_least)
    else:
        outcome = decided(high <= case.at_most, low > case.at_most)
    bound = row[f"{case.currency}_exchange_bound"]
    told = f"{bound if isinstance(bound, str) else ''}{rate:.2f} ({low:.2f} to {'any' if isinf(high) else format(high, '.2f')})"
    return Outcome(case, ground, told, outcome, seeds)


def decided(agrees: bool, contradicts: bool) -> str:
    """Found, not found or undecided; nothing is decided by an interval that isn't known, of which neither holds."""
    return FOUND if agrees else NOT_FOUND if contradicts else UNDECIDED
