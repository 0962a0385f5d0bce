"""Labels as people have them, texts or numbers from anywhere, as classes numbered from 0."""

from typing import Any

import numpy as np

from frugal.data.cells import Words
from frugal.errors import FrugalError

FEWEST = 3  # rows per distinct value of a target, on average: with fewer it is a quantity or an id rather than a class
CLASSES = 20  # distinct values of a target that nobody doubts
SHOWN = 50  # names of classes in a manifest: ImageNet's would fill pages


def shown_names(names: list[str]) -> list[str]:
    """Those that a manifest names, by class number, and how many more there are."""
    return names if len(names) <= SHOWN else [*names[:SHOWN], f"... {len(names) - SHOWN:,} more"]


def numbered(values: Any, where: str, name: str, unit: str = "row") -> tuple[np.ndarray, list[str], list[str]]:
    """(n,) int64 class numbers, the classes' names in their order, and notes. Raises FrugalError for what is no class.

    values: (n,) texts, or numbers, which are sorted as such; where: they are from, name: what the file calls them, unit: in
    which it counts, from 1, all for messages
    """
    array = np.asarray(values)
    if array.dtype.kind in "fc":
        if (wrong := np.flatnonzero(~np.isfinite(array))).size:
            raise FrugalError(
                f"{where}, {unit} {wrong[0] + 1}: {name} is missing ({array[wrong[0]]}); give every row a class or remove it"
            )
        if (array.real == np.rint(array.real)).all() and array.dtype.kind == "f":
            array = array.astype(np.int64)
        else:
            raise FrugalError(
                quantity(where, name, len(np.unique(array)), len(array), array[array != np.rint(array.real)][0])
            )
    if array.dtype.kind in "iub":
        found, codes = np.unique(array, return_inverse=True)
        names, notes = [str(value) for value in found.tolist()], []
        codes = codes.astype(np.int64)
    else:
        words = Words(where, name, [], target=True, unit=unit)
        words.add([_text(value) for value in values], np.arange(1, len(array) + 1))
        codes, names, notes = words.named()
        codes = codes.astype(np.int64)
    refuse_what_is_no_class(names, len(codes), name, where)
    return codes, names, notes


def refuse_what_is_no_class(names: list[str], rows: int, target: str, where: str) -> None:
    """Raise FrugalError for a target with one value, or one that is hardly a class: a quantity or an id.

    names: its distinct values. Many values, most of them rare, or numbers with a fraction, are no classes.
    """
    if len(names) == 1:
        raise FrugalError(
            f"{where}: {target} is {names[0]!r} in every row: there is nothing to learn; name another target"
        )
    if len(names) <= CLASSES:
        return
    fractions = sum(_is_fraction(name) for name in names)
    if rows < FEWEST * len(names) or 2 * fractions > len(names):
        raise FrugalError(quantity(where, target, len(names), rows, names[len(names) // 2]))


def quantity(where: str, target: str, distinct: int, rows: int, example: Any) -> str:
    """Why a target is refused that is no class."""
    return (
        f"{where}: {target} has {distinct:,} distinct values in {rows:,} rows, such as {example!s:.40}: a "
        "quantity or an id, no class; nets are trained to classify here, not for regression: name another target, or "
        "make it a few ranges (low, middle, high) in the file"
    )


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)


def _is_fraction(name: str) -> bool:
    try:
        return not float(name).is_integer()
    except (ValueError, OverflowError):
        return False
