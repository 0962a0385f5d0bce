"""One page of verdicts over all data and nets: what each work claims, what was measured, what became of it. Markdown."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from frugal.report.caveats import uneven_seconds
from frugal.report.known_outcomes import NOT_RUN, VERDICTS, Outcome
from frugal.report.load import comparisons

ORDER = list(VERDICTS)  # in which outcomes are counted
MARKS = dict(zip(ORDER, ("\N{CHECK MARK}", "\N{CHECK MARK}", "\N{MULTIPLICATION X}", "?", ""), strict=True))
HEAD = """# What became of claims of "train with less"

Each claim has a row for every data set and net on which it was tried. **Confirmed**: the whole 95 % interval agrees; **refuted**:
none of it does; **undecided**: the interval has both. Differences in accuracy are in percentage points of test accuracy. An
exchange rate is what the plain net, trained for less, would have had to spend for the same accuracy, as a multiple of what the
strategy spent: above 1 it saves. Intervals of accuracies and rates against the plain net hold for all strategies of a data
set and net together, those between two strategies and those of shares saved each by itself. All are over seeds, on one test set.
A verdict holds for that data, net and recipe.
"""
PICTURE = (
    "Exchange rates in FLOPs with their 95 % intervals, of all strategies that were tried on more than one data set and net. "
    "Right of the line a strategy saves (green), left of it it wastes (red), whatever it leaves out; brown: undecided. An "
    "arrowhead: at least, or at most, so much. \N{DAGGER}: there the plain net itself is more accurate when it is trained for "
    "less, so that whatever trains for as long wastes."
)
UNEVEN = "; CPU seconds are uncertain there, see its page"
COLUMNS = "| what is tested | reported | data, net | seeds | measured (95 %) | verdict |\n|---|---|---|---|---|---|\n"


def counted(found: Iterable[Outcome]) -> str:
    """How many trials came out how, e.g. "2 found, 1 undecided"."""
    counts = Counter(one.verdict for one in sorted(found, key=lambda one: ORDER.index(one.outcome)))
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) or "none"


def counts(found: Sequence[Outcome]) -> dict[str, str]:
    """What is known, claims about accuracy and claims about cost, each with how many came out how."""
    claims = [one for one in found if one.case.kind == "claimed"]
    return {
        "known": counted(one for one in found if one.case.kind == "known"),
        "claims about accuracy": counted(one for one in claims if one.case.against is not None),
        "claims about cost": counted(one for one in claims if one.case.against is None),
    }


def verdicts_page(found: Sequence[Outcome], made_by: str, folder: Path, picture: str) -> str:
    """The page: claims by their source, in the order of the cases, then what others have established.

    made_by: the command, as it is shown. folder: where the page will lie; a data set and net is a link from there to the README
    of its results, if there is one. picture: file name of an `exchange_grid` beside the page.
    """
    tried = [one for one in found if one.outcome != NOT_RUN]
    claims, uneven = [one for one in tried if one.case.kind == "claimed"], _uneven(tried)
    text = (
        f"{HEAD}\n![Exchange rates of each strategy on each data set and net, with their intervals]({picture})\n\n*{PICTURE}*\n\n"
        + "".join(f"- {what}: {told}\n" for what, told in counts(tried).items())
    )
    for source, trials in groupby(claims, key=lambda one: one.case.source):
        text += f"\n## {source}\n\n{_table(list(trials), folder, uneven)}"
    if known := [one for one in tried if one.case.kind == "known"]:
        text += f"\n## What others have established\n\nA right harness finds these.\n\n{_table(known, folder, uneven)}"
    if waiting := dict.fromkeys(one.case.case for one in found if one.outcome == NOT_RUN):
        text += "\n## Tried nowhere yet\n\n" + "".join(f"- {case}\n" for case in waiting)
    return f"{text}\n*Made by* `{made_by}`\n"


Place = tuple[Path | None, str, str]  # folder of a scale, study, data set and net


def _place(one: Outcome) -> Place:
    return one.results, one.case.study, one.ground


def _uneven(found: Sequence[Outcome]) -> set[Place]:
    """Where the report says that CPU seconds are uncertain, of all places where an outcome is in CPU seconds."""
    timed = {_place(one)[:2] for one in found if _in_cpu_seconds(one) and one.results is not None}
    return {
        (results, study, f"{compared.dataset}/{compared.model}")
        for results, study in timed
        for compared in comparisons(results / "tables" / study)
        if uneven_seconds(compared)
    }


def _in_cpu_seconds(one: Outcome) -> bool:
    return "cpu_seconds" in (one.case.saved, one.case.currency) and one.seeds > 0


def _table(found: Sequence[Outcome], folder: Path, uneven: set[Place]) -> str:
    """A table, in which what is tested and was reported stands at the first of its rows; under it fairer tests of its claims."""
    table, fairer = COLUMNS, ""
    for case, trials in groupby(found, key=lambda one: one.case):
        told = f"{case.case}: {case.told}", case.reported
        for one in trials:
            cells = (
                *told,
                _linked(one, folder),
                str(one.seeds or ""),
                one.measured + UNEVEN * (_in_cpu_seconds(one) and _place(one) in uneven),
                f"{MARKS[one.outcome]} {one.verdict}",
            )
            table += f"| {' | '.join(cells)} |\n"
            told = "", ""
        if case.decided_by:
            fairer += f"\n*A fairer test* of {case.case}: {case.decided_by}.\n"
    return table + fairer


def _linked(one: Outcome, folder: Path) -> str:
    if one.results is None or not (readme := one.results / "README.md").is_file():
        return one.ground
    return f"[{one.ground}]({Path(os.path.relpath(readme, folder)).as_posix()})"
