"""Static pruning by scores: the same samples in every epoch, chosen by what a scoring run found, which is charged.

Hardest or easiest first: Paul, Ganguli & Dziugaite, "Deep Learning on a Data Diet", NeurIPS 2021, https://arxiv.org/abs/2107.07075,
and Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network Learning", ICLR 2019,
https://arxiv.org/abs/1812.05159. Coverage-centric (ccs): Zheng et al., "Coverage-centric Coreset Selection for High Pruning
Rates", ICLR 2023, https://arxiv.org/abs/2210.15809: the hardest `cutoff` of all samples, often mislabelled, is left out; the
range of the other scores is divided into `strata` of equal length, and the stratum with the fewest samples gives as many as is
its share of what is still to be chosen, or all it has, then the next.
"""

from dataclasses import dataclass
from math import floor
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from frugal.errors import FrugalError
from frugal.strategies.base import EpochPlan, Run, Strategy
from frugal.strategies.scored import as_mask, ascending, scores_of
from frugal.strategies.selection import count_of


@dataclass
class StaticScores(Strategy):
    """Visit the same share of the samples in every epoch, each with weight 1; samples that tie are drawn at random.

    share: of all samples, in (0, 1]; keep: those with the highest scores (hardest), the lowest (easiest), as many left out
    below as above (middle), or ccs; cutoff: share of all samples, the hardest, that ccs leaves out, at most 1 - share; strata:
    of ccs. Of several scores of a sample the last is taken.
    """

    decides = ("samples",)
    needs: ClassVar[dict[str, Any]] = {"followed scores": "chooses samples by the scores of another run"}

    share: Annotated[float, Gt(0), Le(1)] = 0.5
    keep: Literal["hardest", "easiest", "middle", "ccs"] = "hardest"
    cutoff: Annotated[float, Ge(0), Lt(1)] = 0.1
    strata: Annotated[int, Ge(1)] = 50

    def __post_init__(self):
        if self.keep == "ccs" and round(self.share + self.cutoff, 9) > 1:
            raise FrugalError(
                f"cutoff is {self.cutoff} and share {self.share}: they can't exceed 1 together; lower one of them"
            )

    def start(self, run: Run) -> None:
        """Choose the samples; raises FrugalError where no run is followed that scores all of them."""
        super().start(run)
        scores, generator = scores_of(run, "static_scores")[:, -1].cpu(), run.generator("static_scores")
        order, count = ascending(scores, generator), self.most_visited()
        if self.keep == "hardest":
            chosen = order[len(order) - count :]
        elif self.keep == "easiest":
            chosen = order[:count]
        elif self.keep == "middle":
            below = (len(order) - count) // 2
            chosen = order[below : below + count]
        else:
            candidates = order[: len(order) - min(floor(self.cutoff * len(order)), len(order) - count)]
            chosen = coverage_centric(scores, candidates, count, self.strata, generator)
        self.kept, self.scores_kept = as_mask(chosen, run.samples), scores[chosen].double().mean().item()

    def most_visited(self) -> int:
        """As many in each epoch: the share rounded down, at least one."""
        return count_of(self.share, self.run.samples)

    def plan_epoch(self, epoch: int, losses: Tensor) -> EpochPlan:
        """The chosen samples. losses: (n,), not looked at."""
        return EpochPlan(keep=self.kept)

    def evidence(self) -> dict[str, float | None]:
        """Share of the samples left out in this epoch, and the mean score of the others."""
        return {"pruned_share": 1 - self.most_visited() / self.run.samples, "threshold_score": self.scores_kept}

    def state_dict(self) -> dict[str, Any]:
        """The samples, so that a resumed run doesn't depend on how they were chosen."""
        return {"kept": self.kept, "scores_kept": self.scores_kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The counterpart of `state_dict`."""
        self.kept, self.scores_kept = state["kept"].cpu(), state["scores_kept"]


def coverage_centric(scores: Tensor, candidates: Tensor, count: int, strata: int, generator: torch.Generator) -> Tensor:
    """Of the candidates, exactly `count` samples that cover their range of scores, as algorithm 1 of Zheng et al. has it.

    scores: (n,); candidates: (m,) int64, at least `count`; returns (count,) int64
    """
    values = scores[candidates].double()
    low, length = values.min(), (values.max() - values.min()) / strata
    place = ((values - low) / length).long().clamp_(max=strata - 1) if length > 0 else torch.zeros(len(values)).long()
    members = [candidates[place == one] for one in place.unique().tolist()]
    members.sort(key=len)
    chosen = []
    for done, stratum in enumerate(members):
        taken = min(len(stratum), (count - sum(map(len, chosen))) // (len(members) - done))
        chosen.append(stratum[torch.randperm(len(stratum), generator=generator)[:taken]])
    return torch.cat(chosen)
