"""Records that are due again: made with other settings, code or data than the planned runs, changed, or damaged.

Snakemake compares a step with what `.snakemake` knows of it. A record says itself what it is of, wherever it came from: a
copied folder, a fresh clone, a deleted `.snakemake`. Looking at ten thousand of them takes about a second, so nothing of
pydantic, no whole JSON, and one computation for all seeds of a cell.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from frugal import failed
from frugal.differences import of_code, of_settings, some
from frugal.imports import TRAINING, checksums, closure
from frugal.plan import Plan
from frugal.record import Unsealed, check_files, fits, read_identity
from frugal.study import Study

MOST_REASONS = 5  # reasons told for a study; further ones are counted

CodeOf = Callable[..., str]  # modules -> the digest of the source files that a run with these depends on


class Due(NamedTuple):
    """A record to be made again. folder: where it lies; reason: why, without a place, so that equal ones can be counted."""

    study: str
    folder: str
    reason: str


def plans(plan: Plan, study: str, code_of: CodeOf) -> dict[str, dict[str, str]]:
    """`RunSpec.plan` of each cell of a study, by "<data set>/<model>" and strategy: all seeds share it."""
    of = plan.studies[study]
    return {
        f"{dataset}/{model}": {
            strategy: plan.run(study, dataset, model, strategy, 0).plan(code_of(*plan.modules(study, model, strategy)))
            for strategy in of.strategies_of(dataset, model)
        }
        for dataset, model in of.pairs
    }


def find(plan: Plan, code_of: CodeOf, asked: Iterable[str] = ()) -> list[Due]:
    """The records of the plan's runs that are there and do not fit. asked: files that are to be made, by default all."""
    starts, found = _starts(plan, asked), []
    for name in plan.studies:
        if starts is None or any(start.startswith(f"{name}/") for start in starts):
            found += _of_study(plan, name, code_of, starts)
    return found


def tables(plan: Plan, failed_of: Callable[[Study], dict[str, str]] | None = None) -> dict[str, list[str]]:
    """Studies whose tables are there and are of another study than is planned now, each with what differs: its keys, failed runs.

    A margin, a target or a list of strategies changes no record, but what tables and pages say of them. A run that failed has
    no record any more, and a table isn't older than a record that is gone.

    failed_of: gives the failed runs of a study and why, where its tables have to do without them; None: all runs are to be there
    """
    found = {}
    for name, study in plan.studies.items():
        try:
            told = json.loads(Path(plan.results, "tables", name, "study.json").read_bytes())
        except FileNotFoundError:
            continue  # Snakemake sees that
        except (OSError, ValueError):
            found[name] = ["study.json can't be read"]
            continue
        # What of the config matters stands in the other keys too; where results lie now, say, does not.
        now = json.loads(study.model_dump_json(exclude={"plans", "config"}))
        keys = [key for key in now if told.get(key) != now[key]]
        if failed_of and failed_of(study) != failed.told_by(Path(plan.results, "tables", name, "audit.csv"), name):
            keys.append("failed runs")
        if keys:
            found[name] = keys
    return found


def told(found: list[Due]) -> list[str]:
    """One line for each study and reason; of a single record with its data set, model, strategy and seed."""
    lines = []
    for study in dict.fromkeys(due.study for due in found):
        reasons = Counter(due.reason for due in found if due.study == study)
        for reason, count in reasons.most_common(MOST_REASONS):
            one = next(due.folder for due in found if (due.study, due.reason) == (study, reason))
            which = f" ({'/'.join(Path(one).parts[-4:])})" if count == 1 else ""
            lines.append(f"{_due(count, study)}: {reason}{which}")
        if rest := sum(count for _, count in reasons.most_common()[MOST_REASONS:]):
            more = len(reasons) - MOST_REASONS
            lines.append(f"{_due(rest, study)} for {more} other reason{'s' * (more > 1)}")
    return lines


def _due(count: int, study: str) -> str:
    return (
        f"{count:,} records of study {study} are due again" if count > 1 else f"1 record of study {study} is due again"
    )


def _starts(plan: Plan, asked: Iterable[str]) -> tuple[str, ...] | None:
    """How the paths of the runs begin that these files need; None: any may be needed."""
    starts = []
    for file in asked:
        parts = Path(os.path.relpath(file)).parts
        inside = parts[len(Path(os.path.relpath(plan.results)).parts) :]
        if not Path(os.path.relpath(file)).is_relative_to(os.path.relpath(plan.results)) or len(inside) < 2:
            return None
        study = inside[1].split(".")[0]
        if study not in plan.studies:
            return None
        if inside[0] == "runs" and len(inside) == 7 and inside[4] in plan.studies[study].trained:
            strategy: str | None = inside[4]
            while strategy:  # who follows one that follows another needs both
                starts.append("/".join((*inside[1:4], strategy, inside[5])))
                strategy = plan.follows(study, strategy)
        else:
            starts.append(f"{study}/")
    return tuple(starts) or None


def _of_study(plan: Plan, study: str, code_of: CodeOf, starts: tuple[str, ...] | None) -> Iterator[Due]:
    planned, top, files, repeated = plans(plan, study, code_of), f"{plan.results}/runs/", {}, []
    for (dataset, model, strategy), seed in plan.studies[study].runs():
        run = f"{study}/{dataset}/{model}/{strategy}/seed-{seed}"
        if starts is not None and not run.startswith(starts):
            continue
        folder = top + run
        try:
            sealed = read_identity(folder)
            check_files(folder, sealed["files"], thoroughly=False)
        except Unsealed as error:
            if os.path.lexists(f"{folder}/metrics.json"):  # else there is none, as Snakemake sees
                yield Due(study, folder, f"{error.file}: {error}")
            continue
        files[folder] = sealed["files"]
        if sealed["run"] != run:
            yield Due(study, folder, f"the record is that of {sealed['run']}")
        elif sealed["plan"] != planned[f"{dataset}/{model}"][strategy]:
            yield Due(study, folder, _what_changed(plan, folder, study, dataset, model, strategy))
        elif sealed["data_checksum"] != (_content(plan, dataset) or sealed["data_checksum"]):
            yield Due(study, folder, f"data set {dataset} has other content")
        elif followed := plan.follows(study, strategy):
            repeated.append((folder, f"{top}{study}/{dataset}/{model}/{followed}/seed-{seed}", sealed["followed"]))
    for folder, followed, was in repeated:
        if followed in files and not fits(was, files[followed]):
            yield Due(study, folder, f"{followed.split('/')[-2]}, which it follows, has another record now")


@cache
def _content(plan: Plan, dataset: str) -> str | None:
    """The checksum of a prepared data set, None where it isn't prepared or can't be read."""
    try:
        with open(f"{plan.caches}/{dataset}/manifest.json", "rb") as file:
            return json.load(file)["checksum"]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _what_changed(plan: Plan, folder: str, study: str, dataset: str, model: str, strategy: str) -> str:
    """Settings if they differ, else source files."""
    made, now = json.loads(Path(folder, "manifest.json").read_bytes()), _planned(plan, study, dataset, model, strategy)
    if settings := of_settings(made["spec"], now):
        return some(settings)
    code = of_code(made["code"], checksums(closure(TRAINING, *plan.modules(study, model, strategy))))
    return f"other code: {some(code)}" if code else "its settings are written in another order"


@cache
def _planned(plan: Plan, study: str, dataset: str, model: str, strategy: str) -> dict:
    return plan.run(study, dataset, model, strategy, 0).model_dump(mode="json")
