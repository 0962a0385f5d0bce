"""Control for every selection of samples: as many of them in each epoch, drawn at random."""

from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar

import torch
from torch import Tensor

from frugal.strategies.base import EpochPlan, Run, Strategy


@dataclass
class RandomSubset(Strategy):
    """Visit a uniformly random subset, of the size that the run it `follows` had in that epoch, each with weight 1."""

    decides = ("samples",)
    needs: ClassVar[dict[str, Any]] = {"followed": "repeats the sample counts of another run"}

    def start(self, run: Run) -> None:
        """Raises FrugalError where there is no run to follow, or it has fewer epochs."""
        super().start(run)
        self.followed = run.repeated("random_subset repeats the sample counts")
        self.generator = run.generator("random_subset")
        self.kept = run.samples

    def most_visited(self) -> int:
        """The fewest that the followed run visited in an epoch."""
        return min(int(counts["samples"]) for counts in self.followed[: ceil(self.run.epochs)])

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """A new subset. losses: (n,), not looked at."""
        self.kept = int(self.followed[epoch]["samples"])
        keep = torch.zeros(len(losses), dtype=torch.bool)
        keep[torch.randperm(len(losses), generator=self.generator)[: self.kept]] = True
        return EpochPlan(keep=keep)

    def evidence(self) -> dict[str, float | None]:
        """Share of the samples left out in this epoch."""
        return {"pruned_share": 1 - self.kept / self.run.samples}

    def state_dict(self) -> dict[str, Any]:
        """The generator and the last count."""
        return {"generator": self.generator.get_state(), "kept": self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.generator.set_state(state["generator"])
        self.kept = state["kept"]
