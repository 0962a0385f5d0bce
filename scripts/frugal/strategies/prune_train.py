"""PruneTrain: a penalty drives whole channels to zero while the net trains, and those that got there are removed.

Lym et al., "PruneTrain: Fast Neural Network Training by Dynamic Sparse Model Reconfiguration", SC 2019,
https://arxiv.org/abs/1901.09290. The loss that is trained on is
    (1/n) sum_i l(f(x_i, W), y_i) + lambda sum over layers l of (sum over inputs c ||W_l[:, c]|| + sum over outputs k ||W_l[k]||)
with one lambda for all groups, however large: early layers have few weights and many FLOPs, and should not be spared. It is set
in the first step, such that the penalty is a share `ratio` of all the loss there is before any training,
    lambda = ratio / (1 - ratio) x loss / sum of the norms,
and stays. Every `every` epochs channels are removed of which no weight exceeds `threshold`, in any layer that reads or produces
them: in residual nets all those that share them ("channel union" in the paper). Removed channels are gone from weights,
BatchNorm statistics, gradients and the optimizer's moments.
"""

from dataclasses import dataclass
from math import floor
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Lt
from torch import nn

from frugal.pruning.lasso import GroupLasso
from frugal.pruning.removal import Neurons
from frugal.pruning.sizes import Sizes
from frugal.strategies.base import Run, Strategy, TrainingState


@dataclass
class PruneTrain(Strategy):
    """Train with group lasso, and remove the channels that died.

    The defaults are those of the authors' code for CIFAR, whose trainings have 182 epochs. Where all channels of a group died,
    the strongest stays; the paper drops such a residual branch. The first step goes without the penalty, since its loss decides
    lambda.

    ratio: of the penalty in the loss and the penalty, at the start, in [0, 1); every: epochs between removals, may be a part
    of one; threshold: largest absolute weight of a dead channel
    """

    decides = ("weights",)
    moves_weights: ClassVar[bool] = True
    tells = ("widths",)

    ratio: Annotated[float, Ge(0), Lt(1)] = 0.2
    every: Annotated[float, Gt(0)] = 10.0
    threshold: Annotated[float, Ge(0)] = 1e-4

    def start(self, run: Run) -> None:
        """Lambda isn't known yet."""
        super().start(run)
        self.coefficient: float | None = None
        self.passed, self.removals = 0, 0  # intervals that are passed, and those after which something was removed

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """Find the groups; raises FrugalError where there are none."""
        self.sizes = Sizes(model, self.run.example)
        self.neurons = Neurons(self.sizes.groups, model)
        self.lasso = GroupLasso(self.neurons)
        return model

    def before_step(self, training: TrainingState) -> None:
        """Add the penalty's gradient, and count it: a product and a sum for each norm and for each gradient of a weight."""
        if not self.ratio:
            return
        size = self.lasso.size(training.model)
        if self.coefficient is None:
            self.initial = self.lasso.total(training.model)
            training.ledger.add_flops("scoring", 2, size)
        else:
            self.lasso.add_gradient(training.model, self.coefficient)
            training.ledger.add_flops("scoring", 4, size)

    def after_step(self, training: TrainingState) -> None:
        """Set lambda if this was the first step, and remove channels if this was the step for it."""
        if self.coefficient is None:
            loss = training.losses[training.losses.isfinite()].double().mean().item()
            self.coefficient = self.ratio / (1 - self.ratio) * loss / float(self.initial) if self.ratio else 0.0
        passed = floor(training.position / self.every + 1e-9)
        if passed > self.passed:
            self.passed = passed
            self._remove(training)

    def _remove(self, training: TrainingState) -> None:
        kept = {}
        for name, largest in self.lasso.largest(training.model).items():
            stays = largest > self.threshold
            stays[largest.argmax()] = True
            kept[name] = self.neurons.live[name][stays]
        if self.neurons.keep(training.model, kept, training.optimizer):
            self.removals += 1
            training.model_changed()

    def settled_since(self) -> int | None:
        """Channels may die until the end."""
        return None

    def left_out(self) -> tuple[int, int]:
        """Weights that are gone; none is held at zero."""
        return self.sizes.full[1] - self.sizes.at(self.neurons.widths)[1], 0

    @property
    def notes(self) -> list[str]:
        """Which groups are left whole and why, and lambda."""
        shown = [] if self.coefficient is None else [f"prune_train: lambda is {self.coefficient:.3g}"]
        return [*self.sizes.found.notes, *shown]

    def evidence(self) -> dict[str, float | None]:
        """How often channels were removed, lambda, and the widths after this epoch."""
        widths = {f"width_{name}": width for name, width in self.neurons.widths.items()}
        return {"removals": self.removals, "penalty_coefficient": self.coefficient, **widths}

    def state_dict(self) -> dict[str, Any]:
        """Live channels, lambda, and how often was looked for dead ones."""
        counts = [self.coefficient, self.passed, self.removals]
        return {"live": self.neurons.state_dict(), "counts": counts}

    def rebuild(self, training: TrainingState, state: dict[str, Any]) -> None:
        """Bring a fresh model to the widths of the saved one."""
        self.neurons.keep(training.model, state["live"], training.optimizer)
        training.model_changed()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`, on a model that was rebuilt."""
        self.coefficient, self.passed, self.removals = state["counts"]
