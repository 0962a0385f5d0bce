"""Groups of neurons: the slices of tensors that belong to each neuron, and how a model is called on an example."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

DENSE = (nn.Linear, nn.Conv1d, nn.Conv2d)


@dataclass(frozen=True)
class Member:
    """The part of a group in one tensor.

    module, tensor: where it is, such as "layer1.0.conv1" and "weight"; dim: the dimension that shrinks; places: (units, n),
    for each unit the positions along it in the full model; reads: whether these are a layer's inputs rather than its outputs
    """

    module: str
    tensor: str
    dim: int
    places: Tensor
    reads: bool

    @property
    def key(self) -> tuple[str, str, int]:
        """The dimension it lies on, which other groups may share (a concatenation, say)."""
        return self.module, self.tensor, self.dim


@dataclass(frozen=True)
class Group:
    """Neurons that are removed together.

    name: of the first layer that produces them; units: how many there are in the full model; size: channels of one unit, 1
    or an attention head's; attention: name of the attention layer whose heads they are, or None
    """

    name: str
    units: int
    size: int
    members: tuple[Member, ...]
    attention: str | None = None

    @property
    def readers(self) -> list[Member]:
        """The weights that multiply what these neurons say."""
        return [member for member in self.members if member.reads]


def call(model: nn.Module, example: Any) -> Tensor:
    """The model's logits (b, classes). example: a tensor, or a mapping of the model's keyword arguments."""
    output = model(**example) if isinstance(example, dict) else model(example)
    return getattr(output, "logits", output)


def move(example: Any, device: torch.device | str) -> Any:
    """An example on a device."""
    return {k: v.to(device) for k, v in example.items()} if isinstance(example, dict) else example.to(device)
