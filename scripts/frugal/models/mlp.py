"""Multilayer perceptron for tables. The one that the pruning study trains on Titanic has three hidden layers.

Their inputs come encoded and normalised, so no batch normalisation: what can be left out of it is its neurons.
"""

from typing import Annotated

from annotated_types import Ge, Lt
from torch import nn

KIND = "table"
WIDTHS = {"hidden": 1}  # parameters that a narrower net shrinks, and what each must stay a multiple of


def build(
    shape: tuple[int],
    classes: int,
    *,
    hidden: list[Annotated[int, Ge(1)]] = [128, 64, 32],  # noqa: B006
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> nn.Module:
    """A net for features (b, d) -> logits (b, classes). shape: (d,); hidden: widths; dropout: after each hidden layer."""
    layers, before = [], shape[0]
    for width in hidden:
        layers += [nn.Linear(before, width), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        before = width
    return nn.Sequential(*layers, nn.Linear(before, classes))
