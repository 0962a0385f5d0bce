"""What one run executed, counted where it happened."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Ledger:
    """Sums over a run; saved with every checkpoint, so that a resumed run counts each step once.

    flops_*: executed in training; samples_*: sample visits; bytes_read: of training samples, as stored; bytes_raw: what the
    same visits would have read as uncompressed images; resumes: how often the run was continued from a checkpoint
    """

    steps: int = 0
    flops_forward: int = 0
    flops_backward: int = 0
    flops_scoring: int = 0
    flops_decoding: int = 0
    samples_forwarded: int = 0
    samples_backpropagated: int = 0
    bytes_read: int = 0
    bytes_raw: int = 0
    resumes: int = 0

    @property
    def flops_executed(self) -> int:
        """All FLOPs of training: forward, backward, scoring and decoding."""
        return self.flops_forward + self.flops_backward + self.flops_scoring + self.flops_decoding

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for records and checkpoints."""
        return {**asdict(self), "flops_executed": self.flops_executed}
