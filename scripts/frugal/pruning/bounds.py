"""Limits on `torch-pruning`: an operation that it can't analyse neither stops the tracing of a whole net nor fills the memory.

It takes a chunk or a reshape apart by rules that fit most nets. Where one doesn't fit, it raises, or multiplies the places of
a channel each time it comes round, until memory is full (ShuffleNetV2, Swin).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest import mock

from frugal.errors import needs_extra

with needs_extra("pruning", "strategies that remove neurons"):
    from torch_pruning.dependency import index_mapping
    from torch_pruning.dependency.group import Group


STEPS = 10_000  # from layer to layer in one group; DenseNet-121 takes some hundred


@contextmanager
def bounded(longest: int) -> Iterator[None]:
    """Within it, the library takes an operation it fails on for an activation, and raises OverflowError where it runs away.

    longest: of the model's dimensions; a group can't have more places than that in any of them
    """
    follow, spread = Group.add_dep, index_mapping._FlattenIndexMapping.__call__

    def add(group: Group, dep: Any, idxs: list[Any]) -> None:
        if len(idxs) > longest or len(group) > STEPS:
            raise OverflowError("their places grow without end")
        follow(group, dep, idxs)

    def flatten(mapping: Any, idxs: list[Any]) -> list[Any]:
        if not mapping.reverse and len(idxs) * mapping._stride > longest:
            raise OverflowError("their places grow without end")
        return spread(mapping, idxs)

    updates = {k: v for k, v in vars(index_mapping).items() if k.startswith("update_") and k != "update_index_mapping"}
    with (
        mock.patch.multiple(index_mapping, **{name: _attempt(update) for name, update in updates.items()}),
        mock.patch.object(Group, "add_dep", add),
        mock.patch.object(index_mapping._FlattenIndexMapping, "__call__", flatten),
    ):
        yield


def _attempt(update: Callable[..., None]) -> Callable[..., None]:
    def attempt(*given: Any) -> None:
        with suppress(Exception):  # of any kind; the trial tells what comes of it
            update(*given)

    return attempt
