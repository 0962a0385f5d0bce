"""Importance-aware progressive compression: hard samples are read with many DCT coefficients, easy ones with few.

"Progressive Importance-Aware Data Compression for Efficient Deep Learning Training" (notes on experiments; author and year
not named), whose masks never reached its network. See also Kuchnik et al., "Progressive Compressed Records: Taking a Byte out
of Deep Learning Data", VLDB 2021, https://arxiv.org/abs/1911.00472. Ours adds spectral decoding, annealing, and a control with
the same shares.
"""

from dataclasses import dataclass
from math import ceil
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Le, Lt
from torch import Tensor

from frugal.errors import FrugalError
from frugal.parameters import Level
from frugal.strategies.base import EpochPlan, Run, Strategy


@dataclass
class Compression(Strategy):
    """Read sample i at k_hi if it has not been seen or its last loss exceeds a threshold, else at k_lo.

    k_hi, k_lo: DCT coefficients per axis; without k_lo every sample is read at k_hi
    rule: the threshold is the `median` of the last losses, a `fixed` number, or `ema`, the moving average of the epochs'
        mean loss; `random` draws the samples, as many at k_hi as the run it follows had
    threshold: of rule `fixed`, in nats
    decay: of rule `ema`, the weight of the past
    anneal: share of the epochs, at the end, that reads every sample at k_hi
    decode: `native` gives N x N pixels from k x k coefficients, `spectral` k x k pixels and so less work for the network
    """

    decides = ("fidelity",)
    reads = "coefficients"
    tells = ("shares",)
    ascending = (("k_lo", "k_hi"),)
    needs: ClassVar[dict[str, Any]] = {
        "images": "it reads DCT coefficients",
        "sizes": {"decode": {"spectral": "decode: spectral trains on images of k x k pixels"}},
        "followed shares": {"rule": {"random": "with rule random repeats the shares of another run"}},
    }

    k_hi: Level
    k_lo: Level | None = None
    rule: Literal["median", "fixed", "ema", "random"] = "fixed"
    threshold: Annotated[float, Ge(0)] = 0.5
    decay: Annotated[float, Ge(0), Lt(1)] = 0.9
    anneal: Annotated[float, Ge(0), Le(1)] = 0.0
    decode: Literal["native", "spectral"] = "native"

    def __post_init__(self):
        if self.k_lo is not None and self.k_lo > self.k_hi:
            raise FrugalError(f"k_lo is {self.k_lo} and k_hi {self.k_hi}; the low level can't exceed the high one")
        self.spectral = self.decode == "spectral"
        self.average: float | None = None  # of the epochs' mean loss
        self.limit: float | None = None  # the threshold in force
        self.level: Tensor | None = None  # of each sample in the last planned epoch
        self.flip_rate: float | None = None

    def start(self, run: Run) -> None:
        """Raises FrugalError for a random control that follows no run, or one of fewer epochs."""
        super().start(run)
        self.generator = run.generator("compression")
        if self.rule == "random":
            self.followed = run.repeated("rule random repeats the shares")

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """A level for each sample. losses: (n,) last loss of each, inf where never seen."""
        hard = self._hard(epoch, losses)
        if self.k_lo is None or epoch >= self.run.epochs - ceil(round(self.anneal * self.run.epochs, 9)):
            hard = torch.ones_like(hard)
        if self.spectral and hard.sum() in (1, len(hard) - 1):
            # Batches hold one level only, and one sample alone has no batch statistics: it goes with the others.
            hard = torch.full_like(hard, bool(hard.sum() > 1))
        level = torch.where(hard, self.k_hi, self.k_lo or self.k_hi)
        self.flip_rate = None if self.level is None else (level != self.level).double().mean().item()
        self.level = level
        return EpochPlan(level=level)

    def _hard(self, epoch: int, losses: Tensor) -> Tensor:
        """(n,) bool: which samples deserve k_hi. Sets the threshold in force."""
        if self.rule == "random":
            return self._drawn(epoch, losses)
        seen = losses[losses.isfinite()].double()
        if len(seen) == 0:
            self.limit = None
            return torch.ones_like(losses, dtype=torch.bool)
        if self.rule == "median":
            self.limit = seen.median().item()
        elif self.rule == "fixed":
            self.limit = self.threshold
        else:
            mean = seen.mean().item()
            self.average = mean if self.average is None else self.decay * self.average + (1 - self.decay) * mean
            self.limit = self.average
        return losses > self.limit  # inf, never seen, is above any threshold

    def _drawn(self, epoch: int, losses: Tensor) -> Tensor:
        """As many samples at random as the followed run read at k_hi in this epoch."""
        share = self.followed[epoch][f"share_k{self.k_hi}"]
        chosen = torch.randperm(len(losses), generator=self.generator)[: round(share * len(losses))]
        hard = torch.zeros(len(losses), dtype=torch.bool)
        hard[chosen] = True
        return hard.to(losses.device)

    def test_level(self) -> int:
        """The net is used at k_hi."""
        return self.k_hi

    def levels(self) -> list[int]:
        """k_lo and k_hi."""
        return sorted({self.k_hi, self.k_lo or self.k_hi})

    def evidence(self) -> dict[str, float | None]:
        """Share of samples per level, share that changed level since the epoch before, threshold in force."""
        shares = {f"share_k{k}": (self.level == k).double().mean().item() for k in self.levels()}
        return {**shares, "flip_rate": self.flip_rate, "threshold": self.limit}

    def state_dict(self) -> dict[str, Any]:
        """Averages, last levels and the generator."""
        return {
            "average": self.average,
            "limit": self.limit,
            "level": self.level,
            "flip_rate": self.flip_rate,
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.average, self.limit, self.flip_rate = state["average"], state["limit"], state["flip_rate"]
        self.level = None if state["level"] is None else state["level"].to(self.run.device)
        self.generator.set_state(state["generator"])
