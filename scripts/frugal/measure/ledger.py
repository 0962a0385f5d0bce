"""Ledger of one run: the steps, samples, FLOPs and bytes that it executed, counted where they happen."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Ledger:
    """Sums over a run; saved with every checkpoint, so that a resumed run counts each step once.

    flops_*: executed in training, None once a part of them couldn't be counted; samples_*: sample visits; bytes_read: of
    training samples, as stored; bytes_raw: what the same visits would have read as uncompressed images; resumes: how often
    the run was continued from a checkpoint; uncounted_steps: of any optimizer, taken by other code than the loop's
    """

    steps: int = 0
    flops_forward: int | None = 0
    flops_backward: int | None = 0
    flops_scoring: int | None = 0
    flops_decoding: int = 0
    samples_forwarded: int = 0
    samples_backpropagated: int = 0
    bytes_read: int = 0
    bytes_raw: int = 0
    resumes: int = 0
    uncounted_steps: int = 0

    def add_flops(self, kind: str, samples: int, each: int | None) -> None:
        """Count a pass of so many samples. kind: "forward", "backward" or "scoring"; each: FLOPs of one, None if unknown."""
        name = f"flops_{kind}"
        so_far = getattr(self, name)
        setattr(self, name, None if so_far is None or each is None else so_far + samples * each)

    @property
    def flops_executed(self) -> int | None:
        """All FLOPs of training: forward, backward, scoring and decoding; None where one of them is."""
        parts = self.flops_forward, self.flops_backward, self.flops_scoring, self.flops_decoding
        return None if None in parts else sum(parts)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for records and checkpoints."""
        return {**asdict(self), "flops_executed": self.flops_executed}
