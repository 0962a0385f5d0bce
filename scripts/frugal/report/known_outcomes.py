"""Known outcomes: what a right harness finds, and what papers claim, held against the tables of a study.

Each case is decided by one 95 % interval: that of a difference in test accuracy to another strategy, that of a share of a cost
that was saved, or that of an exchange rate. It is found where all of the interval agrees, not found where none of it does, and
undecided where the interval has both. "No worse" and "no better" are held against the study's margin: a difference that is sure
and smaller is found within the margin. Differences to the study's baseline and exchange rates have the intervals of the reports,
which hold for all strategies of the study together; of two other strategies it is the interval of that pair. An exchange rate
decides nothing where the plain net itself is better trained for less. Where the audit forbids the reports to call a strategy
as accurate or a saving (`withheld`), no case is decided by that, nor by a comparison with another one whose accuracy it doubts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field, model_validator

from frugal.recipe import Strict
from frugal.report.budget_curve import CURRENCIES
from frugal.report.costs import COSTS
from frugal.report.exchange_rate import SHORTER
from frugal.report.load import read_study_of, read_table
from frugal.report.machines import OF_A_MACHINE, counted, marked
from frugal.report.pool import by_seed, pool_told, with_others
from frugal.report.statistics import difference
from frugal.report.withheld import BECAUSE, OF_ACCURACY, OF_SAVINGS, doubts
from frugal.report.words import exchange, percent, points
from frugal.spec import parse
from frugal.study import Study
from frugal.yamlfile import read_yaml

FILE = Path("config/known_outcomes.yaml")
FOUND, WITHIN, NOT_FOUND = "found", "found within the margin", "not found"
UNDECIDED, NOT_RUN = "undecided", "not run"
VERDICTS = {  # of a claim
    FOUND: "confirmed",
    WITHIN: "confirmed within the margin",
    NOT_FOUND: "refuted",
    UNDECIDED: "undecided",
    NOT_RUN: "not run",
}


class Case(Strict):
    """An entry of config/known_outcomes.yaml, whose head explains the keys."""

    case: str = Field(min_length=1)
    study: str
    strategy: str
    against: str | None = None
    expected: Literal["better", "worse", "no better", "no worse"] | None = None
    currency: str | None = None
    saved: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    because: str | None = None
    kind: Literal["known", "claimed"]
    reported: str = ""
    decided_by: str = ""
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Case":
        accuracy = self.against is not None, self.expected is not None
        cost = (self.currency or self.saved) is not None, (self.at_least is None) != (self.at_most is None)
        ways = (accuracy, cost, (self.because is not None,))
        if sum(any(way) for way in ways) != 1 or not any(all(way) for way in ways) or (self.currency and self.saved):
            raise ValueError(
                "give either `against` and `expected`, or `currency` or `saved` with one of `at_least` and `at_most`, "
                "or `because`"
            )
        if self.currency is not None and self.currency not in CURRENCIES:
            raise ValueError(f"unknown currency {self.currency!r}; choose one of {', '.join(CURRENCIES)}")
        if self.currency is not None and (self.at_least if self.at_most is None else self.at_most) <= 0:
            raise ValueError("an exchange rate is greater than 0; so must its bound be")
        if self.saved is not None and self.saved not in COSTS:
            raise ValueError(f"unknown cost {self.saved!r}; choose one of {', '.join(COSTS)}")
        return self

    @property
    def told(self) -> str:
        """What is expected, in words."""
        if self.because is not None:
            return "nothing that can be measured here"
        if self.against is not None:
            within = ", within the study's margin" if self.expected.startswith("no ") else ""
            return f"{self.expected} than {self.against}{within}"
        end, bound = ("at least", self.at_least) if self.at_most is None else ("at most", self.at_most)
        if self.saved is not None:
            return f"{end} {percent(bound)} of {COSTS[self.saved].noun} saved"
        return f"exchange rate {end} {bound:g} in {COSTS[self.currency].noun}"


@dataclass(frozen=True)
class Outcome:
    """What was measured of a case.

    ground: data set and model; measured: in words, with the interval; seeds: compared; results: the folder of a scale
    """

    case: Case
    ground: str
    measured: str
    outcome: str
    seeds: int = 0
    results: Path | None = None

    @property
    def verdict(self) -> str:
        """The outcome in the words of its kind: a claim is confirmed or refuted, what is known is found or not."""
        return VERDICTS[self.outcome] if self.case.kind == "claimed" else self.outcome


def read_cases(path: Path = FILE) -> list[Case]:
    """The cases of a file. Raises FrugalError naming the entry that is wrong."""
    return [parse(Case, {"case": name} | (entry or {}), f"{path}: {name}") for name, entry in read_yaml(path).items()]


def outcomes(cases: Sequence[Case], *results: Path) -> list[Outcome]:
    """Each case on each data set and model of its study. results: folders of scales, which hold tables.

    A case whose strategies were run nowhere is listed once, as not run. Raises FrugalError for tables that are broken.
    """
    found, read = [], cache(_tables)  # once for all cases of a study
    for case in cases:
        everywhere = [one for folder in results for one in _everywhere(case, folder, read)]
        tried = [one for one in everywhere if one.outcome != NOT_RUN]
        found += tried if tried and case.because is None else (tried or everywhere)[:1]
    return found


def claim_verdicts(results: str | Path, studies: Sequence[str], cases: str | Path = FILE) -> pd.DataFrame:
    """What becomes of the claims of papers: a row per claim and ground where it was tried, of these studies.

    results: folder of a scale; it may hold tables of other studies, which nobody brought up to date. A claim that was tried
    nowhere has one row. What would decide it, or be a fairer test, stands beside each that isn't confirmed.
    """
    claims = [case for case in read_cases(Path(cases)) if case.kind == "claimed" and case.study in studies]
    found = outcomes(claims, Path(results))
    rows = [
        {
            "claim": one.case.case,
            "verdict": one.verdict,
            "measured": one.measured,
            "tested": one.case.told,
            "data, net": one.ground or "–",
            "reported": one.case.reported,
            "a fairer test": one.case.decided_by if one.outcome not in (FOUND, WITHIN) else "",
            "source": one.case.source,
        }
        for one in found
    ]
    return pd.DataFrame(rows or [{"fact": "None of these studies puts a claim to the test."}])


def _tables(
    folder: Path,
) -> tuple[Study, dict[tuple[str, str], pd.DataFrame], dict[tuple[str, str], pd.DataFrame], pd.DataFrame]:
    """The study that tables are of, rows of runs and of the summary by data set and model, and the audit."""
    runs, summary = (
        dict(iter(read_table(folder, name).groupby(["dataset", "model"], sort=False))) for name in ("runs", "summary")
    )
    return read_study_of(folder), runs, summary, read_table(folder, "audit")


def _everywhere(case: Case, results: Path, read: Callable[[Path], tuple]) -> list[Outcome]:
    folder = results / "tables" / case.study
    if not folder.is_dir():
        return [Outcome(case, "", f"no tables in {folder}", NOT_RUN)]
    study, runs, summary, audit = read(folder)
    if case.because is not None:
        if any(case.strategy in set(rows["strategy"]) for rows in runs.values()):
            return [Outcome(case, "", case.because, UNDECIDED)]
        return [Outcome(case, "", f"no run of {case.strategy}", NOT_RUN)]
    pairs = [pair for pair in study.pairs if pair in runs and pair in summary]
    found = doubts(audit, OF_SAVINGS if case.against is None else OF_ACCURACY)
    doubted = {pair: {cell[2]: told for cell, told in found.items() if cell[:2] == pair} for pair in pairs}
    return [
        replace(_outcome(case, study, "/".join(pair), runs[pair], summary[pair], doubted[pair]), results=results)
        for pair in pairs
    ]


def _outcome(
    case: Case, study: Study, ground: str, runs: pd.DataFrame, summary: pd.DataFrame, doubted: Mapping[str, str]
) -> Outcome:
    """doubted: by strategy, what the audit found that withholds what the case is about."""
    missing = {name for name in (case.strategy, case.against) if name is not None} - set(runs["strategy"])
    if missing:
        return Outcome(case, ground, f"no run of {', '.join(sorted(missing))}", NOT_RUN)
    row = summary.set_index("strategy").loc[case.strategy]
    if case.saved is not None:
        return replace(_by_saving(case, ground, row, doubted), seeds=_seeds(case, study, runs))
    if case.against is None:
        return replace(_by_rate(case, ground, row, doubted), seeds=_seeds(case, study, runs))
    return _by_accuracy(case, ground, study, by_seed(runs), summary, doubted)


def _seeds(case: Case, study: Study, runs: pd.DataFrame) -> int:
    """Of how many seeds a figure about a cost is: the strategy's; for a share, or for seconds, those the baseline has too."""
    cost = case.saved or case.currency
    there = counted(marked(study, runs), cost)
    mine, base = (set(there.loc[there["strategy"] == name, "seed"]) for name in (case.strategy, study.baseline))
    return len(mine & base if case.saved or cost in OF_A_MACHINE else mine)


