"""Sizes of a model, FLOPs and parameters, at any widths of its groups."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from frugal.pruning.finding import find_groups
from frugal.pruning.groups import DENSE, Group, call, move
from frugal.pruning.removal import Neurons


@dataclass
class Scaling:
    """FLOPs of a net at other widths, from those of each of its layers at full width: no pass is counted again.

    A convolution's or linear layer's FLOPs are in proportion to the size of its weight, those of attention itself to its live
    heads, and nothing else that is counted changes with a width. For a search among hundreds of widths; what is recorded is
    counted, by `Sizes`. counts: FLOPs by the name of each module, "" for all
    """

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


class Sizes:
    """FLOPs and parameters of a model at any widths of its groups, counted on an empty copy."""

    def __init__(self, model: nn.Module, example: Any):
        self.found = find_groups(model, example)
        self.groups = self.found.groups
        self.first, self.example = example, move(example, "meta")
        self.blank = copy.deepcopy(model).to("meta").eval()
        self._scaling: Scaling | None = None
        self._known: dict[tuple[int, ...], tuple[int, int]] = {}
        self.full = self.at({group.name: group.units for group in self.groups})

    def at(self, widths: dict[str, int]) -> tuple[int, int]:
        """FLOPs of a forward pass of one sample (a multiplication and an addition are two), and the number of parameters."""
        key = tuple(widths[group.name] for group in self.groups)
        if key not in self._known:
            twin = copy.deepcopy(self.blank)
            Neurons(self.groups, twin).keep(twin, {name: torch.arange(width) for name, width in widths.items()})
            flops = self._count(twin)[""] // self._samples
            self._known[key] = (flops, sum(p.numel() for p in twin.parameters()))
        return self._known[key]

    @property
    def _samples(self) -> int:
        return len(next(iter(self.example.values())) if isinstance(self.example, dict) else self.example)

    def _count(self, twin: nn.Module) -> dict[str, int]:
        """FLOPs of a pass of the example by the name of each module, "" for all of them."""
        try:
            counter = self._counted(twin, self.example)
        except Exception:  # a net that asks its inputs for a value needs some
            twin, example = twin.to_empty(device="cpu"), move(self.first, "cpu")
            with torch.no_grad():
                for tensor in (*twin.parameters(), *twin.buffers()):
                    tensor.zero_()
            counter = self._counted(twin, example)
        root = f"{type(twin).__name__}."
        counts = {name.removeprefix(root): sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
        return counts | {"": counter.get_total_flops()}

    @staticmethod
    def _counted(twin: nn.Module, example: Any) -> FlopCounterMode:
        with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            call(twin, example)
        return counter

    def share(self, widths: dict[str, int]) -> float:
        """FLOPs at these widths as a share of the full model's, scaled from its layers' without counting a pass."""
        if self._scaling is None:
            self._scaling = Scaling(self.blank, self.groups, self._count(copy.deepcopy(self.blank)))
        return self._scaling.at(widths) / self._scaling.counts[""]
