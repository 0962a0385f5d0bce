"""Epochs in somebody's loop: planned by a strategy, handed out batch by batch, closed once all of them were trained on."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, device
from torch.utils.data import Sampler

from frugal.errors import FrugalError
from frugal.loops.candidates import Due, Waiting
from frugal.loops.view import View
from frugal.measure.ledger import Ledger
from frugal.strategies.base import Run, Strategy
from frugal.training.batches import Epoch, arrange, cut
from frugal.training.distributed import Team


class Batches(Sampler[list[int]]):
    """Batches of the epoch under way, of this rank: lists of indices, for `DataLoader(data, batch_sampler=...)`."""

    def __init__(self, training: "Epochs"):
        self.training = training

    def __iter__(self) -> Iterator[list[int]]:
        return self.training.hand_out()

    def __len__(self) -> int:
        planned = self.training.planned()
        return 0 if planned is None else len(planned)


class Epochs:
    """The epochs of a `Frugal`, which makes and owns what is named here.

    epoch: epochs that are closed; passed: likewise, as a number with a fraction; steps: batches of the epoch planned last;
    step_of_epoch: those taken of the one under way; handed: those that the loader has asked for; batches: of that epoch, those
    of all ranks, and share: this rank's part of them; trained: samples of it that were weighed; steps_before: of the optimizer,
    when it was planned; rate_at: progress before the batch under way; due: a batch that `select` gave and that isn't weighed yet
    """

    use: str
    strategy: Strategy
    run: Run
    view: View
    team: Team
    device: device
    ledger: Ledger
    history: list[dict[str, Any]]
    losses: Tensor
    mixed_up: Tensor
    epochs: int
    batch_size: int
    epoch: int
    passed: float
    steps: int
    step_of_epoch: int
    handed: int
    trained: int
    steps_before: int
    rate_at: float
    batches: Epoch | None
    share: Epoch | None
    due: Due | None
    picks: bool
    selecting: object | None
    waiting: Waiting
    resumed: bool
    finished: bool

    def most_batches(self) -> int:
        """Of an epoch that leaves nothing out, with one more that samples left of the last epoch may fill."""
        return len(cut(self.run.samples, self.batch_size)) + self.picks

    def planned(self) -> Epoch | None:
        """This rank's part of the epoch under way, or of the next; after the last one, of that."""
        self.settle()
        if self.batches is None and self.epoch < self.epochs:
            self._plan()
        return self.share

    def hand_out(self) -> Iterator[list[int]]:
        """Indices of each batch from the one that is due on. Raises FrugalError where the loop left the last epoch unfinished."""
        self.settle()
        if self.batches is None and self.epoch >= self.epochs:
            raise FrugalError(f"all {self.epochs} epochs are done; make a new Frugal to train on")
        if self.batches is not None and self.handed and not self.resumed:
            self._complain()
        if self.waiting.full(self.batch_size):
            raise FrugalError(
                f"the state that was loaded holds batches that {self.use} chose and that aren't trained on yet; train on "
                "`for batch in training.select(loader)`"
            )
        share = self.planned()
        order, self.resumed, self.handed = share.order.cpu(), False, self.step_of_epoch
        for place in range(self.step_of_epoch, len(share)):
            self.handed = place + 1
            first, last = share.bounds[place]
            yield order[first:last].tolist()

    def _complain(self) -> None:
        done, count = self.step_of_epoch, len(self.batches)
        if done == 0 and self.handed < count:
            return  # somebody looked at a batch
        hook = "training.select(loader)" if self.picks else "training.weigh(losses)"
        if done == 0:
            raise FrugalError(
                f"epoch {self.epoch + 1} ended without a batch that was weighed; call {hook} in each step"
            )
        raise FrugalError(
            f"epoch {self.epoch + 1} was left after {done} of {count} batches; call {hook} for each of them, to the last"
        )

    def _plan(self) -> None:
        plan = self.strategy.plan_epoch(self.epoch, self.losses)
        size = self.batch_size * self.strategy.batches_at_once()
        self.batches = arrange(plan, self.run.samples, size, False, self.draws).to(self.device)
        self.share = self.team.share(self.batches)
        self.steps, self.step_of_epoch, self.handed, self.trained = len(self.batches), 0, 0, 0
        self.steps_before = self.ledger.steps

    def take(self) -> tuple[Due, bool]:
        """The next batch of the epoch, and whether it is only forwarded. Raises FrugalError for one that wasn't handed out."""
        if self.batches is None or self.step_of_epoch >= self.handed:
            raise FrugalError(
                "a batch came that training.sampler didn't hand out; make the loader with DataLoader(data, "
                "batch_sampler=training.sampler)"
            )
        place = self.step_of_epoch
        first, last = self.batches.bounds[place]
        start, stop = self.share.bounds[place]
        weight = None if self.share.weight is None else self.share.weight[start:stop]
        self.rate_at = self.view.progress
        self.step_of_epoch += 1
        return Due(self.batches.order[first:last], self.share.order[start:stop], weight), self.batches.observed[place]

    def settle(self) -> None:
        """Close the epoch under way if all its batches are trained on. Raises FrugalError where it trained nothing."""
        if self.batches is None or self.step_of_epoch < len(self.batches) or self.due is not None:
            return
        if self.waiting.full(self.batch_size):
            return
        if self.trained == 0:
            raise FrugalError(
                f"{self.use} chose less than one batch of {self.batch_size} in epoch {self.epoch + 1}; raise its target or lower "
                "batch_size"
            )
        if self.ledger.steps == self.steps_before:
            raise FrugalError(
                f"the optimizer that Frugal knows took no step in epoch {self.epoch + 1}: it isn't the one that trains the "
                "model, which is to be given to Frugal, or training.step() was not called"
            )
        if self.losses.isnan().any():
            raise FrugalError(f"a loss of epoch {self.epoch + 1} is no number; lower the learning rate")
        self.check_order()
        self.strategy.after_epoch(self.view)
        self.history.append({"epoch": self.epoch + 1, "samples": self.trained, **self.strategy.evidence()})
        self.epoch, self.passed = self.epoch + 1, self.view.position
        self.batches, self.step_of_epoch, self.handed = None, 0, 0
        if self.epoch >= self.epochs and not self.finished:
            self.finished = True
            self.strategy.finish(self.view)

    def check_order(self) -> None:
        """Raise FrugalError where other samples came than those that were due."""
        if self.mixed_up:
            raise FrugalError(
                "weigh: the indices aren't those of the batch that is due; weigh each batch once, in the order of the loader"
            )
