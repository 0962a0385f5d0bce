"""Groups of a model that can be cut, and the others with the reason: traced, then tried out."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from frugal.errors import FrugalError
from frugal.pruning.groups import Group
from frugal.pruning.tracing import trace
from frugal.pruning.trial_cuts import try_out


@dataclass(frozen=True)
class Found:
    """groups: in the order of the model's layers; whole: by the name of a group that stays as it is, the reason."""

    groups: list[Group]
    whole: dict[str, str]

    @property
    def notes(self) -> list[str]:
        """A sentence for each reason with the groups it holds for."""
        named: dict[str, list[str]] = {}
        for name, reason in self.whole.items():
            named.setdefault(reason, []).append(name)
        return [
            f"pruning: left whole: {', '.join(names)} and the layers that share {'its' if len(names) == 1 else 'their'} "
            f"channels: {reason}"
            for reason, names in named.items()
        ]


def find_groups(model: nn.Module, example: Any) -> Found:
    """Every group that can be cut, in the order of the model's layers, and every other one.

    example: a batch of at least two samples of the kind the model takes; the model is copied, not touched. Raises
    FrugalError where there is nothing to cut.
    """
    with undisturbed():
        traced, whole = trace(model, example)
        groups, changed = try_out(model, example, traced)
    if not groups:
        found = Found([], whole | changed)
        why = "; ".join(note.removeprefix("pruning: ") for note in found.notes)
        raise FrugalError(
            f"{type(model).__name__} has no neurons that could be removed: "
            f"{why or 'no convolution or linear layer is read by another'}; choose another model or strategy full"
        )
    return Found(groups, whole | changed)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the CPU's random states of torch, NumPy and Python as they were."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
