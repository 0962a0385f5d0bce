"""Control for sparsity: a dense net of as many parameters, with all layers narrower. Does sparsity matter, or only the size?"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Lt
from torch import nn

from frugal.errors import FrugalError
from frugal.parameters import SparsityPattern
from frugal.sparse.convert import coverage, weight_matrix
from frugal.sparse.pattern import parse_pattern
from frugal.strategies.base import Strategy

HALVINGS = 24  # of the interval in which the scale of the widths is sought


@dataclass
class Narrow(Strategy):
    """Every width of the model is scaled by one factor, chosen so that parameters come closest to the sparse net's.

    match: sparsity of that net, in [0, 1); pattern, skip: its other settings, which decide how many parameters it keeps
    """

    decides = ("weights",)
    needs: ClassVar[dict[str, Any]] = {"widths": "it builds a narrower net"}

    match: Annotated[float, Ge(0), Lt(1)] = 0.5
    pattern: SparsityPattern = "random"
    skip: list[str] | None = None

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """The narrower model; raises FrugalError where the model's file names no widths."""
        builder = self.model_builder
        if not builder.widths:
            raise FrugalError(
                f"model {builder.use} can't be made narrower: its file names no WIDTHS; leave the control out"
            )
        self.wanted = self._parameters_of_the_sparse_net(model)
        counts: dict[str, tuple[int, dict[str, Any]]] = {}

        def count(scale: float) -> int:
            changed = builder.scaled(scale)
            if str(changed) not in counts:
                with torch.device("meta"):
                    net = builder.build(**changed)
                counts[str(changed)] = (sum(p.numel() for p in net.parameters()), changed)
            return counts[str(changed)][0]

        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if count(middle) < self.wanted else (low, middle)
        self.parameters, self.chosen = min(counts.values(), key=lambda pair: abs(pair[0] - self.wanted))
        where = next(model.parameters())
        return builder.build(**self.chosen).to(where.device, where.dtype, memory_format=torch.channels_last)

    def _parameters_of_the_sparse_net(self, model: nn.Module) -> int:
        pattern = parse_pattern(self.pattern)
        left_out = 0
        for layer in coverage(model, self.skip, self.model_builder.use).covered.values():
            shape = weight_matrix(layer)
            left_out += layer.weight.numel() - pattern.kept(shape, self.match) * pattern.block**2
        return sum(p.numel() for p in model.parameters()) - left_out

    @property
    def notes(self) -> list[str]:
        """The widths chosen, and how near they come."""
        widths = ", ".join(f"{name} {self.chosen[name]}" for name in self.model_builder.widths)
        return [f"narrow: {widths}: {self.parameters:,} parameters, the sparse net has {self.wanted:,}"]

    def evidence(self) -> dict[str, float | None]:
        """Parameters over the sparse net's."""
        return {"parameters_over_sparse": self.parameters / self.wanted}
