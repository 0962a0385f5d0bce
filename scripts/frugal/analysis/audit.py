"""Doubts about a comparison, before anyone believes it.

Two strategies with one training-loss curve did the same work under two names: that is how five published runs came to
share one accuracy. And seconds are only comparable between runs of the same machine and the same code.
"""

import json
from collections import defaultdict
from collections.abc import Iterable

import pandas as pd

from frugal.analysis.records import Record
from frugal.study import Study

COLUMNS = ["finding", "dataset", "model", "runs", "detail"]
IDENTICAL = "identical loss curves"


def audit(study: Study, records: list[Record]) -> pd.DataFrame:
    """A row per finding, none if all is well; columns finding, dataset, model, runs (strategy/seed-N, ...), detail."""
    rows = []
    for dataset, model in study.pairs:
        compared = [record for record in records if record.cell[:2] == (dataset, model)]
        for finding, runs, detail in [*_identical(compared), *_hardware(compared), *_code(compared), *_data(compared)]:
            rows.append((finding, dataset, model, runs, detail))
    return pd.DataFrame(rows, columns=COLUMNS)


def _names(records: Iterable[Record]) -> str:
    return ", ".join(f"{record.cell.strategy}/seed-{record.seed}" for record in records)


def _some(records: list[Record], most: int = 6) -> str:
    more = f" and {len(records) - most} more" if len(records) > most else ""
    return _names(records[:most]) + more


def _identical(compared: list[Record]) -> Iterable[tuple[str, str, str]]:
    curves = defaultdict(list)
    for record in compared:
        curves[record.loss_curve].append(record)
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
