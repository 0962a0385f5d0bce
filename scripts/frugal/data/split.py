"""Splits of a data set: a part is taken off by a fixed seed, in equal shares of each class; a folder is in one split only."""

from itertools import combinations
from pathlib import Path

import numpy as np

from frugal.errors import FrugalError, needs_extra

with needs_extra("data", "splits of a data set"):
    from sklearn.model_selection import train_test_split


def split_off(labels: np.ndarray, samples: int, seed: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions (rest, part) with `samples` of them in part, both ascending: the data stays in its published order.

    Every class is in the rest, which is trained on. One with a single sample is there only; one with few may be.
    labels: (n,) int64; where: what is split, for the error. Raises FrugalError where a stratified split isn't possible.
    """
    found, counts = np.unique(labels, return_counts=True)
    if not len(found) <= samples <= len(labels) - len(found):
        rare = ", ".join(f"{found[n]} ({counts[n]:,})" for n in np.argsort(counts, kind="stable")[:5])
        raise FrugalError(
            f"{where} is {samples} of {len(labels)} samples; choose from {len(found)} to {len(labels) - len(found)}, "
            f"so that every class can be on both sides; the rarest classes (samples) are {rare}"
        )
    single = np.isin(labels, found[counts == 1])
    pool = np.flatnonzero(~single)
    if samples > len(pool) - len(found[counts > 1]):
        raise FrugalError(
            f"{where} is {samples}, but {int(single.sum())} classes have a single sample, which is trained on; choose at most "
            f"{max(0, len(pool) - len(found[counts > 1]))}"
        )
    rest, part = train_test_split(pool, test_size=samples, random_state=seed, stratify=labels[pool])
    rest, part = _every_class_trained(labels, np.sort(np.concatenate([rest, np.flatnonzero(single)])), np.sort(part))
    return rest, part


def divided(
    labels: np.ndarray, test: float, seed: int, first: int | None = None
) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """Positions (training, test), and what the manifest says of a test set that was split off here.

    labels: (n,) int64; first: how many of them are the training set where somebody has split them, the others being the test set;
    test: else a share below 1, of at least one sample for each class, or a number of samples. Raises FrugalError where no
    stratified split is possible.
    """
    if first is not None:
        return *np.split(np.arange(len(labels)), [first]), {}
    if test != int(test) and test > 1:
        raise FrugalError(f"option test is {test}; give a number of samples, or a share of them below 1")
    train, tested = split_off(labels, counted(test, labels), seed, "option test")
    note = f"{len(tested):,} of {len(labels):,} samples, in equal shares of every class, by test_seed {seed}"
    return train, tested, {"test set": note}


def counted(part: float, labels: np.ndarray) -> int:
    """Samples of a part: a number as it is, of a share below 1 at least as many as there are classes. labels: (n,) int64"""
    return max(round(part * len(labels)), len(np.unique(labels))) if part < 1 else int(part)


def _every_class_trained(labels: np.ndarray, rest: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exchange samples where rounding has put all of a small class into the part; most often nothing changes."""
    for label in np.setdiff1d(labels[part], labels[rest]):
        back = part[labels[part] == label][0]
        classes, counts = np.unique(labels[rest], return_counts=True)
        away = rest[labels[rest] == classes[counts.argmax()]][0]
        rest, part = np.sort(np.append(rest[rest != away], back)), np.sort(np.append(part[part != back], away))
    return rest, part


def absent(splits: dict[str, np.ndarray], classes: int) -> list[str]:
    """Notes on classes that validation or test have no sample of. splits: labels (n,) of each by name."""
    notes = []
    for part, labels in splits.items():
        if missing := sorted(set(range(classes)) - set(np.unique(labels).tolist())):
            told = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            notes.append(
                f"{part}: no sample of {len(missing)} of {classes} classes, so it says nothing of them: {told}"
            )
    return notes


def keep_apart(places: list[tuple[str, Path]], advice: str) -> None:
    """Raise FrugalError where a file or folder is named for two splits, twice for one, or lies in one that is named.

    places: (option it was named by, path), all of which are read; links are followed.
    """
    real = [(option, path, path.resolve()) for option, path in places]
    for (one, path, first), (other, _, second) in combinations(real, 2):
        if first == second:
            if one == other:
                raise FrugalError(f"{path} is named twice for {one}, so its samples would count twice; name it once")
            raise FrugalError(
                f"{path} is named for {one} and for {other}, so the same samples would be in both; {advice}"
            )
        if first in second.parents or second in first.parents:
            outer, inner = (first, second) if first in second.parents else (second, first)
            if one == other:
                raise FrugalError(
                    f"{inner} lies in {outer}, and both are named for {one}, so its samples would count twice; name one of them"
                )
            raise FrugalError(
                f"{inner}, named for {one if inner == first else other}, lies in {outer}, named for "
                f"{other if inner == first else one}, so the same samples would be in both; {advice}"
            )
