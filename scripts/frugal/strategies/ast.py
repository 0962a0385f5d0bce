"""Adaptive Sparse Training: warm up on everything, then train on the significant samples of every batch only.

O. Idiakhoa, "Two-Stage Adaptive Sparse Training for Efficient Deep Learning", in preparation, 2024,
https://github.com/oluwafemidiakhoa/adaptive-sparse-training. Its public form forwards every sample and masks the losses of
a full backward pass, which skips nothing (`scoring: masked`); the others really skip. Cost of a candidate relative to
training on it (forward 1, backward 2), keep rate a: masked 1, fresh (1 + 3a)/3, half (0.25 + 3a)/3, remembered a.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from frugal.strategies.base import EpochPlan, Run, Strategy
from frugal.strategies.controllers import ProportionalIntegral, Quantile, significance
from frugal.strategies.selection import SCALES


@dataclass
class AdaptiveSparseTraining(Strategy):
    """Select the samples whose significance exceeds a controlled threshold.

    target: keep rate, in (0, 1]; warmup: share of the epochs that train on everything first; scoring: masked (losses of a
    full batch are masked), fresh (a forward pass more), half (that pass at half resolution), remembered (what the net said
    when it last trained on the sample, so nothing is forwarded to decide); controller: pi (the source's, gains kp and ki)
    or quantile; rate_factor: multiplies the learning rate after the warm-up
    """

    decides = ("samples",)
    single_device: ClassVar[bool] = True
    needs: ClassVar[dict[str, Any]] = {
        "images": {"scoring": {"half": "scoring half shrinks them"}},
        "sizes": {"scoring": {"half": "scoring half forwards images of half the size"}},
        "unmixed": {
            "scoring": {
                "masked": "judges a sample by its own label while it trains on it",
                "remembered": "judges a sample by its own label while it trains on it",
            }
        },
        "whole batches": {"scoring": {"masked": "masks the losses of whole batches"}},
    }

    target: Annotated[float, Gt(0), Le(1)] = 0.4
    warmup: Annotated[float, Ge(0), Lt(1)] = 0.2
    scoring: Literal["masked", "fresh", "half", "remembered"] = "fresh"
    controller: Literal["pi", "quantile"] = "pi"
    kp: Annotated[float, Ge(0)] = 0.005
    ki: Annotated[float, Ge(0)] = 0.0001
    rate_factor: Annotated[float, Gt(0)] = 1.0

    def start(self, run: Run) -> None:
        """A controller, and for remembered scores one place per sample, inf where it was never trained on."""
        super().start(run)
        self.generator = run.generator("ast")
        self.warmup_epochs = round(self.warmup * run.epochs)
        self.sparse = False
        self.control = (
            ProportionalIntegral(self.target, self.kp, self.ki, run.device)
            if self.controller == "pi"
            else Quantile(self.target, run.device)
        )
        self.scores = torch.full((run.samples,), float("inf"), device=run.device)
        self.log: list[Tensor] = []  # per batch of candidates in this epoch: rate, threshold

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """Everything in the warm-up; then what is left to be selected batch by batch, or is selected by memory here."""
        self.sparse, self.log = epoch >= self.warmup_epochs, []
        if not (self.sparse and self.scoring == "remembered"):
            return EpochPlan()
        order = torch.randperm(len(losses), generator=self.generator).to(losses.device)
        kept = [batch[self._choose(self.scores[batch])] for batch in order.split(self.run.batch_size)]
        return EpochPlan(order=torch.cat(kept))

    def _choose(self, scores: Tensor) -> Tensor:
        """scores (b,) -> mask (b,), logged."""
        mask = self.control.select(scores)
        self.log.append(torch.stack([mask.double().mean(), self.control.threshold]))
        return mask

    def scoring_scale(self) -> float | None:
        """At which size candidates are forwarded only to be scored; None where they are not."""
        return SCALES.get(self.scoring) if self.sparse else None

    def select(self, logits: Tensor, labels: Tensor) -> Tensor:
        """From a scoring pass: (b, classes), (b,) -> positions (m,) of the significant samples."""
        return self.control.positions(self._choose(significance(logits, labels)))

    def after_forward(self, indices: Tensor, logits: Tensor, labels: Tensor) -> Tensor | None:
        """From a training pass: remember the scores, or mask the losses."""
        if self.scoring == "remembered":
            self.scores.index_copy_(0, indices, significance(logits, labels))
        elif self.scoring == "masked" and self.sparse:
            return self._choose(significance(logits, labels))
        return None

    def learning_rate(self, scheduled: float) -> float:
        """The recipe's, times `rate_factor` after the warm-up."""
        return scheduled * self.rate_factor if self.sparse else scheduled

    def trace(self) -> dict[str, Tensor]:
        """Of each batch of candidates in this epoch: activation rate, threshold after it, and rate minus target."""
        if not self.log:
            return {}
        rate, threshold = torch.stack(self.log).T
        return {"activation_rate": rate, "threshold": threshold, "tracking_error": rate - self.target}

    def evidence(self) -> dict[str, float | None]:
        """Of this epoch: whether it was sparse, mean activation rate, last threshold, mean and root mean square of the error."""
        trace = self.trace()
        rate = trace["activation_rate"].mean().item() if trace else None
        error = trace["tracking_error"] if trace else None
        return {
            "sparse": float(self.sparse),
            "target_rate": self.target if self.sparse else None,
            "activation_rate": rate,
            "threshold": trace["threshold"][-1].item() if trace else None,
            "tracking_error": None if error is None else error.mean().item(),
            "tracking_error_rms": None if error is None else error.square().mean().sqrt().item(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Generator, stage, controller, remembered scores and the epoch's log."""
        return {
            "generator": self.generator.get_state(),
            "sparse": self.sparse,
            "control": self.control.state_dict(),
            "scores": self.scores,
            "log": self.log,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.generator.set_state(state["generator"])
        self.sparse = state["sparse"]
        self.control.load_state_dict(state["control"])
        self.scores.copy_(state["scores"])
        self.log = [pair.to(self.run.device) for pair in state["log"]]
