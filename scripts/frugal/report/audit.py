"""Doubts about a comparison, before anyone believes it.

Two strategies with one training-loss curve did the same work under two names: that is how five published runs came to
share one accuracy (`copies`). Runs are only comparable on the same terms (`terms`), seconds only where they are all that a
run needed (`timing`), accuracy only on samples that were kept from the training (`heldout`). A saving is believed where the
run says what it left out (`evidence`), a mean where no seed is missing (`records`).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import PurePosixPath

import pandas as pd

from frugal.failed import FINDING as FAILED
from frugal.report.copies import alike, copied, identical, trained_before
from frugal.report.evidence import contradicted, unproven
from frugal.report.findings import Finding
from frugal.report.heldout import held_out
from frugal.report.records import LeftOut, Record
from frugal.report.terms import unlike
from frugal.report.timing import timing
from frugal.study import Study

COLUMNS = ["finding", "dataset", "model", "runs", "detail"]
LEFT_OUT = "record left out"
MISSING = "missing seeds"
CHOSEN_SEEDS = "seeds beyond the study's"
FOREIGN = "not of this study"
NOT_RUN = "not run"
NOT_MADE = "run not made"
LACKING = (FAILED, NOT_MADE, MISSING, NOT_RUN)  # what isn't there, beside reasons to doubt what is


def audit(
    study: Study, records: list[Record], left_out: Sequence[LeftOut] = (), foreign: Sequence[str] = ()
) -> pd.DataFrame:
    """A row per finding, none if all is well; columns finding, dataset, model, runs (strategy/seed-N, ...), detail.

    left_out: runs whose records can't be used; foreign: paths that belong to no run: of no data set and model
    """
    rows = []
    for dataset, model in study.pairs:
        compared = [record for record in records if record.cell[:2] == (dataset, model)]
        out = [run for run in left_out if run.cell[:2] == (dataset, model)]
        own = study.only(dataset, model)
        shown = [
            record for record in compared if record.cell.strategy not in study.scoring
        ]  # they may train as others do
        doubts = [identical(shown), alike(shown), copied(compared), trained_before(study.baseline, compared)]
        doubts += [unlike(own, compared), timing(own, compared), held_out(study.baseline, compared, study.scoring)]
        doubts += [
            unproven(own, compared),
            contradicted(own, compared),
            _left_out(out),
            _missing(own, dataset, model, compared),
        ]
        for finding, runs, detail in chain.from_iterable(doubts):
            rows.append((finding, dataset, model, runs, detail))
    rows += [
        (NOT_RUN, one.dataset, one.model, one.strategy, f"left out, since it can't be trained there: {one.why}")
        for one in study.skipped
    ]
    rows += [_stranger(study, path) for path in foreign]
    return pd.DataFrame(rows, columns=COLUMNS)


def _stranger(study: Study, path: str) -> tuple[str, str | None, str | None, str, str]:
    """A path that belongs to no run; one of a strategy of the study is of a seed that was trained and is not counted."""
    parts = PurePosixPath(path).parts[2:]
    if len(parts) == 4 and parts[2] in study.trained and parts[:2] in study.pairs and parts[3].startswith("seed-"):
        told = f"{path} is there too: seeds may have been chosen by their results; list that seed in the study, or say why not"
        return CHOSEN_SEEDS, parts[0], parts[1], "/".join(parts[2:]), told
    return FOREIGN, None, None, "", f"{path} is no run of this study, and left out"


def _left_out(out: list[LeftOut]) -> Iterable[Finding]:
    for run in out:
        kind = FAILED if run.failed else LEFT_OUT if run.made else NOT_MADE
        yield kind, f"{run.cell.strategy}/seed-{run.seed}", run.why


def _missing(study: Study, dataset: str, model: str, compared: list[Record]) -> Iterable[Finding]:
    """Cells whose mean is one over fewer seeds than the study asks for."""
    there = Counter(record.cell.strategy for record in compared)
    for strategy in study.trained:
        planned = study.seeds_of(dataset, model, strategy)
        if there[strategy] < len(planned):
            seeds = {record.seed for record in compared if record.cell.strategy == strategy}
            names = ", ".join(f"{strategy}/seed-{seed}" for seed in planned if seed not in seeds)
            yield MISSING, names, f"{there[strategy]} of {len(planned)} seeds: other runs are compared with other seeds"
