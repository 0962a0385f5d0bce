"""Batches that a loop trains on, chosen from those of its loader by a strategy that forwards candidates to score them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from frugal.errors import FrugalError
from frugal.loops.candidates import Due, answer, shrunk, tensors_of, with_tensors
from frugal.loops.fitting import check_data


class Selected:
    """What `Frugal.select` returns. Iterating over it is an epoch; its length is that of the loader, which is the most it gives.

    training: a `frugal.loops.plain.Frugal`; loader: of candidates; score: batch -> logits (b, classes) and labels (b,); longest:
    whether the length is that of an epoch which leaves nothing out, for loops that ask once for all
    """

    def __init__(
        self,
        training: Any,
        loader: Iterable[Any],
        score: Callable[[Any], tuple[Tensor, Tensor]] | None = None,
        longest: bool = False,
    ):
        check_data(getattr(loader, "dataset", None), training.run.samples)
        self.training, self.loader, self.longest = training, loader, longest
        self.score = score or (lambda batch: answer(training.model, batch))

    def __len__(self) -> int:
        return self.training.most_batches() if self.longest else len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        training = self.training
        training.selecting = mine = object()  # an iterator that was left may end when the next is at work
        try:
            yield from self._batches()
            training.settle()
        finally:
            if training.selecting is mine:
                training.selecting = training.due = None

    def _batches(self) -> Iterator[Any]:
        training, strategy = self.training, self.training.strategy
        if training.resumed and training.waiting.full(training.batch_size):  # saved between the batches of one set
            yield from self._gathered()
            training.settle()
            if training.batches is None:  # it was the last set, and the loader would begin the next epoch
                return
        for raw in self.loader:
            due, observed = training.take()
            if not (training.picks or observed):
                yield from self._offer(raw, due)
                continue
            batch = with_tensors(raw, iter([part.to(training.device) for part in tensors_of(raw)]))
            if observed:
                self._observe(batch, due)
                continue
            scale = strategy.scoring_scale()
            if scale is None and strategy.batches_at_once() == 1:
                yield from self._offer(batch, due)
                continue
            training.waiting.add(batch, due, *self._chosen(batch, due, scale))
            yield from self._gathered()

    def _gathered(self) -> Iterator[Any]:
        """The batches that those chosen so far fill."""
        while (full := self.training.waiting.take(self.training.batch_size)) is not None:
            yield from self._offer(*full)

    def _offer(self, batch: Any, due: Due) -> Iterator[Any]:
        self.training.due = due
        yield batch
        if self.training.due is not None:
            raise FrugalError(
                "select: a batch wasn't weighed; call training.weigh(losses) for each, before the next one"
            )

    def _chosen(self, batch: Any, due: Due, scale: float | None) -> tuple[Tensor, Tensor | None]:
        training = self.training
        if scale is None:
            return torch.arange(len(due.mine), device=training.device), None
        training.ledger.samples_forwarded += len(due.whole)
        logits, labels = self._scored(shrunk(batch) if scale == 0.5 else batch)
        chosen = training.strategy.select_from(due.mine, logits, labels)
        return chosen if isinstance(chosen, tuple) else (chosen, None)

    @torch.no_grad()
    def _scored(self, batch: Any) -> tuple[Tensor, Tensor]:
        model = self.training.model
        training = model.training
        model.eval()
        try:
            return self.score(batch)
        finally:
            model.train(training)

    def _observe(self, batch: Any, due: Due) -> None:
        """Forward a batch to know its losses, and nothing else."""
        training = self.training
        logits, labels = self._scored(batch)
        smoothing = training.run.label_smoothing
        values = functional.cross_entropy(logits.float(), labels, reduction="none", label_smoothing=smoothing)
        seen, _ = training.team.combine([], values, torch.zeros_like(values), len(due.whole))
        training.losses.index_copy_(0, due.whole, seen)
        training.ledger.samples_forwarded += len(due.whole)
