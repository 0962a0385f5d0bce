"""Control for pruning: a net that is as narrow from the start, trained from scratch. Did pruning find more than widths?

Liu et al., "Rethinking the Value of Network Pruning", ICLR 2019, https://arxiv.org/abs/1810.05270: often the widths are all
that pruning finds.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from frugal.pruning.finding import find_groups
from frugal.pruning.removal import Neurons, final_widths
from frugal.strategies.base import Strategy


@dataclass
class NarrowAs(Strategy):
    """Train a dense net with the widths that the run it `follows` has at its end.

    Its weights are the first ones of the full net's initialisation, grown by sqrt(full / narrow) in each narrowed input, so
    that outputs keep their variance however the model draws its weights.
    """

    decides = ("weights",)
    needs: ClassVar[dict[str, Any]] = {"followed widths": "repeats the widths of another run"}
    tells = ("widths",)

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """Narrow the model; raises FrugalError where no run is followed, or it pruned another model."""
        self.found = find_groups(model, self.run.example)
        groups = self.found.groups
        self.widths = final_widths("narrow_as", self.run.followed, groups)
        inputs = {m.module: _inputs(model, m.module) for group in groups for m in group.readers}
        Neurons(groups, model).keep(model, {name: torch.arange(width) for name, width in self.widths.items()})
        with torch.no_grad():
            for name, full in inputs.items():
                model.get_submodule(name).weight.mul_((full / _inputs(model, name)) ** 0.5)
        return model

    @property
    def notes(self) -> list[str]:
        """Which groups are left whole and why."""
        return self.found.notes

    def evidence(self) -> dict[str, float | None]:
        """The widths, the same in every epoch."""
        return {f"width_{name}": width for name, width in self.widths.items()}


def _inputs(model: nn.Module, name: str) -> int:
    """Numbers that one output of a layer is a sum of, up to the size of a convolution's window."""
    return model.get_submodule(name).weight.shape[1]
