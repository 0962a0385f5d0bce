"""A finding of the audit and the runs it names, in the one form that the audit writes and its readers take apart."""

from collections.abc import Iterable

from frugal.report.records import Record

Finding = tuple[str, str, str]  # what, runs (strategy/seed-N, ...), detail

SHOWN = 6  # runs of a finding that a page names


def names_of(records: Iterable[Record]) -> str:
    """The runs as the audit names them, all of them: "strategy/seed-0, ..."."""
    return ", ".join(f"{record.cell.strategy}/seed-{record.seed}" for record in records)


def named(runs: str | float) -> list[str]:
    """The runs that a finding names, "strategy/seed-N" each, or a strategy alone; none where it is about no run (null, "")."""
    return runs.split(", ") if isinstance(runs, str) and runs else []


def strategies_of(runs: str | float) -> set[str]:
    """The strategies whose runs a finding names."""
    return {run.rpartition("/seed-")[0] or run for run in named(runs)}


def few(runs: str | float) -> str:
    """The first runs of a finding, and how many more there are, for a page."""
    every = named(runs)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
