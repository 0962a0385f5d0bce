"""Importance sampling by a bound of the gradient's norm, switched on only where it pays.

Katharopoulos & Fleuret, "Not All Samples Are Created Equal: Deep Learning with Importance Sampling", ICML 2018,
https://arxiv.org/abs/1803.00942. Of B samples drawn uniformly, forwarded and scored, b are drawn with replacement, with
probability p_i = g_i / sum g, and weigh 1 / (B p_i) in the loss: the expected gradient is the mean one of the B. Here
g_i = || softmax(z_i) - y_i ||, the norm of the gradient at the outputs z of the last layer, to which that of the whole gradient
is bounded. This lowers the variance as a batch tau times as large would, tau = sqrt(B sum p^2), smoothed over steps. Scoring B
and training on b cost B + 3b (forward 1, backward 2), a batch tau times as large 3 tau b: so it is on while
tau > (B + 3b) / (3b), and batches are uniform before. B = 3b and a momentum of 0.9 are the defaults of the authors' code,
https://github.com/idiap/importance-sampling.
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Lt
from torch import Tensor
from torch.nn import functional

from frugal.strategies.base import EpochPlan, Run, Strategy


@dataclass
class GradientNorm(Strategy):
    """Read samples in sets of `presample` batches; train on all of them, or on one batch drawn from them.

    presample: B / b; threshold: tau above which importance sampling is on, by default where it pays; momentum: weight of
    the past in tau. Whether it is on is decided for each set, asking the device once.
    """

    decides = ("samples",)
    single_device: ClassVar[bool] = True
    needs: ClassVar[dict[str, Any]] = {"unmixed": "draws samples by the gradient of their own labels"}

    presample: Annotated[int, Ge(1)] = 3
    threshold: Annotated[float, Ge(0)] | None = None
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9

    def start(self, run: Run) -> None:
        """A generator of its own where the scores lie, and a tau of 0: no gain is known yet."""
        super().start(run)
        self.generator = run.generator("gradient_norm", run.device)
        self.bound = (self.presample + 3) / 3 if self.threshold is None else self.threshold
        self.tau = torch.zeros((), dtype=torch.float64, device=run.device)
        self.on = False
        self.steps: list[bool] = []  # of this epoch: whether it was on

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """Everything is read; what is trained on is drawn set by set. losses: (n,), not looked at."""
        self.steps = []
        return EpochPlan()

    def batches_at_once(self) -> int:
        """A set is read at once."""
        return self.presample

    def scoring_scale(self) -> float | None:
        """Full size where importance sampling pays, else None."""
        self.on = self.tau.item() > self.bound
        return 1.0 if self.on else None

    def select(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """From a scoring pass, (c, classes) and (c,): positions (m,) drawn with replacement, and their weights (m,)."""
        norms = self._norms(logits, labels)
        self._update(norms)
        if not norms.any():
            norms = torch.ones_like(norms)
        p = norms / norms.sum()
        drawn = p.multinomial(max(1, round(len(p) / self.presample)), replacement=True, generator=self.generator)
        return drawn, 1 / (len(p) * p[drawn])

    def after_forward(self, indices: Tensor, logits: Tensor, labels: Tensor) -> None:
        """From a training pass, (b,), (b, classes), (b,): a uniform batch tells what importance sampling would gain."""
        self.steps.append(self.on)
        if not self.on:
            self._update(self._norms(logits, labels))

    def _norms(self, logits: Tensor, labels: Tensor) -> Tensor:
        """|| softmax - target || of each sample, (b, classes) and (b,) -> (b,)."""
        smoothing, classes = self.run.label_smoothing, logits.shape[1]
        target = functional.one_hot(labels, classes) * (1 - smoothing) + smoothing / classes
        return (logits.detach().float().softmax(1) - target).norm(dim=1)

    def _update(self, norms: Tensor) -> None:
        p = norms.double() / norms.double().sum().clamp_min(torch.finfo(torch.float64).tiny)
        gain = (len(p) * p.square().sum()).sqrt().clamp_min(1)  # 1 where all norms are zero
        self.tau = self.momentum * self.tau + (1 - self.momentum) * gain

    def evidence(self) -> dict[str, float | None]:
        """tau at the end of this epoch, and the share of its steps for which a batch was drawn by importance."""
        share = sum(self.steps) / len(self.steps) if self.steps else None
        return {"tau": self.tau.item(), "importance_share": share}

    def state_dict(self) -> dict[str, Any]:
        """Generator, tau and what this epoch did so far."""
        return {"generator": self.generator.get_state(), "tau": self.tau, "on": self.on, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.generator.set_state(state["generator"])
        self.tau, self.on, self.steps = state["tau"].to(self.run.device), state["on"], list(state["steps"])
