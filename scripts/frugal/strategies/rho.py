"""RHO-LOSS: of each pool of batches train on the samples with the highest reducible loss.

Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and Not Yet Learnt", ICML 2022,
https://arxiv.org/abs/2206.07137. The reducible loss of a sample is its loss in the net as it is, minus its loss in a net that was
trained without it: low for what is learnt already, for noise, and for what no net learns. The losses of such nets come from
scoring runs (`held_out_loss`), which are charged, as is the forward pass over each pool.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor
from torch.nn import functional

from frugal.strategies.base import EpochPlan, Run, Strategy
from frugal.strategies.scored import scores_of


@dataclass
class Rho(Strategy):
    """Read `pool` batches at once, forward them, and train on one batch of them, each sample with weight 1.

    pool: batches, n_B / n_b of the paper
    """

    decides = ("samples",)
    single_device: ClassVar[bool] = True
    needs: ClassVar[dict[str, Any]] = {
        "classes": "it takes the loss of a class",
        "followed scores": "subtracts the losses that another run found",
    }

    pool: Annotated[int, Ge(1)] = 10

    def start(self, run: Run) -> None:
        """Raises FrugalError where no run is followed that scores all samples."""
        super().start(run)
        self.irreducible = scores_of(run, "rho")[:, -1]
        self.means: list[Tensor] = []  # of this epoch: reducible loss of what was chosen, of all

    def most_visited(self) -> int:
        """One of `pool` samples."""
        return self.run.samples // self.pool

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """Everything is read; what is trained on is chosen pool by pool. losses: (n,), not looked at."""
        self.means = []
        return EpochPlan()

    def batches_at_once(self) -> int:
        """A pool is read at once."""
        return self.pool

    def scoring_scale(self) -> float | None:
        """Every pool is forwarded in full size."""
        return 1.0

    def select_from(self, indices: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        """Of a pool, (c,), (c, classes), (c,): positions (m,) of the highest reducible losses, one of `pool`."""
        losses = functional.cross_entropy(logits.float(), labels, reduction="none")
        reducible = losses - self.irreducible[indices]
        chosen = reducible.topk(max(1, round(len(labels) / self.pool)))
        self.means.append(torch.stack([chosen.values.mean(), reducible.mean()]))
        return chosen.indices

    def evidence(self) -> dict[str, float | None]:
        """Mean reducible loss of the samples chosen in this epoch, and of all, in nats."""
        chosen, whole = torch.stack(self.means).mean(0).tolist() if self.means else (None, None)
        return {"pool_reducible_chosen": chosen, "pool_reducible": whole}

    def state_dict(self) -> dict[str, Any]:
        """What this epoch found so far."""
        return {"means": self.means}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.means = [pair.to(self.run.device) for pair in state["means"]]
