"""InfoBatch: leave out a share of the easy samples, give the remaining ones more weight, train the last epochs on all.

Qin et al., "InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning", ICLR 2024,
https://arxiv.org/abs/2303.04947.
"""

from dataclasses import dataclass
from math import floor
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from frugal.strategies.base import EpochPlan, Run, Strategy
from frugal.strategies.selection import below, check_losses, draw, mean_of_seen, number, selecting_epochs


@dataclass
class InfoBatch(Strategy):
    """Prune a random share of the samples whose last loss lies below the mean.

    prune_ratio: share r of those samples left out in an epoch, in [0, 1)
    delta: share of the epochs that prune, in (0, 1]; the remaining ones see every sample with weight 1
    """

    decides = ("samples",)

    prune_ratio: Annotated[float, Ge(0), Lt(1)] = 0.5
    delta: Annotated[float, Gt(0), Le(1)] = 0.875

    def start(self, run: Run) -> None:
        """A generator of its own where the losses lie, so that the seed reaches the selection and nothing else moves it."""
        super().start(run)
        self.generator = run.generator("infobatch", run.device)
        self.pruning_epochs = selecting_epochs(self.delta, run.epochs)
        self.pruned_share, self.mean = 0.0, None

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """Which samples are visited and with which weight. losses: (n,) last loss of each, inf where never seen.

        All ranks of a run hold the same losses and generator, so they plan the same. Raises FrugalError for other losses.
        """
        check_losses(losses, self.run.samples)
        self.pruned_share = 0.0
        self.mean = mean_of_seen(losses) if epoch < self.pruning_epochs else None
        if self.mean is None:
            return EpochPlan()
        easy = below(losses, self.mean)  # unseen samples are inf, so they are never easy
        count = number(easy)
        if count == 0:
            return EpochPlan()
        kept = max(1, floor(round((1 - self.prune_ratio) * count, 9)))
        chosen = draw(easy, kept, self.generator)
        self.pruned_share = (count - kept) / len(losses)
        weight = torch.where(chosen, count / kept, 1.0)  # unbiased: each stands for count / kept
        return EpochPlan(keep=easy.logical_not_().logical_or_(chosen), weight=weight)

    def evidence(self) -> dict[str, float | None]:
        """Share of the samples left out in this epoch, and the mean loss below which a sample is easy."""
        return {"pruned_share": self.pruned_share, "threshold": self.mean}

    def state_dict(self) -> dict[str, Any]:
        """The generator and the last evidence."""
        return {"generator": self.generator.get_state(), "pruned_share": self.pruned_share, "mean": self.mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.generator.set_state(state["generator"])
        self.pruned_share, self.mean = state["pruned_share"], state["mean"]
