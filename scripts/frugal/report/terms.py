"""Whether all runs of a comparison had the same terms: machine, meters, code, data, recipe, counting, a whole baseline."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from frugal.costs import held_equal
from frugal.differences import some
from frugal.recipe import DEFAULTS
from frugal.record import PRECISION_CHOSEN
from frugal.report.findings import Finding, names_of
from frugal.report.machines import machine_of, told_apart
from frugal.report.records import Record
from frugal.study import Study, epochs_of, merged

RECIPE = "another recipe than the baseline"
NOT_COUNTED = "FLOPs not counted alike"
LESS = "baseline left out samples"
UNLIKE = "control of another cost"
SET = "what the recipe says"

NEARLY = 0.02  # a control may differ by this much from the run that it repeats


def unlike(study: Study, compared: list[Record]) -> Iterable[Finding]:
    """Runs whose terms are not those of the others."""
    yield from _hardware(compared)
    yield from _meters(compared)
    yield from _precision(compared)
    yield from _code(compared)
    yield from _data(compared)
    yield from _recipes(study, compared)
    yield from _flops(study.baseline, compared)
    yield from _whole(study.baseline, compared)
    yield from _controls(study, compared)


def own_recipe(baseline: dict[str, Any], recipe: dict[str, Any]) -> str:
    """What a recipe has that the baseline's has not, "epochs 32 (baseline 16), ..."; empty where they are the same.

    Of a section, such as augment, the keys that differ: "augment.mixup 0.2 (baseline None)".
    """
    unset = "not set"
    baseline, recipe = _flat(baseline), _flat(recipe)
    return ", ".join(
        f"{key} {recipe.get(key, unset)} (baseline {baseline.get(key, unset)})"
        for key in {**baseline, **recipe}
        if recipe.get(key, unset) != baseline.get(key, unset)
    )


def _flat(recipe: dict[str, Any]) -> dict[str, Any]:
    flat = {}
    for key, value in recipe.items():
        flat |= {f"{key}.{name}": inner for name, inner in value.items()} if isinstance(value, dict) else {key: value}
    return flat


def recipe_of(run: Record) -> dict[str, Any]:
    """The recipe that a run's record says. A key younger than the record has its default, which is what training did before."""
    return merged(DEFAULTS, run.manifest.spec.get("recipe", {}))


def _recipes(study: Study, compared: Sequence[Record]) -> Iterable[Finding]:
    """A run of a budget has its share of the epochs; all else is as the baseline has it."""
    base = next((run for run in compared if run.cell.strategy == study.baseline), None)
    shares = {name: share for budgets in study.budgets.values() for name, share in budgets.items()}
    differing = defaultdict(list)
    for run in compared:
        if base is None:
            continue
        expected, share = recipe_of(base), shares.get(run.cell.strategy, 1)
        if share != 1 and "epochs" in expected:
            expected = expected | {"epochs": epochs_of(expected["epochs"], share)}
        if told := own_recipe(expected, recipe_of(run)):
            differing[told].append(run)
    for told, runs in differing.items():
        yield RECIPE, names_of(runs), f"{told}: add a baseline with that recipe, or its gain may be the recipe's"


def _flops(baseline: str, compared: Sequence[Record]) -> Iterable[Finding]:
    """FLOPs that one run has and another hasn't, or that leave out other operators."""
    base = [run for run in compared if run.cell.strategy == baseline]
    if not base:
        return
    known, partly = base[0].metrics.flops_executed is not None, _uncounted(base[0])
    for run in compared:
        source = run.metrics.flops_source or "no reason given"
        if (run.metrics.flops_executed is not None) != known:
            told = f"null where the baseline's are known ({source})" if known else "known where the baseline's are null"
            yield NOT_COUNTED, names_of([run]), f"flops_executed: {told}; compare no FLOPs with this run"
        elif _uncounted(run) - partly:
            told = f"counted without {', '.join(sorted(_uncounted(run) - partly))}, of which the baseline has none"
            yield NOT_COUNTED, names_of([run]), f"{told}: it did more than its FLOPs say; register a formula for them"


def _uncounted(run: Record) -> set[str]:
    """Names of operators that the counter had no formula for."""
    parts = [
        part.split("without ", 1)[1] for part in (run.metrics.flops_source or "").split("; ") if "without " in part
    ]
    return {word.split(" (")[0] for part in parts for word in part.split(", ") if "::" in word}


def _whole(baseline: str, compared: Sequence[Record]) -> Iterable[Finding]:
    """A baseline that doesn't see every training sample in every epoch; one that is a strategy of its own is another's matter."""
    for run in compared:
        if run.cell.strategy != baseline or run.manifest.samples is None:
            continue
        whole, least = run.manifest.samples["train"], int(run.history["samples"].min())
        size = recipe_of(run).get("batch_size", 0)
        if least < whole - size:  # the last batch of an epoch may be left out where it isn't full
            told = f"an epoch of it has {least:,} of {whole:,} training samples"
            yield LESS, names_of([run]), f"{told}: what the others save is measured against less than all"


