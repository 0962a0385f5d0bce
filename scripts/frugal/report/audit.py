"""Doubts about a comparison, before anyone believes it.

Two strategies with one training-loss curve did the same work under two names: that is how five published runs came to
share one accuracy. Seconds are only comparable between runs of the same machine and the same code. And a saving is believed
where the run says what it left out (`evidence`), a mean where no seed is missing (`records`).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain

import pandas as pd

from frugal.report.evidence import contradicted, unproven
from frugal.report.records import LeftOut, Record
from frugal.study import Study

COLUMNS = ["finding", "dataset", "model", "runs", "detail"]
IDENTICAL = "identical loss curves"
LEFT_OUT = "record left out"
FAILED = "run failed"
MISSING = "missing seeds"
FOREIGN = "not of this study"
NOT_RUN = "not run"


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
        doubts = [_identical(compared), _hardware(compared), _meters(compared), _code(compared), _data(compared)]
        own = study.only(dataset, model)
        doubts += [unproven(own, compared), contradicted(compared), _left_out(out), _missing(own, compared)]
        for finding, runs, detail in chain.from_iterable(doubts):
            rows.append((finding, dataset, model, runs, detail))
    rows += [
        (NOT_RUN, one.dataset, one.model, one.strategy, f"left out, since it can't be trained there: {one.why}")
        for one in study.skipped
    ]
    rows += [(FOREIGN, None, None, "", f"{path} is no run of this study, and left out") for path in foreign]
    return pd.DataFrame(rows, columns=COLUMNS)


def _left_out(out: list[LeftOut]) -> Iterable[tuple[str, str, str]]:
    for run in out:
        yield FAILED if run.failed else LEFT_OUT, f"{run.cell.strategy}/seed-{run.seed}", run.why


def _missing(study: Study, compared: list[Record]) -> Iterable[tuple[str, str, str]]:
    """Cells whose mean is one over fewer seeds than the study asks for."""
    there = Counter(record.cell.strategy for record in compared)
    for strategy in study.strategies:
        if there[strategy] < len(study.seeds):
            seeds = {record.seed for record in compared if record.cell.strategy == strategy}
            names = ", ".join(f"{strategy}/seed-{seed}" for seed in study.seeds if seed not in seeds)
            yield (
                MISSING,
                names,
                f"{there[strategy]} of {len(study.seeds)} seeds: other runs are compared with other seeds",
            )


def _names(records: Iterable[Record]) -> str:
    return ", ".join(f"{record.cell.strategy}/seed-{record.seed}" for record in records)


def _some(records: list[Record], most: int = 6) -> str:
    more = f" and {len(records) - most} more" if len(records) > most else ""
    return _names(records[:most]) + more


def _identical(compared: list[Record]) -> Iterable[tuple[str, str, str]]:
    curves = defaultdict(list)
    for record in compared:
        # A net that was cut after its last step trained as the whole one did, and is another net all the same.
        curves[record.loss_curve, record.metrics.live_parameters].append(record)
    for same in curves.values():
        if len(same) > 1:
            strategies = {record.cell.strategy for record in same}
            what = (
                "what sets these strategies apart never took effect"
                if len(strategies) > 1
                else "the seed had no effect"
            )
            yield IDENTICAL, _names(same), f"every training loss is the same to the last digit: {what}"


def _differing(
    compared: list[Record], finding: str, key: str, value_of: dict[str, str]
) -> Iterable[tuple[str, str, str]]:
    """A finding where the runs don't share one value; names the runs outside the most common one."""
    groups = defaultdict(list)
    for record in compared:
        groups[value_of[_names([record])]].append(record)
    if len(groups) > 1:
        common, *others = sorted(groups, key=lambda value: -len(groups[value]))
        for other in others:
            yield finding, _some(groups[other]), f"{key} {other}, where {len(groups[common])} other runs have {common}"


def _hardware(compared: list[Record]) -> Iterable[tuple[str, str, str]]:
    machines = {}
    for record in compared:
        hardware = record.manifest.hardware
        gpu = f"{hardware.gpu}, " if hardware.gpu else ""
        machine = f"{gpu}{hardware.cpu}, {hardware.cores} cores, {hardware.threads} threads, {record.metrics.device}"
        machines[_names([record])] = machine
    yield from _differing(compared, "different hardware", "machine:", machines)


def _meters(compared: list[Record]) -> Iterable[tuple[str, str, str]]:
    """Joules of the CPU alone and joules of CPU, memory and GPU are not the same quantity."""
    metered = [record for record in compared if record.metrics.energy_joules is not None]
    sources = {_names([record]): record.metrics.energy_source for record in metered}
    yield from _differing(metered, "different meters", "energy_joules by", sources)


def _code(compared: list[Record]) -> Iterable[tuple[str, str, str]]:
    """A module that two runs share but in different versions; that strategies import different modules is no finding."""
    modules = sorted({path for record in compared for path in record.manifest.code})
    for module in modules:
        using = [record for record in compared if module in record.manifest.code]
        versions = {_names([record]): record.manifest.code[module][:12] for record in using}
        yield from _differing(using, "different code", f"{module} has checksum", versions)
    packages = {_names([record]): json.dumps(record.manifest.versions, sort_keys=True) for record in compared}
    yield from _differing(compared, "different packages", "versions", packages)


def _data(compared: list[Record]) -> Iterable[tuple[str, str, str]]:
    checksums = {_names([record]): record.manifest.data_checksum[:12] for record in compared}
    yield from _differing(compared, "different data", "data checksum", checksums)
