"""OrderDP: draw a part of the samples at random, then train on those of them with the highest losses.

Jin et al., "OrderDP: A Theoretically Guaranteed Lossless Dynamic Data Pruning Framework", ICLR 2026,
https://arxiv.org/abs/2606.08574.
Epoch by epoch: s samples drawn uniformly, of them the q with the highest last losses, all of weight 1. Nothing is rescaled,
since the gradient is an unbiased one of another objective: the expected mean of the q highest of s losses. A sample of rank
j (1 = the hardest of n) is visited with probability sum over l = 1..q of C(j-1, l-1) C(n-j, s-l) / C(n, s), so hard samples
count more and none is ever excluded. The authors' code (https://github.com/shengze-xu/OrderDP) selects to the last epoch,
and so does this.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Gt, Le
from torch import Tensor

from frugal.strategies.base import EpochPlan, Run, Strategy
from frugal.strategies.selection import check_losses, count_of, draw, lowest


@dataclass
class OrderDP(Strategy):
    """Visit the top share, by last loss, of a random share of the samples.

    pool: s / n, the share of the samples drawn in an epoch, in (0, 1]
    top: q / s, the share of those that is visited, in (0, 1]; a sample never seen counts as harder than all seen ones
    """

    decides = ("samples",)

    pool: Annotated[float, Gt(0), Le(1)] = 0.5
    top: Annotated[float, Gt(0), Le(1)] = 0.6

    def start(self, run: Run) -> None:
        """A generator of its own where the losses lie."""
        super().start(run)
        self.generator = run.generator("orderdp", run.device)
        self.drawn = count_of(self.pool, run.samples)
        self.visited = count_of(self.top, self.drawn)
        self.threshold = None

    def most_visited(self) -> int:
        """So many in every epoch."""
        return self.visited

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """Which samples are visited. losses: (n,) last loss of each, inf where never seen."""
        check_losses(losses, self.run.samples)
        keep = draw(torch.ones_like(losses, dtype=torch.bool), self.drawn, self.generator)
        candidates = losses[keep]
        top = lowest(-candidates, self.visited, self.generator)
        keep[keep.clone()] = top
        least = candidates.where(top, torch.inf).min().item()
        self.threshold = None if least == torch.inf else least
        return EpochPlan(keep=keep)

    def evidence(self) -> dict[str, float | None]:
        """Share of the samples left out in this epoch, and the lowest last loss visited, None where all are unseen."""
        return {"pruned_share": 1 - self.visited / self.run.samples, "threshold": self.threshold}

    def state_dict(self) -> dict[str, Any]:
        """The generator and the last threshold."""
        return {"generator": self.generator.get_state(), "threshold": self.threshold}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.generator.set_state(state["generator"])
        self.threshold = state["threshold"]
