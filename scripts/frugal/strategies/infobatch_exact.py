"""InfoBatch with an exact prune ratio: the share of all samples that an epoch leaves out is the one that was set.

In Qin et al., "InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning", ICLR 2024,
https://arxiv.org/abs/2303.04947, the ratio is one of the samples below the mean loss. So what an epoch leaves out follows
from how the losses are spread: mostly 20 to 35 % at r = 0.5. Users ask for a ratio of all samples.

The samples that may be left out, the pool, are InfoBatch's: those below the mean. Where they are too few for the ratio, the
next lowest losses join them, just so many that a quarter of the pool stays: a sample then stands for four at most, and the
noise of the gradient stays bounded. Within the pool all are left out with the same chance and those that stay weigh
|pool| / |kept|, so the mean gradient is unbiased as in InfoBatch, wherever the pool ends.
"""

from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from frugal.strategies.base import EpochPlan, Run, Strategy
from frugal.strategies.selection import below, check_losses, draw, lowest, mean_of_seen, number, selecting_epochs

MOST_PRUNED = 0.75  # of the pool


@dataclass
class InfoBatchExact(Strategy):
    """Leave out exactly round(prune_ratio * n) of the n samples, drawn from those of low last loss.

    prune_ratio: share of all samples left out in an epoch, in [0, 0.75]
    delta: share of the epochs that prune, in (0, 1]; the remaining ones see every sample with weight 1

    Samples never seen are always kept: the first epoch visits all, and where later ones still hold unseen samples (the
    trainer's don't), no more than 75 % of the seen ones are left out.
    """

    decides = ("samples",)

    prune_ratio: Annotated[float, Ge(0), Le(0.75)] = 0.3
    delta: Annotated[float, Gt(0), Le(1)] = 0.875

    def start(self, run: Run) -> None:
        """A generator of its own where the losses lie."""
        super().start(run)
        self.generator = run.generator("infobatch_exact", run.device)
        self.pruning_epochs = selecting_epochs(self.delta, run.epochs)
        self._forget()

    def _forget(self) -> None:
        self.pruned_share, self.pool_share, self.threshold, self.weight = 0.0, 0.0, None, 1.0

    def most_visited(self) -> int:
        """The first epoch has seen no sample and prunes none; each further one that prunes has seen all."""
        return self.run.samples - (self._pruned(self.run.samples) if self.pruning_epochs > 1 else 0)

    def _pruned(self, seen: int) -> int:
        """How many samples are left out where so many have a loss."""
        return max(0, min(round(self.prune_ratio * self.run.samples), ceil(MOST_PRUNED * seen), seen - 1))

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """Which samples are visited and with which weight. losses: (n,) last loss of each, inf where never seen."""
        check_losses(losses, self.run.samples)
        self._forget()
        seen = number(losses.isfinite()) if epoch < self.pruning_epochs else 0
        pruned = self._pruned(seen)
        if pruned == 0:
            return EpochPlan()
        self.threshold = mean_of_seen(losses)
        pool = below(losses, self.threshold)
        size, needed = number(pool), min(seen, ceil(pruned / MOST_PRUNED))
        if size < needed:
            pool, size = lowest(losses, needed, self.generator), needed
            self.threshold = losses[pool].max().item()
        chosen = draw(pool, size - pruned, self.generator)
        self.pruned_share, self.pool_share = pruned / len(losses), size / len(losses)
        self.weight = size / (size - pruned)
        return EpochPlan(keep=pool.logical_not_().logical_or_(chosen), weight=torch.where(chosen, self.weight, 1.0))

    def evidence(self) -> dict[str, float | None]:
        """Shares of the samples left out and in the pool, the loss that bounds the pool, and what a kept sample of it weighs."""
        return {
            "pruned_share": self.pruned_share,
            "pool_share": self.pool_share,
            "threshold": self.threshold,
            "pool_weight": self.weight,
        }

    def state_dict(self) -> dict[str, Any]:
        """The generator and the last evidence."""
        return {"generator": self.generator.get_state(), "evidence": self.evidence()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.generator.set_state(state["generator"])
        self.pruned_share, self.pool_share, self.threshold, self.weight = state["evidence"].values()
