"""What is summed over the steps of one epoch, on the device."""

from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from frugal.measure.ledger import Ledger


@dataclass
class EpochSums:
    """Sums over the epoch's steps so far. curve: (steps,) mean loss of each batch; loss, correct: over its samples."""

    curve: Tensor
    loss: Tensor
    correct: Tensor
    started: dict[str, int] = field(default_factory=dict)  # ledger at the epoch's start

    @classmethod
    def of(cls, steps: int, device: torch.device, ledger: Ledger) -> "EpochSums":
        """Empty sums for an epoch of that many steps."""
        zero = torch.zeros((), dtype=torch.float64, device=device)
        return cls(torch.zeros(steps, device=device), zero, zero.clone(), asdict(ledger))

    def add(self, step: int, losses: Tensor, correct: Tensor) -> None:
        """One batch: losses and hits of its samples, (b,) each."""
        total = losses.sum()
        self.curve[step] = total / len(losses)
        self.loss += total
        self.correct += correct.sum()
