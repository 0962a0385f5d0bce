"""The training in somebody's loop as hooks of a strategy see it: `frugal.strategies.base.TrainingState`."""

from typing import Any

from torch import Tensor

from frugal.errors import FrugalError


class View:
    """What it isn't asked for here is an attribute of the training, a `frugal.loops.plain.Frugal`."""

    def __init__(self, training: Any):
        self.training = training

    def __getattr__(self, name: str) -> Any:
        return getattr(self.training, name)

    @property
    def step(self) -> int:
        """Batches of the epoch under way that were taken."""
        return self.training.step_of_epoch

    @property
    def position(self) -> float:
        """Epochs that are done, with the share of the batches of the one under way."""
        training = self.training
        return training.passed + (training.step_of_epoch / len(training.batches) if training.batches else 0.0)

    @property
    def progress(self) -> float:
        """Share of the training that is done, in [0, 1]; within an epoch by its batches."""
        return min(1.0, self.position / self.training.epochs)

    @property
    def ended(self) -> bool:
        """Whether less than half a step of the training is left."""
        training = self.training
        return training.ledger.steps > 0 and (training.epochs - self.position) * training.steps < 0.5

    def scheduled_rate(self, progress: float) -> float:
        """The learning rate at a share of the training. Raises FrugalError where no schedule was given."""
        if self.training.schedule is None:
            raise FrugalError(
                f"{self.training.use} follows the schedule of the learning rate; give schedule=, from the share of the training "
                "that is done, in [0, 1], to a rate, and use no scheduler"
            )
        return self.training.schedule(progress)

    def spent(self, cost: str) -> float | None:
        """Raises FrugalError: costs are counted by frugal's own trainer."""
        raise FrugalError(
            f"{self.training.use} asks for {cost}, which only frugal's own trainer counts; train with that"
        )

    def score_training_set(self, *_given: Any, **_named: Any) -> Tensor:
        """Raises FrugalError, in place of (n,) scores: only frugal's own trainer has the data set."""
        raise FrugalError(
            f"{self.training.use} scores the data set, as only frugal's own trainer does; train with that"
        )

    def model_changed(self) -> None:
        """Nothing is kept here that depends on the model's shapes."""
