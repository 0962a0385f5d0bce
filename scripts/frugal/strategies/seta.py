"""SeTa: leave out samples at random, then those too hard or too easy, by a window that slides over clusters of losses.

Zhou, Gao and Wang, "Scale Efficient Training for Large Datasets", CVPR 2025, https://arxiv.org/abs/2503.13385, with the
authors' code (https://github.com/mrazhou/SeTa) where it is more exact. In epoch t (from 0):
1. draw floor((1 - r) n) samples uniformly;
2. cluster their last losses by k-means and order the k clusters from easy to hard;
3. train on w = round(k * window) neighbouring clusters, from the one numbered t mod (k - w + 1) on: the window moves from easy
   to hard and begins again. The first epoch takes all clusters.
The last epochs anneal partially: they train on what step 1 draws. Every weight is 1.

Ours: k-means sees at most 65,536 of the losses, which fixes the cluster borders of millions as well; and a drawn sample that
was never seen, for which the authors' code invents a loss of 3, belongs to no cluster and is visited.
"""

from dataclasses import dataclass
from math import floor
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from frugal.errors import needs_extra
from frugal.strategies.base import EpochPlan, Run, Strategy
from frugal.strategies.selection import check_losses, draw, number, selecting_epochs

with needs_extra("data", "groups of samples by k-means"):
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

MOST_CLUSTERED = 2**16


@dataclass
class SeTa(Strategy):
    """Visit a random share of the samples, and of those the clusters of losses that lie in this epoch's window.

    prune_ratio: share r left out at random in every epoch, in [0, 1)
    groups: number k of clusters; window: share of the clusters in the window, in (0, 1]
    delta: share of the epochs that use the window, in (0, 1]
    """

    decides = ("samples",)

    prune_ratio: Annotated[float, Ge(0), Lt(1)] = 0.1
    groups: Annotated[int, Ge(1)] = 5
    window: Annotated[float, Gt(0), Le(1)] = 0.9
    delta: Annotated[float, Gt(0), Le(1)] = 0.875

    def start(self, run: Run) -> None:
        """A generator of its own where the losses lie."""
        super().start(run)
        self.generator = run.generator("seta", run.device)
        self.window_epochs = selecting_epochs(self.delta, run.epochs)
        self.drawn = max(1, floor(round((1 - self.prune_ratio) * run.samples, 9)))
        self.pruned_share, self.low, self.high = 0.0, None, None

    def most_visited(self) -> int:
        """Those drawn; how many of them the window leaves depends on their losses."""
        return self.drawn

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """Which samples are visited. losses: (n,) last loss of each, inf where never seen."""
        check_losses(losses, self.run.samples)
        self.low = self.high = None
        keep = draw(torch.ones_like(losses, dtype=torch.bool), self.drawn, self.generator)
        if 0 < epoch < self.window_epochs:
            seen = losses[keep & losses.isfinite()]
            if len(seen):
                self.low, self.high = self._window(epoch, self._borders(seen))
        if self.low is not None:
            keep &= losses >= self.low
        if self.high is not None:
            keep &= (losses < self.high) | losses.isinf()
        self.pruned_share = 1 - number(keep) / len(losses)
        return EpochPlan(keep=keep)

    def _borders(self, seen: Tensor) -> list[float]:
        """Losses at which one cluster ends and the next begins, ascending; one less than there are clusters."""
        if len(seen) > MOST_CLUSTERED:
            seen = seen[torch.randint(len(seen), (MOST_CLUSTERED,), generator=self.generator, device=seen.device)]
        values = seen.cpu().double().numpy()[:, None]
        groups = min(self.groups, len(np.unique(values)))
        with threadpool_limits(1):  # sums of several threads come in any order, and ranks would disagree
            centres = np.sort(KMeans(groups, random_state=0).fit(values).cluster_centers_[:, 0])
        return ((centres[1:] + centres[:-1]) / 2).tolist()  # in one dimension the nearest centre changes half-way

    def _window(self, epoch: int, borders: list[float]) -> tuple[float | None, float | None]:
        """Losses from which and up to which samples are visited; None for an open end."""
        groups = len(borders) + 1
        width = max(1, round(groups * self.window))
        first = epoch % (groups - width + 1)
        low = borders[first - 1] if first > 0 else None
        return low, borders[first + width - 1] if first + width < groups else None

    def evidence(self) -> dict[str, float | None]:
        """Share of the samples left out in this epoch, and the losses between which they were visited, None for an open end."""
        return {"pruned_share": self.pruned_share, "window_low": self.low, "window_high": self.high}

    def state_dict(self) -> dict[str, Any]:
        """The generator and the last evidence."""
        return {"generator": self.generator.get_state(), "evidence": self.evidence()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.generator.set_state(state["generator"])
        self.pruned_share, self.low, self.high = state["evidence"].values()
