"""Patch dropping: a random part of each image's patches never enters the net, until the last share of the training.

As in Li et al., "Scaling Language-Image Pre-training via Masking", CVPR 2023, https://arxiv.org/abs/2212.00794 (FLIP), which
leaves out 50 or 75 % of the patches of each image, drawn at random in every step, and trains on whole images for a short time at
the end. There it serves to train on images and their captions, here to train a classifier.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le, Lt
from torch import Tensor, nn

from frugal import registry
from frugal.errors import FrugalError
from frugal.sparse.tokens import kept
from frugal.strategies.base import EpochPlan, Strategy, TrainingState


@dataclass
class PatchDrop(Strategy):
    """Each image's patches are drawn anew in each step; in evaluation all are seen.

    share: of the patches that are left out, in [0, 1); whole: share of the training, at its end, that sees whole images
    """

    decides = ("tokens",)
    eager: ClassVar[bool] = True
    needs: ClassVar[dict[str, Any]] = {"patches": "it leaves out patches"}

    share: Annotated[float, Ge(0), Lt(1)] = 0.5
    whole: Annotated[float, Ge(0), Le(1)] = 0.1

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """Take the model, whose `kept_share` is set for each step. Raises FrugalError for one that has no patches."""
        side = registry.patches(self.model_builder.use)
        if side is None:
            raise FrugalError(f"patch_drop leaves out patches, and model {self.model_builder.use} has none; choose vit")
        high, wide = self.run.example.shape[2:]
        self.model, self.patches = model, (high * wide) // self.model_builder.parameters[side] ** 2
        self.kept = self.due(0.0)
        self.worked_on, self.steps = 0, 0
        return model

    def due(self, progress: float) -> float:
        """Share of the patches kept. progress: share of the training done."""
        return 1.0 if progress >= round(1 - self.whole, 9) else 1 - self.share

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """All samples. losses: (n,), not looked at."""
        self.worked_on, self.steps = 0, 0
        return EpochPlan()

    def before_forward(self, training: TrainingState) -> None:
        """Leave patches out."""
        self.model.kept_share = self.kept
        self.worked_on, self.steps = self.worked_on + kept(self.patches, self.kept), self.steps + 1

    def variant(self) -> Hashable:
        """The share of the patches worked on, None where all are."""
        return None if self.model.kept_share == 1 else self.model.kept_share

    def after_step(self, training: TrainingState) -> None:
        """All patches again; the next step keeps the share that is due then."""
        self.model.kept_share, self.kept = 1.0, self.due(training.progress)

    def evidence(self) -> dict[str, float | None]:
        """Patches of an image that the net worked on, the mean over the steps of the epoch, and their share of all patches."""
        mean = self.worked_on / self.steps if self.steps else None
        return {"kept_tokens": mean, "kept_token_share": None if mean is None else mean / self.patches}

    @property
    def notes(self) -> list[str]:
        """Of how many patches."""
        return [f"patch_drop: {kept(self.patches, 1 - self.share)} of {self.patches} patches of an image are worked on"]

    def state_dict(self) -> dict[str, Any]:
        """The share kept in the next step, and the sums of the epoch so far; draws come from torch's own generator."""
        return {"kept": self.kept, "worked_on": self.worked_on, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.kept, self.worked_on, self.steps = state["kept"], state["worked_on"], state["steps"]
