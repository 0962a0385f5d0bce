"""InfoBatch: leave out a share of the easy samples, weigh up those that stay, end on everything.

Qin et al., "InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning", ICLR 2024; source document 002.
"""

from dataclasses import dataclass
from math import ceil, floor
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from frugal.strategies.base import EpochPlan, Run, Strategy


@dataclass
class InfoBatch(Strategy):
    """Prune a random share of the samples whose last loss lies below the mean.

    prune_ratio: share r of those samples left out in an epoch, in [0, 1)
    delta: share of the epochs that prune, in (0, 1]; the remaining ones see every sample with weight 1
    """

    prune_ratio: Annotated[float, Ge(0), Lt(1)] = 0.5
    delta: Annotated[float, Gt(0), Le(1)] = 0.875

    def start(self, run: Run) -> None:
        """A generator of its own, so that the seed reaches the selection and nothing else moves it."""
        super().start(run)
        self.generator = run.generator("infobatch")
        # Rounded first: 0.7 * 10 is a little more than 7 in floating point.
        self.pruning_epochs = ceil(round(self.delta * run.epochs, 9))
        self.pruned_share, self.mean = 0.0, None

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """Which samples are visited and with which weight. losses: (n,) last loss of each, inf where never seen."""
        self.pruned_share, self.mean = 0.0, None
        seen = losses[losses.isfinite()].double()
        if epoch >= self.pruning_epochs or len(seen) == 0:
            return EpochPlan()
        self.mean = seen.mean().item()
        easy = (
            (losses.double() < self.mean).nonzero().squeeze(1).cpu()
        )  # unseen samples are inf, so they are never easy
        if len(easy) == 0:
            return EpochPlan()
        count = max(1, floor((1 - self.prune_ratio) * len(easy)))
        chosen = easy[torch.randperm(len(easy), generator=self.generator)[:count]]
        keep, weight = torch.ones(len(losses), dtype=torch.bool), torch.ones(len(losses))
        keep[easy] = False
        keep[chosen] = True
        weight[chosen] = len(easy) / count  # unbiased: each stands for |easy| / count
        self.pruned_share = 1 - keep.double().mean().item()
        return EpochPlan(keep=keep, weight=weight)

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
