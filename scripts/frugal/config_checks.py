"""Checks of a config that its schema can't make: lists, folders, followed strategies, batches that the data can't fill."""

import json
import os
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path

from frugal.errors import FrugalError, did_you_mean
from frugal.spec import DatasetSpec
from frugal.study_config import Pair, Scale, StudyConfig

MOST = 2**63 - 1  # torch takes no larger seed
MOST_SEEDS = 10_000  # of a cell: a slip of the keyboard would plan for hours without a word


def check_listed(names: Sequence[Hashable], key: str, what: str, where: str) -> None:
    """Raise FrugalError for an empty list, or one with an item twice. key: the list's, what: "study"; where: its place."""
    if not names:
        raise FrugalError(f"{where}: {key} is []; name at least one {what}, or leave the key out")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        told = " with ".join(name) if isinstance(name, tuple) else name
        raise FrugalError(f"{where}: {key} lists the {what} {told} {count} times; name it once")


def check_names(
    study: StudyConfig, scale: Scale, strategies: list[str], datasets: list[str], models: list[str], where: str
) -> None:
    """Raise FrugalError for what a scale lists twice or nobody knows, and for one that doesn't train the baseline.

    strategies: those of the scale; datasets, models: those there are; where: in the config, for the message
    """
    for names, key, what in (
        (strategies, "strategies", "strategy"),
        (scale.datasets, "datasets", "data set"),
        (scale.models, "models", "model"),
        ([(pair.dataset, pair.model) for pair in scale.tasks], "tasks", "pair"),
    ):
        if names:
            check_listed(names, key, what, where)
    for wanted, known, what in (
        ([pair.dataset for pair in scale.pairs], datasets, "data set"),
        ([pair.model for pair in scale.pairs], models, "model"),
        ([*strategies, study.baseline], list(study.strategies), "strategy"),
    ):
        for item in wanted:
            if item not in known:
                raise FrugalError(f"{where}: unknown {what} {item!r}; {did_you_mean(item, known)}")
    if study.baseline not in strategies:
        raise FrugalError(
            f"{where}: strategies lacks the baseline {study.baseline!r} that the others are compared to; add it"
        )


def seeds_in(wanted: int | list[int], where: str) -> list[int]:
    """A number of seeds as a list of them. Raises FrugalError for none, too many, one twice, or one that can't be."""
    if isinstance(wanted, int) and wanted > MOST_SEEDS:
        raise FrugalError(f"{where}: seeds is {wanted:,}; give a number of at most {MOST_SEEDS:,}, or a list")
    seeds = list(range(wanted)) if isinstance(wanted, int) else wanted
    if not seeds:
        raise FrugalError(f"{where}: seeds is {wanted!r}; give a number of at least 1 or a list")
    check_listed(seeds, "seeds", "seed", where)
    if wrong := [seed for seed in seeds if not 0 <= seed <= MOST]:
        raise FrugalError(f"{where}: seeds lists {wrong[0]}; a seed is a whole number from 0 to {MOST}")
    return seeds


def baseline_seeds_in(scale: Scale, seeds: list[int], where: str) -> list[int]:
    """The seeds that the baseline has of its own; none where it has those of the others.

    seeds: of the scale; where: its place, for the message. Raises FrugalError where the baseline would lack one in which others
    are compared with it.
    """
    if scale.baseline_seeds is None:
        return []
    if scale.grouped:
        raise FrugalError(
            f"{where}: grouped trains the same seeds of everything, so leave baseline_seeds out, or set grouped: false"
        )
    own = seeds_in(scale.baseline_seeds, where)
    others = set(seeds).union(*(seeds_in(pair.seeds, where) for pair in scale.tasks if pair.seeds))
    if lacking := sorted(others - set(own)):
        raise FrugalError(
            f"{where}: baseline_seeds lacks the seed {lacking[0]}, in which others are compared with the baseline; add it"
        )
    return own


def meant(path: str) -> str:
    """A path with its ~ replaced by the home folder, and without slashes that change nothing; raises ValueError for none.

    A path that begins with a variable, as $TMPDIR, stays as it is: each node has its own.
    """
    if not path.strip():
        raise ValueError("give the name of a folder")
    if set("{}") & set(path):
        raise ValueError("Snakemake reads what stands in braces as a wildcard; choose a path without them")
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise ValueError(
            f"there is no user {Path(expanded).parts[0].removeprefix('~')!r} whose home folder it could be"
        )
    return str(Path(expanded))


