"""SET: sparse evolutionary training, which drops the weights nearest to zero after each epoch and grows others at random.

Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse connectivity inspired by network science",
Nature Communications 2018, https://arxiv.org/abs/1707.04780. After each epoch but the last, each layer drops a share zeta of
its smallest positive weights and the same share of its largest negative ones, and as many grow at random places that are
free. The paper's layers are Erdos-Renyi graphs, of which erk is the form for convolutions.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn

from frugal.sparse.convert import kept_and_total, kernel_notes, kernels_of, restore_kernels, sparse_layers, sparsify
from frugal.sparse.dynamic import move
from frugal.sparse.layers import SparseLayer
from frugal.sparse.pattern import Pattern
from frugal.strategies.base import Strategy, TrainingState


@dataclass
class SET(Strategy):
    """Single weights move, and the number of each layer's stays. Grown weights start at zero, as RigL's do.

    sparsity: share of all weights left out, in [0, 1); zeta: share of a layer's weights that move after an epoch
    kernel, skip: as in the strategy sparse; distribution: as in rigl
    """

    decides = ("weights",)
    moves_weights: ClassVar[bool] = True

    sparsity: Annotated[float, Ge(0), Lt(1)] = 0.9
    zeta: Annotated[float, Ge(0), Lt(1)] = 0.3
    kernel: Literal["auto", "sparse", "scatter"] = "auto"
    skip: list[str] | None = None
    distribution: Literal["uniform", "erk"] = "erk"

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """The net with sparse layers; raises FrugalError where none is left to be sparse."""
        draws, called = self.run.generator("sparse"), self.model_builder and self.model_builder.use
        self.covered = sparsify(
            model, Pattern(), self.sparsity, draws, self.skip, self.kernel, True, called, self.distribution
        )
        self.model, self.moved, self.draws = model, 0, self.run.generator("set")
        return model

    def after_epoch(self, training: TrainingState) -> None:
        """Move weights, unless the training is over: a weight that has just grown is zero and would stay so."""
        if training.progress >= 1:
            return
        for layer in sparse_layers(self.model).values():
            kept = survivors(layer.values.detach(), self.zeta)
            self.moved += move(layer, training.optimizer, kept, self._drawn(layer, kept))

    def _drawn(self, layer: SparseLayer, kept: Tensor) -> Tensor:
        """Units at random among those that are free once only `kept` is left, as many as were dropped; on all ranks the same."""
        free = torch.ones(layer.dense_weights, dtype=torch.bool)
        free[layer.index[kept].long().cpu()] = False
        places = free.nonzero().squeeze(1)
        drawn = places[torch.randperm(len(places), generator=self.draws)[: len(layer.index) - len(kept)]]
        return drawn.to(layer.index)

    @property
    def notes(self) -> list[str]:
        """What is sparse, what stays dense, and each layer's kernel with the milliseconds it was chosen by."""
        return [self.covered, *kernel_notes(self.model)]

    def evidence(self) -> dict[str, float | None]:
        """Weights kept in the sparse layers, the share of them left out, and weights moved so far."""
        kept, total = kept_and_total(self.model)
        return {"kept_weights": kept, "sparsity": 1 - kept / total, "moved_weights": self.moved}

    def state_dict(self) -> dict[str, Any]:
        """The chosen kernels, the draws to come, and what has moved; values and pattern are the model's."""
        return {"kernels": kernels_of(self.model), "draws": self.draws.get_state(), "moved": self.moved}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        restore_kernels(self.model, state["kernels"])
        self.draws.set_state(state["draws"])
        self.moved = state["moved"]


def survivors(values: Tensor, zeta: float) -> Tensor:
    """Positions that stay, ascending: without a share zeta of the smallest positive and of the largest negative values (kept,).

    A value of exactly zero counts as the smallest of the positive ones.
    """
    positive, negative = (values >= 0).nonzero().squeeze(1), (values < 0).nonzero().squeeze(1)
    stays = torch.ones_like(values, dtype=torch.bool)
    for places in (positive, negative):
        order = values[places].abs().argsort(stable=True)
        stays[places[order[: int(zeta * len(places))]]] = False
    return stays.nonzero().squeeze(1)
