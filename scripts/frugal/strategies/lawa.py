"""LAWA: latest weight averaging. The finished net is the mean of its last checkpoints, so training may end earlier.

Kaddour, "Stop Wasting My Time! Saving Days of ImageNet and BERT Training with Latest Weight Averaging", 2022,
https://arxiv.org/abs/2209.14981. With w(e) the weights after e epochs, the net after E of them is
    (w(E) + w(E-1) + ... + w(E-k+1)) / k
Training itself isn't changed: it costs what the plain net costs, and whether it saves anything is read from its exchange rate, or
from how early it is as accurate as the plain net at the end.
"""

from dataclasses import dataclass
from math import floor
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from frugal.measure.weights import averaged
from frugal.strategies.base import Run, Strategy, TrainingState


@dataclass
class LAWA(Strategy):
    """Keep the last weights at even distances, and average them when training has ended.

    Running statistics are averaged as weights are; the validation curve is that of the net in training. The last checkpoint is
    the end of the training, wherever that falls. Memory: `window` times the weights.

    window: k, checkpoints that are averaged, fewer where the training has fewer; every: epochs between them, may be a part of one
    """

    decides = ("weights",)
    needs: ClassVar[dict[str, Any]] = {"no average": "averages the weights itself, at the end"}

    window: Annotated[int, Ge(1)] = 6
    every: Annotated[float, Gt(0)] = 1.0

    def start(self, run: Run) -> None:
        """No checkpoint yet."""
        super().start(run)
        self.passed, self.steps = 0, 0  # distances that are passed, and the step of the last checkpoint
        self.kept: list[dict[str, Tensor]] = []  # the last `window`

    def after_step(self, training: TrainingState) -> None:
        """Keep the weights where another distance is passed."""
        passed = floor(training.position / self.every + 1e-9)
        if passed > self.passed:
            self.passed, self.steps = passed, training.ledger.steps
            values = averaged(training.model).items()
            self.kept = [*self.kept, {name: value.detach().clone() for name, value in values}][-self.window :]

    @torch.no_grad()
    def finish(self, training: TrainingState) -> bool:
        """Put the mean of the net as it is and of the checkpoints before it in its place."""
        before = self.kept[:-1] if self.steps == training.ledger.steps else self.kept
        before = before[len(before) - min(len(before), self.window - 1) :]
        for name, value in averaged(training.model).items():
            value.copy_(torch.stack([*(one[name] for one in before), value]).mean(0))
        return bool(before)

    def evidence(self) -> dict[str, float | None]:
        """Checkpoints that are kept."""
        return {"kept_checkpoints": len(self.kept)}

    def state_dict(self) -> dict[str, Any]:
        """The checkpoints, and when they were taken."""
        return {"kept": self.kept, "passed": self.passed, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.passed, self.steps = state["passed"], state["steps"]
        self.kept = [{name: value.to(self.run.device) for name, value in one.items()} for one in state["kept"]]