def check_followed(study: StudyConfig, strategies: list[str], one_job: bool, where: str) -> None:
    """Raise FrugalError for a control that follows itself, or a strategy that isn't there.

    strategies: those of the scale; one_job: whether all of them are trained by one job, which makes no others; where: in the
    config, for the message. A followed strategy that the study doesn't know is told elsewhere.
    """
    for name in strategies:
        followed, path = study.strategies[name].follows, [name]
        if one_job and followed in study.strategies and followed not in strategies:
            raise FrugalError(
                f"{where}: {name} follows {followed}, which is not among the strategies; add it, or set grouped: false"
            )
        while followed in study.strategies:
            path.append(followed)
            if followed in path[:-1]:
                raise FrugalError(
                    f"{where}: {' follows '.join(path)}; a control follows a strategy that doesn't follow it"
                )
            followed = study.strategies[followed].follows


def prepared_samples(folder: Path, dataset: DatasetSpec) -> int | None:
    """Training samples of the cache in a folder; None where there is none, or it was made from another description."""
    try:
        made = json.loads((folder / "manifest.json").read_bytes())
        shape = dataset.shape and list(dataset.shape)
        described = {"source": dataset.source, "shape": shape, "classes": dataset.classes}
        same = all(value is None or made[key] == value for key, value in described.items())
        # A share is counted class by class: that it is the same share is told by the entry.
        split = made["entry"] if dataset.validation < 1 else made["splits"]
        return int(made["splits"]["train"]) if same and split["validation"] == dataset.validation else None
    except (OSError, ValueError, KeyError, TypeError):  # whoever opens it says what is wrong with it
        return None


def check_batch(size: int, samples: int | None, folder: Path, where: str) -> None:
    """Raise FrugalError for a batch larger than the training set. folder: of the cache; where: in the config."""
    if samples is not None and size > samples:
        raise FrugalError(
            f"{where} has recipe.batch_size {size}, and the training set of {folder.name} holds {samples} samples; "
            f"lower it to that or less, or delete {folder} if the data has grown"
        )


def check_own_strategies(pair: Pair, study: StudyConfig, strategies: list[str], where: str) -> None:
    """Raise FrugalError for strategies of a pair that the scale hasn't, without the baseline, or without the one they follow."""
    if pair.strategies is None:
        return
    check_listed(pair.strategies, "strategies", "strategy", where)
    for name in pair.strategies:
        if name not in strategies:
            raise FrugalError(f"{where}: unknown strategy {name!r}; {did_you_mean(name, strategies)}")
        follows = study.strategies[name].follows
        if follows and follows not in pair.strategies:
            raise FrugalError(f"{where}: {name} follows {follows}, which its strategies lack; add it")
    if study.baseline not in pair.strategies:
        raise FrugalError(f"{where}: strategies lacks the baseline {study.baseline!r} that the others are compared to")


def check_groups(study: StudyConfig, where: str) -> None:
    """Raise FrugalError where a group of the figures names what isn't a strategy, the baseline, or a strategy twice."""
    seen: dict[str, str] = {study.baseline: "the baseline, which is in every panel"}
    for title, strategies in study.groups.items():
        for strategy in strategies:
            if strategy not in study.strategies:
                known = did_you_mean(strategy, list(study.strategies))
                raise FrugalError(f"{where}: groups.{title}: unknown strategy {strategy!r}; {known}")
            if strategy in seen:
                raise FrugalError(f"{where}: groups.{title}: {strategy!r} is already in {seen[strategy]}; name it once")
            seen[strategy] = f"the group {title!r}"


def check_writable(folder: Path, key: str) -> None:
    """Raise FrugalError where nothing can be written under a folder that may not be there yet."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    reason = "is a file" if not there.is_dir() else "can't be written" if not os.access(there, os.W_OK) else None
    if reason:
        raise FrugalError(f"{key} can't go to {folder}: {there} {reason}; choose another with --config {key}=<folder>")
