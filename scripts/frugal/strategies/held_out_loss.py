"""Held-out loss: what a sample loses in a net that never trained on it; the scoring runs of RHO-LOSS.

Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and Not Yet Learnt", ICML 2022,
https://arxiv.org/abs/2206.07137, call it irreducible. Without further data to hold out, which is their section on training
without it, a net trained on each half of the training set gives the losses of the other half. Validation and test data take no
part. Each half is a run: the second follows the first, adds its scores to those, and is charged with it.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn import functional

from frugal.errors import FrugalError
from frugal.strategies.base import EpochPlan, Run, Strategy, TrainingState
from frugal.strategies.scored import as_mask


@dataclass
class HeldOutLoss(Strategy):
    """Train on one half of the samples, drawn by the seed, then take the losses of the other half, unaugmented.

    half: which one is trained on; passes: epochs, by default those of the recipe
    """

    decides = ("samples",)
    tells = ("scores",)
    needs: ClassVar[dict[str, Any]] = {
        "classes": "it takes the loss of a class",
        "followed scores": {"half": {"second": "adds its scores to those of the run on the first half"}},
    }

    half: Literal["first", "second"] = "first"
    passes: Annotated[int, Ge(1)] | None = None

    def start(self, run: Run) -> None:
        """Draw the halves; raises FrugalError where the second follows no run that scored the half it trains on."""
        super().start(run)
        mixed, first = torch.randperm(run.samples, generator=run.generator("held_out_loss")), (run.samples + 1) // 2
        mine = mixed[:first] if self.half == "first" else mixed[first:]
        self.own = as_mask(mine, run.samples)
        self.found: Tensor | None = None
        if self.half == "second":
            if run.scores is None or not torch.equal(~run.scores[:, -1].cpu().isnan(), self.own):
                raise FrugalError(
                    "held_out_loss: half second adds to the scores of a run on the first half; name a strategy that uses "
                    "held_out_loss with half: first with `follows:`"
                )
            self.theirs = run.scores[:, -1].cpu()

    def most_visited(self) -> int:
        """Half of the samples."""
        return int(self.own.sum())

    def length(self, planned: float, training: TrainingState) -> float:
        """The recipe's, or as many as `passes`."""
        return self.passes or planned

    def settled_since(self) -> None:
        """Early stopping doesn't end it before the scores are taken."""

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """This run's half. losses: (n,), not looked at."""
        return EpochPlan(keep=self.own)

    def after_epoch(self, training: TrainingState) -> None:
        """At the end take the losses of the other half."""
        if training.ended:
            others = (~self.own).nonzero().squeeze(1)
            scored = training.score_training_set(_losses(training.model), others)
            self.found = scored if self.half == "first" else torch.where(self.own, self.theirs, scored)

    def evidence(self) -> dict[str, float | None]:
        """Share of the samples left out in this epoch."""
        return {"pruned_share": 1 - self.most_visited() / self.run.samples}

    def sample_scores(self) -> Tensor | None:
        """(n,) losses in nats; of the run on the first half NaN for the samples of that half."""
        return self.found

    def state_dict(self) -> dict[str, Any]:
        """The scores, where they are taken."""
        return {"found": self.found}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.found = None if state["found"] is None else state["found"].cpu()


def _losses(model: nn.Module) -> Any:
    @torch.no_grad()
    def losses(inputs: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(model(inputs).float(), labels, reduction="none")

    return losses
