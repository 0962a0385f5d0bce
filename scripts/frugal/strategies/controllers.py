"""Controllers of Adaptive Sparse Training: which scores of a batch are high enough to train on.

The controller of Idiakhoa (2024; cited in full in `frugal.strategies.ast`) moves a threshold by proportion and integral of
the error (PI); ours takes the quantile of the scores. A controller lives on the device of the scores; what it logs is never
asked back from it. The score is the significance of a sample: its loss, and how undecided the net is about it.
"""

from math import ceil, floor

import torch
from torch import Tensor
from torch.nn import functional

TAU_START, TAU_LOW, TAU_HIGH = 3.0, 0.5, 10.0
INTEGRAL = 100.0  # its clamp
SMOOTHING = 0.1  # of the moving average of the rate
FLOOR_SHARE, FLOOR_COUNT = 0.1, 2  # at least this much of a batch is selected


class ProportionalIntegral:
    """The source's controller, clamps included.

    ema = 0.1 rate + 0.9 ema, from the target on; e = ema - target; within 0.5 < tau < 10 the integral sums e, clamped to
    +-100, at a bound it decays by 0.9; tau = clip(tau + kp e + ki integral, 0.5, 10), from 3 on. Steps have the scale of the
    losses the gains were made for: where the scores are of another scale, the rate misses its target for long.
    """

    def __init__(self, target: float, kp: float, ki: float, device: torch.device):
        self.target, self.kp, self.ki = target, kp, ki
        self.tau, self.ema, self.integral = (
            torch.tensor(value, device=device, dtype=torch.float64) for value in (TAU_START, target, 0.0)
        )

    def select(self, scores: Tensor) -> Tensor:
        """scores (b,) -> mask (b,) of those above the threshold, and of the highest max(2, 10 %) in any case."""
        mask = scores > self.tau
        least = min(len(scores), max(FLOOR_COUNT, ceil(FLOOR_SHARE * len(scores))))
        mask[scores.topk(least).indices] = True
        self._update(mask.double().mean())
        return mask

    def positions(self, mask: Tensor) -> Tensor:
        """The selected positions (m,) of a mask. How many they are is asked from the device: only the scores decide it."""
        return mask.nonzero().squeeze(1)

    def _update(self, rate: Tensor) -> None:
        self.ema = SMOOTHING * rate + (1 - SMOOTHING) * self.ema
        error = self.ema - self.target
        inside = (self.tau > TAU_LOW) & (self.tau < TAU_HIGH)
        summed = (self.integral + error).clamp(-INTEGRAL, INTEGRAL)
        self.integral = torch.where(inside, summed, 0.9 * self.integral)
        self.tau = (self.tau + self.kp * error + self.ki * self.integral).clamp(TAU_LOW, TAU_HIGH)

    @property
    def threshold(self) -> Tensor:
        """The one in force for the next batch, a scalar."""
        return self.tau

    def state_dict(self) -> dict[str, Tensor]:
        """The three numbers it moves."""
        return {"tau": self.tau, "ema": self.ema, "integral": self.integral}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The counterpart of `state_dict`."""
        self.tau, self.ema, self.integral = (state[name].to(self.tau.device) for name in ("tau", "ema", "integral"))


class Quantile:
    """The highest scores of each batch, as many as the target asks for: it holds by construction, whatever the scale.

    What rounding leaves over is carried to the next batch, so that small batches hold it too.
    """

    def __init__(self, target: float, device: torch.device):
        self.target, self.seen, self.selected, self.count = target, 0, 0, 0
        self.threshold = torch.tensor(float("nan"), device=device, dtype=torch.float64)

    def select(self, scores: Tensor) -> Tensor:
        """scores (b,) -> mask (b,) of the highest; it may be empty where the target is below one sample of a batch."""
        self.seen += len(scores)
        count = min(len(scores), floor(round(self.target * self.seen, 6)) - self.selected)
        self.selected, self.count = self.selected + count, count
        top = scores.topk(count)
        if count:
            self.threshold = top.values[-1].double()
        mask = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
        mask[top.indices] = True
        return mask

    def positions(self, mask: Tensor) -> Tensor:
        """The selected positions (m,) of the mask that `select` gave last; their number is known, so nothing is asked."""
        return mask.nonzero_static(size=self.count).squeeze(1)

    def state_dict(self) -> dict[str, Tensor | int]:
        """How many it has seen and selected."""
        return {"seen": self.seen, "selected": self.selected, "threshold": self.threshold}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """The counterpart of `state_dict`."""
        self.seen, self.selected = state["seen"], state["selected"]
        self.threshold = state["threshold"].to(self.threshold.device)


LOSS, ENTROPY = 0.7, 0.3  # weights of the significance in Idiakhoa, 2024, see `frugal.strategies.ast`


def significance(logits: Tensor, labels: Tensor) -> Tensor:
    """0.7 cross-entropy + 0.3 entropy of the prediction, both in nats; logits (b, classes), labels (b,) -> (b,) float32."""
    logs = functional.log_softmax(logits.detach().float(), dim=1)
    entropy = -(logs.exp() * logs).sum(1)
    return LOSS * functional.nll_loss(logs, labels, reduction="none") + ENTROPY * entropy
