"""Events at which neurons may be removed: checks every so many steps, from the warm-up to a point after which the net settles."""

from dataclasses import dataclass

from frugal.errors import FrugalError


@dataclass(frozen=True)
class Events:
    """The calendar of removals.

    every: steps between checks; warmup, until: shares of the training between which there are checks; most: events at most.
    With a target the events are spread evenly; without, each check that finds something is one.
    """

    every: int
    warmup: float
    until: float
    most: int

    def __post_init__(self) -> None:
        if self.until <= self.warmup:
            raise FrugalError(
                f"strategy dynamic_pruning: until is {self.until:g} and warmup {self.warmup:g}, both shares of the training; "
                "until must be the larger one"
            )

    def passed(self, progress: float) -> float:
        """How far between warm-up and end, 0 to 1. progress: of the training, in [0, 1]."""
        return min(1.0, max(0.0, (progress - self.warmup) / (self.until - self.warmup)))

    def due(self, progress: float) -> int:
        """How many of the events of a target should have been by now, 0 to `most`."""
        return int(self.most * self.passed(progress) + 1e-9)

    def possible(self, steps: int) -> int:
        """How many events with something to remove fit into a training of that many steps, on the way to a target.

        Raises FrugalError where no check comes late enough for the last one.
        """
        due = [self.due(step / steps) for step in range(self.every, steps + 1, self.every)]
        if not due or due[-1] < self.most:
            raise FrugalError(
                f"strategy dynamic_pruning: a check every {self.every} of {steps} steps leaves none after {self.until:g} of the "
                "training, so the target can't be reached in time; lower every or until"
            )
        return len(set(due) - {0})
