"""FLOPs of a net at other widths, from those of each of its layers at full width: no pass is counted again.

A convolution's or linear layer's FLOPs are in proportion to the size of its weight, those of attention itself to its live
heads, and nothing else that is counted changes with a width. For a search among hundreds of widths; what is recorded is
counted (`frugal.pruning.sizes.Sizes`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from frugal.pruning.groups import DENSE, Group


@dataclass
class Scaling:
    """Built from `counts`: FLOPs by the name of each module, "" for all; of which model and groups."""

    model: nn.Module
    groups: list[Group]
    counts: Mapping[str, int]
    constant: float = field(init=False)

    def __post_init__(self) -> None:
        self.layers = {
            name: (self.counts.get(name, 0), list(layer.weight.shape[:2]))
            for name, layer in self.model.named_modules()
            if isinstance(layer, DENSE) and self.counts.get(name)
        }
        self.attention = {
            group.name: self.counts.get(group.attention, 0)
            - sum(flops for name, (flops, _) in self.layers.items() if name.startswith(f"{group.attention}."))
            for group in self.groups
            if group.attention is not None
        }
        counted = sum(flops for flops, _ in self.layers.values()) + sum(self.attention.values())
        self.constant = self.counts[""] - counted

    def at(self, widths: dict[str, int]) -> float:
        """FLOPs at these widths of the groups."""
        sizes = {name: list(shape) for name, (_, shape) in self.layers.items()}
        total = self.constant
        for group in self.groups:
            gone = group.units - widths[group.name]
            for member in group.members:
                if member.tensor == "weight" and member.module in sizes:
                    sizes[member.module][member.dim] -= gone * member.places.shape[1]
            total += self.attention.get(group.name, 0) * widths[group.name] / group.units
        for name, (flops, (out, into)) in self.layers.items():
            total += flops * sizes[name][0] * sizes[name][1] / (out * into)
        return total
