"""RS2: each epoch trains on the next random share of the samples; once all were visited, they are shuffled anew.

Okanovic et al., "Repeated Random Sampling for Minimizing the Time-to-Accuracy of Learning", ICLR 2024,
https://arxiv.org/abs/2305.18424. It is the first control of every method that chooses samples: nothing is scored, and over
the epochs no sample is left out. The paper decays the learning rate over the steps that are left, as this does: the schedule
runs over the share of the planned epochs that is done, so it reaches its end with the last of the fewer steps.

With r the share and n the number of samples, an epoch visits floor(r n) samples. Without replacement they are the next ones of
a permutation. Where r doesn't divide the data, an epoch takes what is left of one permutation and the rest of the next,
without any sample twice. With replacement each epoch draws from all samples, whatever was visited before.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Gt, Le
from torch import Tensor

from frugal.strategies.base import EpochPlan, Run, Strategy
from frugal.strategies.selection import count_of, draw, number


@dataclass
class RS2(Strategy):
    """Visit as many samples in every epoch, those that were not visited for the longest time first, each with weight 1.

    share: of all samples in an epoch, in (0, 1]; replacement: whether an epoch may visit again what the last one visited
    """

    decides = ("samples",)

    share: Annotated[float, Gt(0), Le(1)] = 0.5
    replacement: bool = False

    def start(self, run: Run) -> None:
        """Nothing was visited yet."""
        super().start(run)
        self.generator = run.generator("rs2")
        self.waiting = torch.ones(run.samples, dtype=torch.bool)  # what is left of the permutation, in no order

    def most_visited(self) -> int:
        """As many in each epoch: the share rounded down, at least one."""
        return count_of(self.share, self.run.samples)

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """The next share. losses: (n,), not looked at."""
        everything, count = torch.ones_like(self.waiting), self.most_visited()
        if self.replacement:
            return EpochPlan(keep=draw(everything, count, self.generator))
        left = number(self.waiting)
        if left > count:
            keep = draw(self.waiting, count, self.generator)
            self.waiting &= ~keep
            return EpochPlan(keep=keep)
        last = self.waiting  # a new permutation begins, in which these come last, so that none is visited twice now
        keep = last | draw(~last, count - left, self.generator)
        self.waiting = everything if left == count else ~keep | last
        return EpochPlan(keep=keep)

    def evidence(self) -> dict[str, float | None]:
        """Share of the samples left out in this epoch."""
        return {"pruned_share": 1 - self.most_visited() / self.run.samples}

    def state_dict(self) -> dict[str, Any]:
        """The generator, and what is left of the permutation."""
        return {"generator": self.generator.get_state(), "waiting": self.waiting}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.generator.set_state(state["generator"])
        self.waiting = state["waiting"].clone()
