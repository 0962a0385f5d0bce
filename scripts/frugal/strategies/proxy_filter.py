"""Data filtering by a proxy: in each epoch the samples that are hardest for a small net at that stage of its training.

As in Jordan, cifar10-airbench, `airbench96_faster.py`, https://github.com/KellerJordan/cifar10-airbench: a small net is trained
ahead, and of each batch the large one trains on the half that had the highest losses there. Here the half is that of the whole
epoch, and the small net saw every sample with other crops and flips. It is a run of its own (`proxy`), charged in full.
"""

from dataclasses import dataclass
from math import floor
from typing import Annotated, Any, ClassVar

from annotated_types import Gt, Le
from torch import Tensor

from frugal.strategies.base import EpochPlan, Run, Strategy
from frugal.strategies.scored import as_mask, ascending, scores_of
from frugal.strategies.selection import count_of


@dataclass
class ProxyFilter(Strategy):
    """Visit the share of the samples with the highest scores of the epoch, each with weight 1; ties are drawn.

    share: of all samples, in (0, 1]. Where the scores are of more or fewer epochs, those of the same stage of the training count.
    """

    decides = ("samples",)
    needs: ClassVar[dict[str, Any]] = {"followed scores": "chooses samples by the scores of another run"}

    share: Annotated[float, Gt(0), Le(1)] = 0.5

    def start(self, run: Run) -> None:
        """Raises FrugalError where no run is followed that scores all samples."""
        super().start(run)
        self.table = scores_of(run, "proxy_filter").cpu()
        self.generator = run.generator("proxy_filter")

    def most_visited(self) -> int:
        """As many in each epoch: the share rounded down, at least one."""
        return count_of(self.share, self.run.samples)

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """The hardest for the small net. losses: (n,), not looked at."""
        columns = self.table.shape[1]
        column = min(columns - 1, floor(epoch * columns / self.run.epochs))
        order = ascending(self.table[:, column], self.generator)
        return EpochPlan(keep=as_mask(order[len(order) - self.most_visited() :], len(losses)))

    def evidence(self) -> dict[str, float | None]:
        """Share of the samples left out in this epoch."""
        return {"pruned_share": 1 - self.most_visited() / self.run.samples}

    def state_dict(self) -> dict[str, Any]:
        """The generator."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.generator.set_state(state["generator"])
