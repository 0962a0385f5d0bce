"""Fixed random subset: the same share of the samples in every epoch, drawn once; the simplest way to leave samples out.

It is the known negative case of data pruning: training costs less, but the net never sees the rest of the data. Okanovic et
al., "Repeated Random Sampling for Minimizing the Time-to-Accuracy of Learning", ICLR 2024,
https://arxiv.org/abs/2305.18424, compare static subsets with new ones for each epoch, which do better.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Gt, Le
from torch import Tensor

from frugal.strategies.base import EpochPlan, Run, Strategy
from frugal.strategies.selection import count_of, draw


@dataclass
class FixedSubset(Strategy):
    """Visit the same uniformly random share of the samples in every epoch, each with weight 1.

    share: of all samples, in (0, 1]; which ones depends on the seed of the run
    """

    decides = ("samples",)

    share: Annotated[float, Gt(0), Le(1)] = 0.5

    def start(self, run: Run) -> None:
        """Draw the subset."""
        super().start(run)
        everything = torch.ones(run.samples, dtype=torch.bool)
        self.keep = draw(everything, self.most_visited(), run.generator("fixed_subset"))

    def most_visited(self) -> int:
        """As many in each epoch: the share rounded down, at least one."""
        return count_of(self.share, self.run.samples)

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """The subset. losses: (n,), not looked at."""
        return EpochPlan(keep=self.keep)

    def evidence(self) -> dict[str, float | None]:
        """Share of the samples left out in this epoch."""
        return {"pruned_share": 1 - self.most_visited() / self.run.samples}

    def state_dict(self) -> dict[str, Any]:
        """The subset, so that a resumed run doesn't depend on how it was drawn."""
        return {"keep": self.keep}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.keep = state["keep"]
