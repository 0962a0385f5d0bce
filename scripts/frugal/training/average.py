"""Average of a net's weights over its training, which the net is set to each time it is updated: Lookahead.

Zhang et al., "Lookahead Optimizer: k steps forward, 1 step back", NeurIPS 2019, https://arxiv.org/abs/1907.08610. Every
`every` steps the average ("slow weights") moves towards the weights, and the weights go back to it:

    average <- d * average + (1 - d) * weights;   weights <- average;   d = decay * progress^power

With a power above 0 it does little at first and smooths the end, as in Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single
GPU", https://arxiv.org/abs/2404.00498, whose code takes decay 0.95^5, power 3 and 5 steps. As there, running statistics are
averaged like weights, and the finished net is the average as of its last update.
"""

from typing import Any

import torch
from torch import nn

from frugal.errors import FrugalError
from frugal.measure.weights import averaged
from frugal.recipe import Average as Wanted


class Average:
    """The average of a model's floating-point weights and statistics.

    wanted: of the recipe; updates: how many there were
    """

    def __init__(self, model: nn.Module, wanted: Wanted):
        self.wanted, self.updates = wanted, 0
        self.values = {name: value.detach().clone() for name, value in averaged(model).items()}

    @torch.no_grad()
    def after_step(self, model: nn.Module, steps: int, progress: float) -> None:
        """Take in the weights, and set them to the average, where this step is one of those. steps: done, progress: in [0, 1]."""
        if steps % self.wanted.every:
            return
        keep = self.wanted.decay * progress**self.wanted.power
        for name, value in averaged(model).items():
            self.values[name].lerp_(value.detach(), 1 - keep)
        self.updates += 1
        self._set(model)

    @torch.no_grad()
    def finish(self, model: nn.Module) -> None:
        """Leave the average in the model. Raises FrugalError where there never was an update."""
        if not self.updates:
            raise FrugalError(
                f"recipe.average.every is {self.wanted.every}, and the training ended before so many steps: there is no average; "
                "lower it, or train for more epochs"
            )
        self._set(model)

    def _set(self, model: nn.Module) -> None:
        for name, value in averaged(model).items():
            value.detach().copy_(self.values[name])

    @property
    def bytes(self) -> int:
        """That it takes in memory."""
        return sum(value.numel() * value.element_size() for value in self.values.values())

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"values": self.values, "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.updates = state["updates"]
        for name, value in state["values"].items():
            self.values[name].copy_(value)
