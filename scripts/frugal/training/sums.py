"""What is summed over the steps of one epoch, on the device."""

from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from frugal.measure.ledger import Ledger


@dataclass
class EpochSums:
    """Sums over the epoch's steps so far.

    curve: (at most that many,) mean loss of each batch; loss, correct: over their samples; steps, samples: how many so far
    """

    curve: Tensor
    loss: Tensor
    correct: Tensor
    steps: int = 0
    samples: int = 0
    started: dict[str, int] = field(default_factory=dict)  # ledger at the epoch's start

    @classmethod
    def of(cls, steps: int, device: torch.device, ledger: Ledger) -> "EpochSums":
        """Empty sums for an epoch of that many steps."""
        zero = torch.zeros((), dtype=torch.float64, device=device)
        return cls(torch.zeros(steps, device=device), zero, zero.clone(), started=asdict(ledger))

    def add(self, losses: Tensor, correct: Tensor) -> None:
        """One batch: losses and hits of its samples, (b,) each."""
        total = losses.sum()
        self.curve[self.steps] = total / len(losses)
        self.loss += total
        self.correct += correct.sum()
        self.steps += 1
        self.samples += len(losses)

    @property
    def losses(self) -> Tensor:
        """(steps,) mean loss of each batch so far."""
        return self.curve[: self.steps]
