"""Stages of a curriculum over image sizes: which samples of an epoch are seen how large, small at first and whole at the end.

A stage ends where its share of the training is done, to the step, also within an epoch: the samples of such an epoch are
dealt at random to its parts, one for each stage. Images of k x k pixels cost a convolutional net about (k / N)^2 of what those
of N x N cost, so stages of sizes k_i that end at shares s_i of the training cost sum_i (s_i - s_(i-1)) (k_i / N)^2 of it.

Validation is on images of the last size throughout, so its curve says little before a net has trained on those: Touvron et al.,
"Fixing the train-test resolution discrepancy", NeurIPS 2019, https://arxiv.org/abs/1906.06423.
"""

from math import floor
from typing import Any

import torch
from torch import Tensor

from frugal.errors import FrugalError
from frugal.parameters import check_stages
from frugal.strategies.base import EpochPlan, Run


class Curriculum:
    """The hooks of a strategy with stages, which is derived from this and `Strategy`.

    stages: pairs of pixels per side and the share of the training up to which it holds; ahead: share of the samples, those
    with the highest last losses, that is seen at the size of the next stage
    """

    stages: Any
    ahead: float

    def __post_init__(self):
        try:
            stages = check_stages(self.stages)
        except ValueError as error:
            raise FrugalError(f"stages is {self.stages}; {error}") from error
        self.sizes, self.ends = [size for size, _ in stages], [share for _, share in stages]
        self.shares: dict[str, float] = {}  # of the samples that the last planned epoch visits, those seen at each size

    def start(self, run: Run) -> None:
        """Count the steps. All curricula draw alike, so that runs with the same seed and stages have the same batches."""
        super().start(run)
        self.generator = run.generator("curriculum")
        self.steps = max(1, floor(run.samples / run.batch_size + 0.5))  # of an epoch over all samples
        self.total = max(1, floor(run.epochs * self.steps + 0.5))  # of the training

    def stage_starts(self) -> list[int]:
        """The step of the training, from 0, that each stage begins with. The last stage has one step at least."""
        return [0, *(min(floor(end * self.total + 1e-9), self.total - 1) for end in self.ends[:-1])]

    def parts(self, epoch: int) -> list[tuple[int, int, int]]:
        """Stages of an epoch, each with the step of the epoch that it begins with and the one before which it ends."""
        starts = [start - epoch * self.steps for start in self.stage_starts()]
        ends = [*starts[1:], self.steps]
        spans = [(stage, max(0, a), min(self.steps, b)) for stage, (a, b) in enumerate(zip(starts, ends, strict=True))]
        return [(stage, a, b) for stage, a, b in spans if a < b]

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """A size and a part of the epoch for each sample. losses: (n,) last loss of each, inf where never seen."""
        n, parts = len(losses), self.parts(epoch)
        order = torch.randperm(n, generator=self.generator) if len(parts) > 1 else torch.arange(n)
        part = torch.zeros(n, dtype=torch.int64)
        for place, (_, first, last) in enumerate(parts):
            part[order[first * self.run.batch_size : self._samples(last)]] = place
        level = torch.tensor([self.sizes[stage] for stage, _, _ in parts])[part]
        hard = self._hard(losses)
        for place, (stage, _, _) in enumerate(parts if hard is not None else []):
            if stage + 1 < len(self.sizes):
                here = part == place
                level[self._ahead(here, hard & here)] = self.sizes[stage + 1]
        visited = level[order[: self._samples(self.total - epoch * self.steps)]]
        self.shares = {f"share_k{size}": (visited == size).double().mean().item() for size in self.sizes}
        return EpochPlan(level=level, part=part if len(parts) > 1 else None)

    def _samples(self, steps: int) -> int:
        """How many are visited in so many steps of an epoch."""
        return self.run.samples if steps >= self.steps else steps * self.run.batch_size

    def _hard(self, losses: Tensor) -> Tensor | None:
        """(n,) bool, the samples that are ahead; None where nothing tells them from the others. Unseen ones come first."""
        if not self.ahead or not losses.isfinite().any():
            return None
        hard = torch.zeros(len(losses), dtype=torch.bool)
        hard[losses.cpu().topk(round(self.ahead * len(losses))).indices] = True
        return hard

    def _ahead(self, here: Tensor, hard: Tensor) -> Tensor:
        """(n,) bool, samples of a part that are ahead: all or none where one of the two would be less than half a batch."""
        count, least = int(hard.sum()), self.run.batch_size / 2
        if count < least:
            return torch.zeros_like(hard)
        return here if int(here.sum()) - count < least else hard

    def test_level(self) -> int:
        """The net is used at the last stage's size."""
        return self.sizes[-1]

    def levels(self) -> list[int]:
        """The size of every stage."""
        return self.sizes

    def evidence(self) -> dict[str, float | None]:
        """Share of the epoch's samples at each size."""
        return self.shares

    def state_dict(self) -> dict[str, Any]:
        """The generator, and the shares of the epoch under way."""
        return {"shares": self.shares, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.shares = state["shares"]
        self.generator.set_state(state["generator"])