def _controls(study: Study, compared: Sequence[Record]) -> Iterable[Finding]:
    """A control that repeats the counts of another run has as many samples, and one of equal cost spent as much."""
    found = {(run.cell.strategy, run.seed): run for run in compared}
    for control, leader in study.follows.items():
        for seed in study.seeds:
            mine, theirs = found.get((control, seed)), found.get((leader, seed))
            if mine is None or theirs is None or mine.metrics.charged_samples_forwarded:
                continue  # who is charged with the other run uses its scores and repeats nothing
            strategy = mine.manifest.spec.get("strategy", {})
            alike = held_equal(strategy.get("use"), strategy.get("parameters", {}))
            cost = alike or "samples_backpropagated"
            ours, wanted = (getattr(run.metrics, cost) for run in (mine, theirs))
            if not alike:  # as many samples as it was trained on
                wanted -= theirs.metrics.charged_samples_backpropagated or 0
            step = (wanted or 0) / max(1, theirs.metrics.steps)  # a training is cut between two steps, not within one
            if ours is None or wanted is None or abs(ours - wanted) > max(NEARLY * wanted, step):
                what = "samples back-propagated" if cost == "samples_backpropagated" else cost
                told = f"{_told(ours)} {what}, {leader}, which it repeats, has {_told(wanted)}"
                yield UNLIKE, names_of([mine]), f"{told}: it is no control of equal cost"


def _told(amount: float | None) -> str:
    return "null" if amount is None else f"{amount:,}" if isinstance(amount, int) else f"{amount:,.4g}"


def _differing(compared: list[Record], finding: str, key: str, value_of: dict[str, str]) -> Iterable[Finding]:
    """A finding where the runs don't share one value; names the runs outside the most common one."""
    for runs, other, common, count in _uncommon(compared, value_of):
        yield finding, names_of(runs), f"{key} {other}, where {count} other runs have {common}"


def _uncommon(compared: list[Record], value_of: dict[str, str]) -> Iterable[tuple[list[Record], str, str, int]]:
    """The runs of each value but the most common one, with their value, the most common one, and how many runs have that."""
    groups = defaultdict(list)
    for record in compared:
        groups[value_of[names_of([record])]].append(record)
    common, *others = sorted(groups, key=lambda value: -len(groups[value])) or [""]
    for other in others:
        yield groups[other], other, common, len(groups[common])


def _hardware(compared: list[Record]) -> Iterable[Finding]:
    machines = {names_of([record]): machine_of(record) for record in compared}
    for runs, other, common, count in _uncommon(compared, machines):
        told = f"machine: {told_apart(other, common, count)}"
        yield (
            "different hardware",
            names_of(runs),
            f"{told}; seconds and joules are told of the baseline's machine alone",
        )


def _meters(compared: list[Record]) -> Iterable[Finding]:
    """Joules of the CPU alone and joules of CPU, memory and GPU are not the same quantity."""
    metered = [record for record in compared if record.metrics.energy_joules is not None]
    sources = {names_of([record]): record.metrics.energy_source for record in metered}
    yield from _differing(metered, "different meters", "energy_joules by", sources)


def _precision(compared: list[Record]) -> Iterable[Finding]:
    """What `precision: auto` came to: a machine that chose another one rounds otherwise, which no recipe shows."""
    chosen = {names_of([record]): SET for record in compared}
    for record in compared:
        for note in record.manifest.notes:
            if note.startswith(PRECISION_CHOSEN):
                chosen[names_of([record])] = note.removeprefix(PRECISION_CHOSEN).split(",")[0]
    yield from _differing(compared, "different precision", "numbers of", chosen)


def _code(compared: list[Record]) -> Iterable[Finding]:
    """A module that two runs share but in different versions; that strategies import different modules is no finding."""
    modules = sorted({path for record in compared for path in record.manifest.code})
    apart = defaultdict(list)
    for module in modules:
        using = [record for record in compared if module in record.manifest.code]
        versions = {names_of([record]): record.manifest.code[module][:12] for record in using}
        for finding, runs, detail in _differing(using, "different code", f"{module} has checksum", versions):
            apart[finding, runs].append(detail)
    for (finding, runs), details in apart.items():  # one finding for each set of runs, not for each file
        yield finding, runs, some(details)
    packages = {names_of([record]): json.dumps(record.manifest.versions, sort_keys=True) for record in compared}
    yield from _differing(compared, "different packages", "versions", packages)


def _data(compared: list[Record]) -> Iterable[Finding]:
    checksums = {names_of([record]): record.manifest.data_checksum[:12] for record in compared}
    yield from _differing(compared, "different data", "data checksum", checksums)
