"""Weights of a model: how many its dense form has, how many are stored, their bytes, and what an average is taken of."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Weights:
    """parameters: of the dense model; live: those there are; bytes: of all that is stored, indices and statistics too."""

    parameters: int
    live: int
    bytes: int


def weights_of(model: nn.Module) -> Weights:
    """Count a model's weights. A layer that holds only some of them says so: `dense_weights`, beside its `values`."""
    live = sum(parameter.numel() for parameter in model.parameters())
    left_out = sum(m.dense_weights - m.values.numel() for m in model.modules() if hasattr(m, "dense_weights"))
    held = {id(value): value for value in model.state_dict(keep_vars=True).values()}  # a tied weight has several names
    stored = sum(t.numel() * t.element_size() for t in held.values() if isinstance(t, torch.Tensor))
    return Weights(live + left_out, live, stored)


def nonzero_weights(model: nn.Module) -> int:
    """How many of a model's weights are no zeros: what a strategy holds at zero can't be more than the rest."""
    return sum(int(parameter.detach().count_nonzero()) for parameter in model.parameters())


def optimizer_bytes(optimizer: torch.optim.Optimizer) -> int:
    """Bytes of what an optimizer keeps between steps: momentum, or Adam's two moments and its step counts."""
    kept = (value for state in optimizer.state.values() for value in state.values())
    return sum(value.numel() * value.element_size() for value in kept if isinstance(value, torch.Tensor))


def averaged(model: nn.Module) -> dict[str, Tensor]:
    """What an average of nets is taken of: floating-point weights and statistics by name, a tied one once."""
    held = {id(value): (name, value) for name, value in reversed(model.state_dict(keep_vars=True).items())}
    return {name: value for name, value in held.values() if value.is_floating_point()}
