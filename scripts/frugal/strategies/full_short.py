"""Control with a shorter training: all the data, in as many steps as another run took. Would that have been enough?"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from frugal.errors import FrugalError
from frugal.strategies.base import EpochPlan, Run, Strategy


@dataclass
class FullShort(Strategy):
    """Ordinary epochs over all samples, fewer of them, with the learning rate scheduled over the shorter training.

    The passes over the data are cut where the run it `follows` ended its epochs, so that both are evaluated after the same
    number of samples and take the same steps; a pass goes on in the next epoch where it was cut.
    """

    decides = ("samples",)
    needs: ClassVar[dict[str, Any]] = {"followed": "repeats the sample counts of another run"}

    def start(self, run: Run) -> None:
        """Raises FrugalError where there is no run to follow, or it has fewer epochs."""
        super().start(run)
        if run.followed is None or len(run.followed) < run.epochs:
            raise FrugalError("full_short repeats the sample counts of another run; name that strategy with `follows:`")
        self.generator = run.generator("full_short")
        self.left = torch.empty(0, dtype=torch.int64)  # of the pass under way
        self.passes = 0.0

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """The next samples of the pass. losses: (n,), not looked at."""
        count = int(self.run.followed[epoch]["samples"])
        self.passes += count / self.run.samples
        while len(self.left) < count:
            self.left = torch.cat([self.left, torch.randperm(self.run.samples, generator=self.generator)])
        now, self.left = self.left[:count], self.left[count:].clone()
        return EpochPlan(order=now)

    def evidence(self) -> dict[str, float | None]:
        """Passes over the whole data so far."""
        return {"passes": self.passes}

    def state_dict(self) -> dict[str, Any]:
        """The generator, the rest of the pass and how many there were."""
        return {"generator": self.generator.get_state(), "left": self.left, "passes": self.passes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.generator.set_state(state["generator"])
        self.left, self.passes = state["left"].cpu(), state["passes"]
