"""Control for pruning while training: the same widths, but all neurons are removed at the end. Does the time matter?

The experiment report that the pruning study repeats (config/README.md, "The sources") claims that removing neurons during
training beats removing them afterwards.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Lt
from torch import nn

from frugal.pruning.choice import least_important
from frugal.pruning.importance import Importance
from frugal.pruning.removal import Neurons, final_widths
from frugal.pruning.sizes import Sizes
from frugal.strategies.base import Strategy, TrainingState


@dataclass
class PruneAfter(Strategy):
    """Train the full net, then cut each group to the width it has at the end of the run that this one `follows`.

    The least important neurons go, by the importance that run would use. Nothing is trained after that. decay: of the EMA
    """

    decides = ("weights",)
    single_device: ClassVar[bool] = True
    tells = ("widths",)
    needs: ClassVar[dict[str, Any]] = {"followed widths": "repeats the widths of another run"}

    decay: Annotated[float, Ge(0), Lt(1)] = 0.95

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """Find the groups; raises FrugalError where no run is followed, or it pruned another model."""
        self.sizes = Sizes(model, self.run.example)
        self.neurons = Neurons(self.sizes.groups, model)
        self.importance = Importance(self.neurons, self.decay)
        self.goal = final_widths("prune_after", self.run.followed, self.sizes.groups)
        return model

    def before_step(self, training: TrainingState) -> None:
        """Take in this step's gradients."""
        self.importance.observe(training.model)

    def finish(self, training: TrainingState) -> bool:
        """Remove everything at once."""
        stays = least_important(self.importance.relative(), self.goal)
        self.neurons.keep(
            training.model, {n: self.neurons.live[n][mask] for n, mask in stays.items()}, training.optimizer
        )
        self.importance.forget(stays)
        training.model_changed()
        return True

    def left_out(self) -> tuple[int, int]:
        """Weights that are gone; none is held at zero."""
        return self.sizes.full[1] - self.sizes.at(self.neurons.widths)[1], 0

    @property
    def notes(self) -> list[str]:
        """Which groups are left whole and why."""
        return self.sizes.found.notes

    def evidence(self) -> dict[str, float | None]:
        """Of the net as it is; FLOPs are those of a forward pass of one sample."""
        flops, weights = self.sizes.at(self.neurons.widths)
        widths = {f"width_{name}": width for name, width in self.neurons.widths.items()}
        return {"live_parameters": weights, "flops_per_sample": flops, **widths}

    def state_dict(self) -> dict[str, Any]:
        """The averages; a checkpoint is always of the full net."""
        return self.importance.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.importance.load_state_dict(state, self.run.device)
