"""Group lasso over the channels of a net: the sum of the norms of their weights, and its gradient.

Each convolution and linear layer has a group of weights for each channel that it reads and for each that it produces, so a
weight between two channels is in two groups. Wen et al., "Learning Structured Sparsity in Deep Neural Networks", NeurIPS 2016,
https://arxiv.org/abs/1608.03665. As in the code of Lym et al. (see `frugal.strategies.prune_train`), 1e-8 is added under
the root, so that the gradient of a group goes to zero with it; and depthwise convolutions, biases and normalisations are in no
group: once a channel's producers and readers are zero, it makes no difference what they say in between.
"""

import torch
from torch import Tensor, nn

from frugal.pruning.groups import DENSE, Group, Member
from frugal.pruning.removal import Neurons
from frugal.pruning.tracing import layer_groups

UNDER_ROOT = 1e-8
Part = tuple[Group, Member, nn.Module]  # a layer, and which of its weight's dimensions are a group's channels


class GroupLasso:
    """sum over layers and channels of ||w_c||, of those channels alone that can be removed. neurons: the live ones of the net."""

    def __init__(self, neurons: Neurons):
        self.neurons = neurons
        self._known: tuple[nn.Module, list[Part]] | None = None

    def total(self, model: nn.Module) -> Tensor:
        """The sum, a scalar on the model's device."""
        return torch.stack([norms.sum() for norms in self._norms(model)]).sum()

    def add_gradient(self, model: nn.Module, coefficient: float) -> None:
        """Add `coefficient` times the sum's gradient to those that are there: w / ||w_c|| for each group of a weight."""
        norms = self._norms(model)
        scales = (coefficient / torch.cat(norms)).split([len(norm) for norm in norms])
        for (group, member, layer), scale in zip(self._parts(model), scales, strict=True):
            weight = layer.weight
            if weight.grad is None:
                continue  # nothing went through this layer in this step, so the optimizer leaves it alone
            places = self.neurons.places(group, member, weight.device)
            if places is not None:
                scale = weight.new_zeros(weight.shape[member.dim]).index_put_((places,), scale[:, None])
            shape = [1] * weight.dim()
            shape[member.dim] = -1
            weight.grad.addcmul_(weight.detach(), scale.view(shape))

    def largest(self, model: nn.Module) -> dict[str, Tensor]:
        """By group, (live units,) on the CPU: the largest absolute weight of each unit, in all layers that read or produce it."""
        found: dict[str, Tensor] = {}
        for group, member, layer in self._parts(model):
            along = layer.weight.detach().abs().amax(_others(member, layer))
            places = self.neurons.places(group, member, along.device)
            own = (along if places is None else along[places].amax(1)).cpu()
            found[group.name] = torch.maximum(found[group.name], own) if group.name in found else own
        return found

    def size(self, model: nn.Module) -> int:
        """How many weights are summed over, those in two groups twice."""
        return sum(layer.weight.numel() for *_, layer in self._parts(model))

    def _norms(self, model: nn.Module) -> list[Tensor]:
        """For each layer that reads or produces a group, (live units,): the norm of each unit's weights in it."""
        squares = []
        for group, member, layer in self._parts(model):
            along = layer.weight.detach().square().sum(_others(member, layer))
            places = self.neurons.places(group, member, along.device)
            squares.append(along if places is None else along[places].sum(1))
        return list((torch.cat(squares) + UNDER_ROOT).sqrt().split([len(own) for own in squares]))

    def _parts(self, model: nn.Module) -> list[Part]:
        """Each layer that reads or produces a group; a removal replaces its weight, and never the layer."""
        if self._known is None or self._known[0] is not model:
            parts = [
                (group, member, layer)
                for group in self.neurons.groups.values()
                for member in group.members
                if member.tensor == "weight"
                and isinstance(layer := model.get_submodule(member.module), DENSE)
                and layer_groups(layer) == 1
            ]
            self._known = model, parts
        return self._known[1]


def _others(member: Member, layer: nn.Module) -> list[int]:
    return [dim for dim in range(layer.weight.dim()) if dim != member.dim]
