"""Instance-dependent early stopping: a sample whose loss no longer bends is mastered, and has no backward pass.

Yuan et al., "Instance-dependent Early Stopping", ICLR 2025, https://arxiv.org/abs/2502.07547.
With L(t) the loss of a sample in epoch t, its second difference is D(t) = L(t) - 2 L(t-1) + L(t-2); it is mastered while
|D| < delta. The loss of a mastered sample is still looked at, by a forward pass in each epoch and in evaluation mode, so that it
is trained on again once its loss moves: it costs 1 instead of 3 (forward 1, backward 2). delta = 0.001 and the mean of |D| over
three epochs are the defaults of the authors' code, https://github.com/tmllab/2025_ICLR_IES, which for CIFAR-100 doubles delta;
`window: 1` is the formula alone. Their code waits for one second difference more than the mean takes; this doesn't.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge
from torch import Tensor

from frugal.strategies.base import EpochPlan, Run, Strategy
from frugal.strategies.selection import check_losses, number


@dataclass
class IES(Strategy):
    """Train on the samples whose loss still bends; of the others only the loss is computed.

    delta: a sample is mastered below it, in nats; window: epochs over which |D| is averaged. An epoch trains on one batch at
    least, of the samples of the greatest |D|, and forwards one batch at least or none: fewer are trained on still. Per sample,
    `window` + 2 losses are kept, of four bytes each.
    """

    decides = ("samples",)
    needs: ClassVar[dict[str, Any]] = {"epochs": "looks at the losses of earlier epochs"}

    delta: Annotated[float, Ge(0)] = 0.001
    window: Annotated[int, Ge(1)] = 3

    def start(self, run: Run) -> None:
        """No losses yet."""
        super().start(run)
        self.history: list[Tensor] = []  # (n,) each, the last `window` + 2 epochs
        self.mastered = 0

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """Which samples are trained on, and which only forwarded. losses: (n,) of the last epoch, of both kinds of samples."""
        check_losses(losses, self.run.samples)
        self.mastered = 0
        if epoch:
            self.history = [*self.history, losses.clone()][-(self.window + 2) :]
        if len(self.history) < self.window + 2:
            return EpochPlan()
        bend = self._bend()
        trained = ~(bend < self.delta)  # a sample that was never seen bends by nan
        if number(trained) < self.run.batch_size:
            trained[bend.topk(min(self.run.batch_size, len(bend))).indices] = True
        mastered = len(losses) - number(trained)
        if mastered < self.run.batch_size:  # too few to be shared by several devices
            return EpochPlan()
        self.mastered = mastered
        return EpochPlan(keep=trained, observe=~trained)

    def _bend(self) -> Tensor:
        """(n,) mean of |D| over the window."""
        triples = zip(self.history, self.history[1:], self.history[2:], strict=False)
        return sum((last - 2 * middle + first).abs_() for first, middle, last in triples) / self.window

    def evidence(self) -> dict[str, float | None]:
        """Share of the samples that this epoch only forwarded."""
        return {"pruned_share": self.mastered / self.run.samples}

    @property
    def notes(self) -> list[str]:
        """Where the training is too short for it."""
        if self.run.epochs > self.window + 2:
            return []
        return [
            f"ies: nothing can be left out in the first {self.window + 2} epochs, and this run has {self.run.epochs:g}"
        ]

    def state_dict(self) -> dict[str, Any]:
        """The losses of the last epochs, and the last evidence."""
        return {"history": self.history, "mastered": self.mastered}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.history = [losses.to(self.run.device) for losses in state["history"]]
        self.mastered = state["mastered"]
