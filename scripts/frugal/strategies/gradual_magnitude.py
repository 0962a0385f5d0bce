"""Gradual magnitude pruning: while the net trains, ever more of the smallest weights are held at zero.

Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model compression", 2017,
https://arxiv.org/abs/1710.01878. Every `every` steps each layer's smallest weights are masked, such that its sparsity is
    s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (t_f - t_0))^3
from t_0 to t_f, here shares of the training: fast at first, when many weights are redundant, and slowly at the end. Masked
weights get no gradient. There, they keep their value behind the mask; here it is zero, so that who is masked stays so.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le, Lt
from torch import nn

from frugal.pruning.connections import Connections
from frugal.sparse.convert import coverage
from frugal.strategies.base import Strategy, TrainingState


@dataclass
class GradualMagnitude(Strategy):
    """A masked weight is multiplied like any other: weights are saved, and neither FLOPs nor time.

    sparsity: s_f, share of a layer's weights at zero at last; initial: s_i; begin_at, until: t_0 and t_f, shares of the training;
    every: steps between changes; skip: layers that stay whole, as in the strategy sparse
    """

    decides = ("weights",)
    moves_weights: ClassVar[bool] = True
    ascending: ClassVar[tuple[tuple[str, str], ...]] = (("initial", "sparsity"), ("begin_at", "until"))

    sparsity: Annotated[float, Ge(0), Lt(1)] = 0.9
    initial: Annotated[float, Ge(0), Lt(1)] = 0.0
    begin_at: Annotated[float, Ge(0), Le(1)] = 0.0
    until: Annotated[float, Ge(0), Le(1)] = 0.75
    every: Annotated[int, Ge(1)] = 100
    skip: list[str] | None = None

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """Find the layers; raises FrugalError where there are none."""
        found = coverage(model, self.skip, self.model_builder and self.model_builder.use)
        self.covered, self.masks, self.share = found.note, Connections(list(found.covered)), 0.0
        self.total = sum(layer.weight.numel() for layer in found.covered.values())
        return model

    def wanted(self, progress: float) -> float:
        """s_t, of a layer. progress: share of the training done."""
        if progress < self.begin_at:
            return 0.0
        if progress >= self.until:
            return self.sparsity
        passed = (progress - self.begin_at) / (self.until - self.begin_at)
        return self.sparsity + (self.initial - self.sparsity) * (1 - passed) ** 3

    def before_step(self, training: TrainingState) -> None:
        """No gradient for what is masked, before gradients are clipped by their norm."""
        self.masks.apply_to_gradients(training.model)

    def after_step(self, training: TrainingState) -> None:
        """Mask more weights if this was the step for it, or the last chance."""
        wanted = self.wanted(training.progress)
        if wanted > self.share and (training.ledger.steps % self.every == 0 or training.progress >= self.until):
            self.share = wanted
            self.masks.mask(training.model, wanted)
        self.masks.apply(training.model)  # momentum of before would move them

    def left_out(self) -> tuple[int, int]:
        """None is gone; those that are masked are held at zero."""
        return 0, self.masks.masked

    @property
    def notes(self) -> list[str]:
        """What is masked, and what stays whole."""
        return [self.covered]

    def evidence(self) -> dict[str, float | None]:
        """Weights kept in the masked layers, and the share of them held at zero."""
        masked = self.masks.masked
        return {"kept_weights": self.total - masked, "sparsity": masked / self.total}

    def state_dict(self) -> dict[str, Any]:
        """The masks, and the sparsity they were made for."""
        return {"masks": self.masks.state_dict(), "share": self.share}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.masks.load_state_dict(state["masks"], self.run.device)
        self.share = state["share"]
