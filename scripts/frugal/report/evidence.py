"""Whether what a run says it left out bears the savings it is given."""

from collections.abc import Iterable

import pandas as pd

from frugal.report.records import Record
from frugal.study import Study

COUNTED = ("samples_backpropagated", "bytes_read", "flops_executed", "live_parameters", "model_bytes")
TIMED = ("train_seconds", "energy_joules")
ENOUGH = 0.01  # a counted saving below one per cent needs no proof
CLEARLY = 0.1  # seconds and joules scatter: by this much, in every seed, they are said to be saved

UNPROVEN = "saving without evidence"
CONTRADICTED = "evidence contradicts the ledger"


def unproven(study: Study, compared: list[Record]) -> Iterable[tuple[str, str, str]]:
    """Findings (what, runs, detail): savings against the baseline of the same seed that nothing in the record explains.

    A counted saving (samples, bytes, FLOPs, weights) needs a column of history.csv, which the baseline has not, in which the
    strategy says what it left out. Seconds or joules that every seed saves need a counted saving.
    """
    base = {record.seed: record for record in compared if record.cell.strategy == study.baseline}
    for strategy in study.strategies:
        runs = [r for r in compared if r.cell.strategy == strategy != study.baseline and r.seed in base]
        saved = pd.DataFrame([_saved(run, base[run.seed]) for run in runs], columns=[*COUNTED, *TIMED], dtype=float)
        for run, shares in zip(runs, saved.to_dict("records"), strict=True):
            more = [name for name in COUNTED if shares[name] > ENOUGH]
            if more and _says_nothing(run, base[run.seed]):
                told = f"{', '.join(more)}: saved, but no column of history.csv says what was left out"
                yield UNPROVEN, f"{strategy}/seed-{run.seed}", told
        if len(runs) > 1 and not (saved[[*COUNTED]] > ENOUGH).any(axis=None):
            for cost in TIMED:
                if (saved[cost] > CLEARLY).all():
                    names = ", ".join(f"{strategy}/seed-{run.seed}" for run in runs)
                    told = f"{cost}: every seed saves at least {saved[cost].min():.0%}, though no work was left out"
                    yield UNPROVEN, names, told


def _saved(run: Record, base: Record) -> list[float | None]:
    pairs = [(getattr(run.metrics, cost), getattr(base.metrics, cost)) for cost in (*COUNTED, *TIMED)]
    return [1 - mine / theirs if mine is not None and theirs else None for mine, theirs in pairs]


def _says_nothing(run: Record, base: Record) -> bool:
    """Whether a run's history has no column of its own: every run's tell of its loss, its accuracy and its costs."""
    own = [column for column in run.history if column not in base.history]
    return not run.history[own].notna().any(axis=None)


def contradicted(compared: list[Record]) -> Iterable[tuple[str, str, str]]:
    """Findings (what, runs, detail): epochs whose samples or bytes don't add up to what the whole run counted."""
    for run in compared:
        for column, total in (("samples", "samples_backpropagated"), ("bytes_read", "bytes_read")):
            summed, counted = int(run.history[column].sum()), getattr(run.metrics, total)
            if summed != counted:
                told = f"{column} of all epochs add up to {summed:,}, {total} is {counted:,}"
                yield CONTRADICTED, f"{run.cell.strategy}/seed-{run.seed}", told
