"""Forgetting events: how often a sample that was right is wrong when it is trained on again; a scoring run for others to use.

Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network Learning", ICLR 2019,
https://arxiv.org/abs/1812.05159. An answer counts as the net gave it in the training step, augmentation and all. A sample that
was never right has the highest score.
"""

from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from frugal.strategies.base import Run, Strategy, TrainingState


@dataclass
class Forgetting(Strategy):
    """Train on everything and count the events of each sample. passes: epochs, by default those of the recipe."""

    decides = ("samples",)
    tells = ("scores",)
    needs: ClassVar[dict[str, Any]] = {
        "classes": "it asks whether an answer is right",
        "unmixed": "asks whether the answer to a sample is right",
    }

    passes: Annotated[int, Ge(1)] | None = None

    def start(self, run: Run) -> None:
        """No sample was right so far."""
        super().start(run)
        self.events = torch.zeros(run.samples, dtype=torch.int32, device=run.device)
        self.right = torch.zeros(run.samples, dtype=torch.bool, device=run.device)
        self.learnt = torch.zeros(run.samples, dtype=torch.bool, device=run.device)
        self.ended, self.done = False, 0.0

    def length(self, planned: float, training: TrainingState) -> float:
        """The recipe's, or as many as `passes`."""
        return self.passes or planned

    def settled_since(self) -> None:
        """Early stopping doesn't end it: events are counted over all epochs."""

    def after_step(self, training: TrainingState) -> None:
        """Compare the answers of this step with the last ones to the same samples."""
        samples, right = training.answered
        right = right.bool()
        self.events[samples] += self.right[samples] & ~right
        self.right[samples] = right
        self.learnt[samples] |= right

    def after_epoch(self, training: TrainingState) -> None:
        """Take down how far it came."""
        self.ended, self.done = training.ended, training.position

    def evidence(self) -> dict[str, float | None]:
        """Events of a sample so far, mean; share of the samples that were right at least once; passes over the whole data."""
        learnt = self.learnt.double().mean().item()
        return {"forgetting_events": self.events.double().mean().item(), "learnt_share": learnt, "passes": self.done}

    def sample_scores(self) -> Tensor | None:
        """(n,) events; one more than the epochs, which no count reaches, of samples that were never right."""
        most = ceil(self.passes or self.run.epochs) + 1
        return torch.where(self.learnt, self.events, most).float() if self.ended else None

    def state_dict(self) -> dict[str, Any]:
        """Events, last answers, and which samples were ever right."""
        names = ("events", "right", "learnt", "ended", "done")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        for name in ("events", "right", "learnt"):
            getattr(self, name).copy_(state[name])
        self.ended, self.done = state["ended"], state["done"]
