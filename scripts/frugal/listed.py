"""Lists in a config: at least one entry, none of them twice."""

from collections import Counter
from collections.abc import Hashable, Sequence

from frugal.errors import FrugalError

MOST = 2**63 - 1  # torch takes no larger seed


def check_listed(names: Sequence[Hashable], key: str, what: str, where: str) -> None:
    """Raise FrugalError for an empty list, or one with an item twice. key: the list's, what: "study"; where: its place."""
    if not names:
        raise FrugalError(f"{where}: {key} is []; name at least one {what}, or leave the key out")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        told = " with ".join(name) if isinstance(name, tuple) else name
        raise FrugalError(f"{where}: {key} lists the {what} {told} {count} times; name it once")


def seeds_in(wanted: int | list[int], where: str) -> list[int]:
    """A number of seeds as a list of them. Raises FrugalError for none, one twice, or one that can't be."""
    seeds = list(range(wanted)) if isinstance(wanted, int) else wanted
    if not seeds:
        raise FrugalError(f"{where}: seeds is {wanted!r}; give a number of at least 1 or a list")
    check_listed(seeds, "seeds", "seed", where)
    if wrong := [seed for seed in seeds if not 0 <= seed <= MOST]:
        raise FrugalError(f"{where}: seeds lists {wrong[0]}; a seed is a whole number from 0 to {MOST}")
    return seeds
