"""RigL: dynamic sparse training, which drops the smallest weights and grows others where the gradient is largest.

Evci et al., "Rigging the Lottery: Making All Tickets Winners", ICML 2020, https://arxiv.org/abs/1911.11134. Every
`every` steps each layer drops its smallest weights and grows as many where the dense gradient of that step is largest,
    fraction(t) = alpha / 2 * (1 + cos(pi t / T_end)),   alpha = 0.3,
of its weights until T_end, a share `until` of the training. Grown weights start at zero.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt
from torch import nn

from frugal.errors import FrugalError
from frugal.parameters import MovingPattern
from frugal.sparse.convert import kept_and_total, kernel_notes, kernels_of, restore_kernels, sparse_layers, sparsify
from frugal.sparse.dynamic import rewire
from frugal.sparse.pattern import parse_pattern
from frugal.strategies.base import Strategy, TrainingState


@dataclass
class RigL(Strategy):
    """Drop and grow: the number of weights is the same at every step, their places are not.

    pattern: random, or block-BxB, where whole blocks move; sparsity: share of a layer's weights left out, in [0, 1)
    every: steps between changes; until: share of the training after which the pattern stays; alpha: of the formula above
    kernel, skip: as in the strategy sparse
    distribution: uniform has every layer at the same sparsity, with the first convolution and the head dense; erk
    (Erdos-Renyi-kernel, `frugal.sparse.convert`) shares the same total among all layers, the first among them
    """

    decides = ("weights",)
    moves_weights: ClassVar[bool] = True
    needs: ClassVar[dict[str, Any]] = {
        "unscaled": "compares gradients that it takes in the backward pass",
        "blocks": "its blocks have to tile each layer",
    }

    pattern: MovingPattern = "random"
    sparsity: Annotated[float, Ge(0), Lt(1)] = 0.9
    every: Annotated[int, Ge(1)] = 100
    until: Annotated[float, Ge(0), Le(1)] = 0.75
    alpha: Annotated[float, Gt(0), Le(1)] = 0.3
    kernel: Literal["auto", "sparse", "scatter"] = "auto"
    skip: list[str] | None = None
    distribution: Literal["uniform", "erk"] = "uniform"

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """The net with sparse layers; raises FrugalError where the pattern doesn't fit it, or can't move."""
        pattern = parse_pattern(self.pattern)
        if pattern.of_four:
            raise FrugalError(
                "rigl can't keep two of every four while weights move; choose pattern random or block-BxB"
            )
        draws, called = self.run.generator("sparse"), self.model_builder and self.model_builder.use
        self.covered = sparsify(
            model, pattern, self.sparsity, draws, self.skip, self.kernel, True, called, self.distribution
        )
        self.model, self.moved = model, 0
        for layer in sparse_layers(model).values():
            layer.in_parts = self.run.accumulate > 1
        return model

    def fraction(self, progress: float) -> float:
        """Share of the weights that move. progress: share of the training done; nothing moves from `until` on."""
        if progress >= self.until:
            return 0.0
        return self.alpha / 2 * (1 + math.cos(math.pi * progress / self.until))

    def after_step(self, training: TrainingState) -> None:
        """Move weights if this was the step for it, and ask for the dense gradient one step ahead of the next."""
        layers = sparse_layers(self.model).values()
        for layer in layers:
            if layer.candidates is not None:
                self.moved += rewire(layer, training.optimizer)
                training.ledger.add_flops("scoring", 1, layer.dense_gradient_flops)
                layer.dense_gradient_flops = 0
        progress = training.progress
        due = (training.ledger.steps + 1) % self.every == 0 and progress < self.until
        for layer in layers:
            moving = round(self.fraction(progress) * len(layer.index)) if due else 0
            layer.grow = moving or None

    @property
    def notes(self) -> list[str]:
        """What is sparse, what stays dense, and each layer's kernel with the milliseconds it was chosen by."""
        return [self.covered, *kernel_notes(self.model)]

    def evidence(self) -> dict[str, float | None]:
        """Weights kept in the sparse layers, the share of them left out, and weights moved so far."""
        kept, total = kept_and_total(self.model)
        return {"kept_weights": kept, "sparsity": 1 - kept / total, "moved_weights": self.moved}

    def state_dict(self) -> dict[str, Any]:
        """The chosen kernels, what has moved, and what is due at the next step; values and pattern are the model's."""
        grow = {name: layer.grow for name, layer in sparse_layers(self.model).items()}
        return {"kernels": kernels_of(self.model), "moved": self.moved, "grow": grow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        restore_kernels(self.model, state["kernels"])
        self.moved = state["moved"]
        for name, layer in sparse_layers(self.model).items():
            layer.grow = state["grow"][name]
