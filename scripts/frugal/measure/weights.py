"""How many weights a model stands for, how many it holds, and the bytes they take."""

from dataclasses import dataclass

from torch import nn


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
    stored = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    return Weights(live + left_out, live, stored)
