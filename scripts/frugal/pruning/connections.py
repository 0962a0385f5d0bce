"""Connections (single weights): the smallest are held at zero. Fewer weights are live; no FLOPs are saved.

Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model compression", 2017,
https://arxiv.org/abs/1710.01878: the share rises during training, and who is smallest is asked again each time. A masked
weight keeps its place in its tensor, so this is reported as live parameters and never as FLOPs or time.
"""

import torch
from torch import Tensor, nn

from frugal.pruning.groups import DENSE
from frugal.pruning.removal import Cut, select


class Connections:
    """Masks over the weights of convolutions and linear layers, by the name of the layer. layers: names, None for all."""

    def __init__(self, layers: list[str] | None = None) -> None:
        self.layers = layers
        self.masks: dict[str, Tensor] = {}

    def mask(self, model: nn.Module, share: float) -> None:
        """Hold the smallest `share` of each layer's weights at zero from now on."""
        for name, layer in model.named_modules():
            if name in self.layers if self.layers is not None else isinstance(layer, DENSE):
                size = layer.weight.detach().abs().flatten()
                gone = int(share * len(size))
                mask = torch.ones_like(size)
                mask[size.argsort(stable=True)[:gone]] = 0
                self.masks[name] = mask.view(layer.weight.shape)
        self.apply(model)

    def apply(self, model: nn.Module) -> None:
        """Set masked weights to zero, as after each step of the optimizer."""
        if self.masks:
            weights = [model.get_submodule(name).weight.detach() for name in self.masks]
            torch._foreach_mul_(weights, list(self.masks.values()))

    def apply_to_gradients(self, model: nn.Module) -> None:
        """Set the gradients of masked weights to zero."""
        for name, mask in self.masks.items():
            if (gradient := model.get_submodule(name).weight.grad) is not None:
                gradient.mul_(mask)

    def follow(self, cuts: list[Cut]) -> None:
        """Cut the masks as the weights were cut."""
        for done in cuts:
            if done.tensor == "weight" and done.module in self.masks:
                mask = self.masks[done.module]
                self.masks[done.module] = select(mask, done.dim, done.keep.to(mask.device))

    @property
    def masked(self) -> int:
        """How many weights are held at zero."""
        return int(sum((mask == 0).sum() for mask in self.masks.values()))

    def state_dict(self) -> dict[str, Tensor]:
        """The masks."""
        return dict(self.masks)

    def load_state_dict(self, state: dict[str, Tensor], device: torch.device) -> None:
        """The counterpart of `state_dict`."""
        self.masks = {name: mask.to(device) for name, mask in state.items()}