def _by_accuracy(
    case: Case,
    ground: str,
    study: Study,
    values: pd.DataFrame,
    summary: pd.DataFrame,
    doubted: Mapping[str, str],
) -> Outcome:
    row, which = summary.set_index("strategy").loc[case.strategy], "test_accuracy_difference"
    if case.against != study.baseline:
        pool = with_others(pool_told(summary), values, study.strategies)
        row, which = difference(values, pool, case.strategy, case.against), "control_difference"
    mean, low, high = (row[f"{which}_{part}"] for part in ("mean", "low", "high"))
    seeds = int(values.loc[[case.strategy, case.against]].notna().all().sum())
    sign = -1 if case.expected in ("worse", "no worse") else 1
    least, most = sorted((sign * low, sign * high))  # "worse" is "better" with the axis turned round
    strict = case.expected in ("better", "worse")
    if strict:
        outcome = decided(least > 0, most < 0)
    elif least > 0 and most <= study.margin:
        outcome = WITHIN
    else:
        outcome = decided(most <= study.margin, least > study.margin)  # as the reports' own verdict
    margin = "" if strict else f", margin {100 * study.margin:g}"
    told = f"{points(mean)} points ({points(low)} to {points(high)}){margin}"
    forbids = {case.strategy} if low >= -study.margin else set()  # what it loses stays lost, as in the reports
    forbids |= {case.against} - {study.baseline}  # a weak control flatters whoever beats it
    if why := " and ".join(f"{doubted[name]} of {name}" for name in sorted(forbids & doubted.keys())):
        return Outcome(case, ground, f"{told}; the audit found {why}", UNDECIDED, seeds)
    return Outcome(case, ground, told, outcome, seeds)


