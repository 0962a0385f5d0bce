"""Ledger of one run: the steps, samples, FLOPs and bytes that it executed, counted where they happen, or was charged with."""

from dataclasses import dataclass, fields
from typing import Any


@dataclass
class Ledger:
    """Sums over a run; saved with every checkpoint, so that a resumed run counts each step once.

    flops_*: executed in training, None once a part of them couldn't be counted; samples_*: sample visits; bytes_read: of
    training samples, as stored; bytes_raw: what the same visits would have read as uncompressed images; resumes: how often
    the run was continued from a checkpoint; uncounted_steps: of any optimizer, taken by other code than the loop's;
    skipped_steps: of `steps`, those after which the weights stayed as they were, since a gradient overflowed in float16;
    charged_*: spent beside the batches of the epochs, by the run whose scores this one uses; of samples_backpropagated also in
    passes that only score. It is in no other field.
    """

    steps: int = 0
    flops_forward: int | None = 0
    flops_backward: int | None = 0
    flops_scoring: int | None = 0
    flops_decoding: int = 0
    flops_optimizer: int = 0
    samples_forwarded: int = 0
    samples_backpropagated: int = 0
    bytes_read: int = 0
    bytes_raw: int = 0
    resumes: int = 0
    uncounted_steps: int = 0
    skipped_steps: int = 0
    charged_flops: int | None = 0
    charged_samples_forwarded: int = 0
    charged_samples_backpropagated: int = 0
    charged_bytes_read: int = 0
    charged_bytes_raw: int = 0

    def add_flops(self, kind: str, samples: int, each: int | None) -> None:
        """Count a pass of so many samples. kind: "forward", "backward" or "scoring"; each: FLOPs of one, None if unknown."""
        name = f"flops_{kind}"
        so_far = getattr(self, name)
        setattr(self, name, None if so_far is None or each is None else so_far + samples * each)

    @property
    def flops_executed(self) -> int | None:
        """All FLOPs of training: passes, decoding, products of the optimizer, and those charged; None where one of them is."""
        passes = self.flops_forward, self.flops_backward, self.flops_scoring
        parts = *passes, self.flops_decoding, self.flops_optimizer, self.charged_flops
        return None if None in parts else sum(parts)

    def whole(self, name: str) -> int:
        """Samples or bytes with what was charged. name: samples_forwarded, samples_backpropagated, bytes_read or bytes_raw."""
        return getattr(self, name) + getattr(self, f"charged_{name}")

    def charge(self, spent: "Charge") -> None:
        """Charge what the run spent whose scores this one uses; its seconds and joules belong to the record, not to a count."""
        self.charged_flops = spent.flops_executed
        for name in ("samples_forwarded", "samples_backpropagated", "bytes_read", "bytes_raw"):
            setattr(self, f"charged_{name}", getattr(spent, name))


@dataclass(frozen=True)
class Charge:
    """What a run spent, all of it, to be charged to each run that uses its scores: that is what each would cost by itself.

    As in its metrics.json, by the same names; None where it isn't known.
    """

    flops_executed: int | None
    samples_forwarded: int
    samples_backpropagated: int
    bytes_read: int
    bytes_raw: int
    train_seconds: float
    cpu_seconds: float | None
    train_queued_seconds: float | None
    train_idle_seconds: float | None
    energy_joules: float | None

    @classmethod
    def of(cls, figures: dict[str, Any]) -> "Charge":
        """From the content of a metrics.json; raises KeyError where it lacks one of them."""
        return cls(**{field.name: figures[field.name] for field in fields(cls)})

    @property
    def counts(self) -> dict[str, int | None]:
        """What is the same again where the run is made anew: all but seconds and joules."""
        return {field.name: getattr(self, field.name) for field in fields(self)[:5]}
