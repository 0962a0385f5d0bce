"""Proxy: the same net with narrower layers, trained ahead, tells how hard each sample is in each epoch; a scoring run.

As in Jordan, cifar10-airbench, `airbench96_faster.py`, https://github.com/KellerJordan/cifar10-airbench, whose small net leaves
a mask for each batch of the large one. That one trains on the harder half of a batch, and in every fourth step only; this one on
every sample in every step. It is charged in full to whoever uses its scores, which `proxy_filter` is made for. Coleman et
al., "Selection via Proxy: Efficient Data Selection for Deep Learning", ICLR 2020, https://arxiv.org/abs/1906.11829.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor, nn

from frugal.errors import FrugalError
from frugal.strategies.base import Run, Strategy, TrainingState


@dataclass
class Proxy(Strategy):
    """Train a narrower net on everything; a sample's score in an epoch is the loss it had when that epoch trained on it.

    width: factor of every width of the model, in (0, 1]; passes: epochs, by default those of the recipe
    """

    decides = ("samples", "weights")
    tells = ("scores",)
    needs: ClassVar[dict[str, Any]] = {"widths": "it trains a narrower net"}

    width: Annotated[float, Gt(0), Le(1)] = 0.5
    passes: Annotated[int, Ge(1)] | None = None

    def start(self, run: Run) -> None:
        """Raises FrugalError for a training that doesn't visit every sample."""
        super().start(run)
        if (self.passes or run.epochs) < 1:
            raise FrugalError(f"proxy: {run.epochs:g} epochs don't visit every sample; train for one at least")
        self.losses: list[Tensor] = []  # (n,) of each epoch
        self.done = 0.0

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """The narrower net; raises FrugalError where the model's file names no widths."""
        builder = self.model_builder
        if not builder.widths:
            raise FrugalError(
                f"model {builder.use} can't be made narrower: its file names no WIDTHS; choose another model"
            )
        self.chosen, where = builder.scaled(self.width), next(model.parameters())
        narrow = builder.build(**self.chosen)
        self.parameters = sum(p.numel() for p in narrow.parameters())
        self.share = self.parameters / sum(p.numel() for p in model.parameters())
        return narrow.to(where.device, where.dtype, memory_format=torch.channels_last)

    def length(self, planned: float, training: TrainingState) -> float:
        """The recipe's, or as many as `passes`."""
        return self.passes or planned

    def settled_since(self) -> None:
        """Early stopping doesn't end it: every epoch of the large net has one of this."""

    def after_epoch(self, training: TrainingState) -> None:
        """Keep the losses that the samples had in it."""
        self.losses.append(training.losses.cpu().clone())
        self.done = training.position

    @property
    def notes(self) -> list[str]:
        """The widths, and what they make of the net."""
        widths = ", ".join(f"{name} {self.chosen[name]}" for name in self.model_builder.widths)
        return [f"proxy: {widths}: {self.parameters:,} parameters, {self.share:.3g} of the whole net's"]

    def evidence(self) -> dict[str, float | None]:
        """Parameters over those of the whole net, and passes over the whole data so far."""
        return {"parameters_over_whole": self.share, "passes": self.done}

    def sample_scores(self) -> Tensor | None:
        """(n, epochs) losses in nats."""
        return torch.stack(self.losses, 1) if self.losses else None

    def state_dict(self) -> dict[str, Any]:
        """The losses of the epochs so far."""
        return {"losses": self.losses, "done": self.done}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.losses, self.done = [losses.cpu() for losses in state["losses"]], state["done"]
