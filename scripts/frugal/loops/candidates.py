"""Candidates: batches of any structure, of which a strategy chooses samples that wait until they fill a batch.

A batch is a tensor, or tuples, lists and dicts of them, each with the samples along its first dimension.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from frugal.errors import FrugalError


@dataclass
class Due:
    """What is known of a batch that the loop trains on next.

    whole: (b,) int64, its samples, of all ranks; mine: (m,), those of this rank; weight: (m,) or None, multiplies their losses
    """

    whole: Tensor
    mine: Tensor
    weight: Tensor | None


@dataclass
class Waiting:
    """Chosen samples, the longest waiting first: of each batch they came from its tensors, then their indices and weights.

    like: the structure of those batches, with empty tensors
    """

    parts: list[list[Tensor]] = field(default_factory=list)
    like: Any = None

    def add(self, batch: Any, due: Due, chosen: Tensor, weight: Tensor | None) -> None:
        """Keep the samples at the chosen positions (m,); weight: (m,), multiplies those of the batch, or None."""
        if len(chosen) == 0:
            return
        known = torch.ones(len(due.mine), device=due.mine.device) if due.weight is None else due.weight
        *kept, weights = (part.index_select(0, chosen) for part in [*tensors_of(batch), due.mine, known])
        self.parts.append([*kept, weights if weight is None else weights * weight])
        self.like = with_tensors(batch, repeat(torch.empty(0)))

    def full(self, size: int) -> bool:
        """Whether there is a batch to take."""
        counts: dict[tuple, int] = {}
        for parts in self.parts:
            counts[_shapes(parts)] = counts.get(_shapes(parts), 0) + len(parts[-1])
        return any(count >= size for count in counts.values())

    def take(self, size: int) -> tuple[Any, Due] | None:
        """A full batch in the structure of those added, or None where fewer than `size` wait: of tensors of one shape each."""
        for shapes in dict.fromkeys(_shapes(parts) for parts in self.parts):
            own = [parts for parts in self.parts if _shapes(parts) == shapes]
            if sum(len(parts[-1]) for parts in own) < size:
                continue
            whole = [torch.cat(column) for column in zip(*own, strict=True)]
            rest = [part[size:] for part in whole]
            others = [parts for parts in self.parts if _shapes(parts) != shapes]
            self.parts = ([rest] if len(rest[-1]) else []) + others
            *kept, indices, weight = (part[:size] for part in whole)
            return with_tensors(self.like, iter(kept)), Due(indices, indices, weight)
        return None

    def state_dict(self) -> dict[str, Any]:
        """What waits, and in which structure: a loop that is resumed may have no other batch to tell it."""
        return {"parts": list(self.parts), "like": self.like}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """The counterpart of `state_dict`."""
        self.parts, self.like = [[part.to(device) for part in parts] for parts in state["parts"]], state["like"]


def _shapes(parts: list[Tensor]) -> tuple:
    return tuple(part.shape[1:] for part in parts)


def tensors_of(batch: Any) -> list[Tensor]:
    """Its tensors, (b, ...) each, in a fixed order; raises FrugalError for a batch that holds anything else."""
    if isinstance(batch, Tensor):
        return [batch]
    if not isinstance(batch, tuple | list | Mapping):
        raise FrugalError(
            f"select: a batch holds a {type(batch).__name__}; let it be tensors, in tuples, lists and dicts, with the samples "
            "along their first dimension"
        )
    inner = batch.values() if isinstance(batch, Mapping) else batch
    return [tensor for one in inner for tensor in tensors_of(one)]


def with_tensors(batch: Any, tensors: Iterator[Tensor]) -> Any:
    """The structure of a batch with other tensors, (b, ...) each, in the order of `tensors_of`."""
    if isinstance(batch, Tensor):
        return next(tensors)
    if isinstance(batch, Mapping):
        return {name: with_tensors(one, tensors) for name, one in batch.items()}
    made = [with_tensors(one, tensors) for one in batch]
    return made if isinstance(batch, list) else type(batch)(*made) if hasattr(batch, "_fields") else tuple(made)


def answer(model: torch.nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
    """Logits (b, classes) and labels (b,) of a batch that is (inputs, labels, ...), or a dict with `labels`, as in transformers.

    Raises FrugalError for any other.
    """
    if isinstance(batch, Mapping) and "labels" in batch:
        return model(**{name: one for name, one in batch.items() if name != "labels"}).logits, batch["labels"]
    if isinstance(batch, tuple | list) and len(batch) > 1:
        return model(batch[0]), batch[1]
    raise FrugalError(
        "select: a batch is neither (inputs, labels, ...) nor a dict with labels; give score=, a function that takes a batch and "
        "returns logits and labels"
    )


def shrunk(batch: Any) -> Any:
    """(inputs, ...) with its images (b, C, H, W) at half their size. Raises FrugalError where the first isn't images."""
    if not isinstance(batch, tuple | list) or batch[0].dim() != 4:
        raise FrugalError(
            "select: scoring half shrinks images, and a batch isn't (images, labels, ...); choose scoring='fresh'"
        )
    return [functional.avg_pool2d(batch[0], 2, ceil_mode=True), *batch[1:]]
