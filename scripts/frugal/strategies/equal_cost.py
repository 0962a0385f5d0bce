"""Control of equal cost: the plain net, trained to the end of its schedule on exactly what another run spent.

Would the baseline, simply trained for that much less, have done as well? That is the question which Li et al., "Budgeted
Training: Rethinking Deep Neural Network Training Under Resource Constraints", ICLR 2020, https://arxiv.org/abs/1905.04753, and
Kaddour et al., "No Train No Gain: Revisiting Efficient Training Algorithms For Transformer-based Language Models", NeurIPS 2023,
https://arxiv.org/abs/2307.06440, put to every method that saves.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from frugal.costs import TIMED, spent
from frugal.errors import FrugalError
from frugal.strategies.base import Run, Strategy, TrainingState

REPLANNED = 0.01  # share of the training after which a time is read again: a GPU waits to tell it


@dataclass
class EqualCost(Strategy):
    """Ordinary epochs over all samples, until as much is spent as by the run it `follows`, to within half a step.

    The learning rate is scheduled over what there is to spend, and reaches its end with it. The last epoch ends where the cost
    is reached.

    cost: what both spend as much of, each with all that the other did for its idea, scoring passes among it
    """

    cost: Literal["flops_executed", "samples_backpropagated", "bytes_read", "train_seconds", "cpu_seconds"] = (
        "flops_executed"
    )

    decides = ("samples",)
    needs: ClassVar[dict[str, Any]] = {
        "followed": "spends what another run spent",
        "one device": {
            "cost": {
                "train_seconds": "ends after so many seconds, which every device measures by a clock of its own",
                "cpu_seconds": "ends after so many CPU seconds, of which every device has its own",
            }
        },
    }

    def start(self, run: Run) -> None:
        """Raises FrugalError where there is no run to follow, or its history doesn't tell what it spent."""
        super().start(run)
        if run.followed is None:
            raise FrugalError("equal_cost spends what another run spent; name that strategy with `follows:`")
        self.budget = spent(run.followed, self.cost)
        if not self.budget:
            raise FrugalError(f"equal_cost: the run it follows doesn't tell its {self.cost}; choose another cost")
        self.passes = 0.0
        self.told: tuple[float, float] | None = None  # where a time was read last, and the length by it, both in epochs

    def length(self, planned: float, training: TrainingState) -> float:
        """Epochs that the budget pays for at the price of a sample so far; the recipe's before the first step.

        A count is looked at whenever this is asked; a time only now and then, or the plain net would be slower for it.
        Raises FrugalError where this net's cost can't be counted.
        """
        if self.cost in TIMED and self.told and training.position - self.told[0] < REPLANNED * self.told[1]:
            return self.told[1]
        so_far, visited = training.spent(self.cost), training.ledger.samples_backpropagated
        if so_far is None:
            raise FrugalError(f"equal_cost: {self.cost} of this net can't be counted; choose another cost")
        if not so_far or not visited:
            return planned
        length = self.budget / (so_far / visited) / self.run.samples
        self.told = training.position, length
        return length

    def after_epoch(self, training: TrainingState) -> None:
        """Take down how far it came."""
        self.passes = training.position

    def evidence(self) -> dict[str, float | None]:
        """Passes over the whole data so far."""
        return {"passes": self.passes}

    def state_dict(self) -> dict[str, Any]:
        """How many passes there were."""
        return {"passes": self.passes}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.passes = state["passes"]

    @property
    def notes(self) -> list[str]:
        """What it was given to spend."""
        return [f"control of equal cost: {self.budget:,.6g} {self.cost}, as the run it follows"]
