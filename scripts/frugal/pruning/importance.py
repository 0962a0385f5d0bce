"""Importance of a neuron: how the loss would change without it, to first order: activation times gradient, over a batch.

Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019, https://arxiv.org/abs/1906.10771. No
activation has to be looked at: a layer that reads neuron c as y = sum_c W_c x_c has dL/dW_c = sum x_c dL/dy, so

    sum over batch and positions of x_c dL/dx_c = sum of W_c dL/dW_c,

which needs the weights and the gradients that are there anyway, before the optimizer changes either. It costs a product
per weight and step; forward and backward pass cost several hundred.
"""

import torch
from torch import Tensor, nn

from frugal.pruning.groups import Group
from frugal.pruning.removal import Neurons


def taylor(model: nn.Module, neurons: Neurons, group: Group) -> Tensor:
    """(live units,): sum of a * g of each neuron of a group over the last batch and over all that read it."""
    total = None
    for member in group.readers:
        weight = model.get_submodule(member.module).weight
        if weight.grad is None:
            continue  # nothing went through this layer in this step
        change = (weight.detach() * weight.grad).sum([d for d in range(weight.dim()) if d != member.dim])
        places = neurons.places(group, member, change.device)
        own = change if places is None else change[places].sum(1)
        total = own if total is None else total + own
    return next(model.parameters()).new_zeros(neurons.widths[group.name]) if total is None else total


class Importance:
    """I_c = EMA over the steps of (sum a*g)^2 for every live neuron, kept on the device until somebody asks.

    decay: of the moving average, per observed step
    """

    def __init__(self, neurons: Neurons, decay: float):
        self.neurons, self.decay = neurons, decay
        self.average: Tensor | None = None  # of all groups, one after the other

    def observe(self, model: nn.Module) -> None:
        """Take in the gradients of a step, before the optimizer moves the weights."""
        squares = torch.cat([taylor(model, self.neurons, g) for g in self.neurons.groups.values()]).square()
        if self.average is None:
            self.average = torch.zeros_like(squares)
        self.average.lerp_(squares, 1 - self.decay)

    def absolute(self) -> dict[str, Tensor]:
        """By group, (live units,) on the CPU: the square of how much the loss would change, in any group the same unit."""
        widths = self.neurons.widths
        average = torch.zeros(sum(widths.values())) if self.average is None else self.average.cpu()
        return dict(zip(widths, average.split(list(widths.values())), strict=True))

    def relative(self) -> dict[str, Tensor]:
        """By group, (live units,) on the CPU: importance divided by the group's mean, so that groups can be compared."""
        return {name: part / part.mean().clamp_min(1e-30) for name, part in self.absolute().items()}

    def forget(self, stays: dict[str, Tensor]) -> None:
        """Drop removed neurons. stays: by group, mask over the units that lived before."""
        if self.average is not None:
            self.average = self.average[torch.cat(list(stays.values())).to(self.average.device)]

    def state_dict(self) -> dict[str, Tensor | None]:
        """The averages."""
        return {"average": self.average}

    def load_state_dict(self, state: dict[str, Tensor | None], device: torch.device) -> None:
        """The counterpart of `state_dict`."""
        self.average = None if state["average"] is None else state["average"].to(device)