def _by_saving(case: Case, ground: str, row: pd.Series, doubted: Mapping[str, str]) -> Outcome:
    mean, low, high = (row[f"{case.saved}_saved_{part}"] for part in ("mean", "low", "high"))
    if pd.isna([mean, low]).any():
        return Outcome(case, ground, f"no {COSTS[case.saved].noun} measured", UNDECIDED)
    told = f"{percent(mean)} ({percent(low)} to {percent(high)})".replace("-", "\N{MINUS SIGN}")
    if why := _withheld(case, low, 0, doubted):
        return Outcome(case, ground, f"{told}, {why}", UNDECIDED)
    return Outcome(case, ground, told, _held(case, low, high))


def _by_rate(case: Case, ground: str, row: pd.Series, doubted: Mapping[str, str]) -> Outcome:
    rate, low, high = (row[f"{case.currency}_exchange_{part}"] for part in ("rate", "low", "high"))
    if pd.isna([rate, low]).any():
        return Outcome(case, ground, f"no rate: {row['exchange_reason']}", UNDECIDED)
    told = exchange(row, case.currency)
    if why := _withheld(case, low, 1, doubted):
        return Outcome(case, ground, f"{told}, {why}", UNDECIDED)
    if SHORTER in str(row["exchange_reason"]):  # then whoever trains for all epochs wastes, whatever else it does
        return Outcome(case, ground, f"{told}; {SHORTER}", UNDECIDED)
    return Outcome(case, ground, told, _held(case, low, high))


def _withheld(case: Case, low: float, nothing: float, doubted: Mapping[str, str]) -> str:
    """Why an interval from `low` on, called a saving above `nothing`, decides nothing; empty where it may, or is no saving."""
    bound = case.at_least if case.at_most is None else case.at_most
    return f"{BECAUSE} {doubted[case.strategy]}" if low >= min(nothing, bound) and case.strategy in doubted else ""


def _held(case: Case, low: float, high: float) -> str:
    """An interval held against the case's bound."""
    if case.at_most is None:
        return decided(low >= case.at_least, high < case.at_least)
    return decided(high <= case.at_most, low > case.at_most)


def decided(agrees: bool, contradicts: bool) -> str:
    """Found, not found or undecided; nothing is decided by an interval that isn't known, of which neither holds."""
    return FOUND if agrees else NOT_FOUND if contradicts else UNDECIDED
