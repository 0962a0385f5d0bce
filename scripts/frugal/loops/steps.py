"""Steps of an optimizer in somebody's loop: checked to follow a weighed loss, with the learning rate that a strategy wants."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from frugal.errors import FrugalError
from frugal.training.optimizer import MULTIPLIER


class Hook:
    """Calls a method of an object for as long as that lives; copies and pickles of what it is hooked to carry none."""

    def __init__(self, method: Callable[..., Any]):
        self.method = weakref.WeakMethod(method)

    def __call__(self, *given: Any) -> Any:
        """What the method returns, and None once its object is gone."""
        method = self.method()
        return None if method is None else method(*given)

    def __deepcopy__(self, _memo: dict) -> Callable[..., None]:
        return nothing

    def __reduce__(self) -> str:
        return "nothing"


def nothing(*_given: Any) -> None:
    """In place of a hook, in a copy."""


class Steps:
    """Tells before and after each step of an optimizer, whoever calls it.

    before, after: called around each step; rate: the strategy's, of the scheduled one; schedule: share of the training -> rate,
    or None where the loop sets the rates: what a strategy changes of them is then changed back after the step
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        before: Callable[[], None],
        after: Callable[[], None],
        rate: Callable[[float], float],
        schedule: Callable[[float], float] | None,
    ):
        self.optimizer, self.before, self.after, self.rate, self.schedule = optimizer, before, after, rate, schedule
        self.weighed = self.went_back = self.ready = False
        self.progress = 0.0  # of the training, when the batch under way was taken
        self.left: list[Any] | None = None  # rates by the schedule, which nobody else may change
        self.own: list[Any] = []  # rates of the loop's, to be put back
        optimizer.register_step_pre_hook(Hook(self._before))
        optimizer.register_step_post_hook(Hook(self._after))

    def follow(self, loss: Tensor, progress: float) -> None:
        """The next step follows the gradient of this loss (0-d). progress: of the training, before its batch."""
        loss.register_hook(Hook(self._note))
        self.weighed, self.went_back, self.progress = True, False, progress

    def _note(self, _gradient: Tensor) -> None:
        self.went_back = True

    def _before(self, optimizer: torch.optim.Optimizer, given: tuple, named: dict) -> tuple[tuple, dict] | None:
        closure = named.get("closure", given[1] if len(given) > 1 else None)
        if closure is None:
            self._make_ready()
            return None

        def wrapped() -> Any:  # it has the passes in it
            found = closure()
            self._make_ready()
            return found

        return (optimizer,), {**named, "closure": wrapped}

    def _make_ready(self) -> None:
        if not self.weighed:
            raise FrugalError(
                "the optimizer steps and no batch was weighed; call training.weigh(losses) and backward() on it"
            )
        if not self.went_back:
            raise FrugalError(
                "the loss that weigh gave wasn't back-propagated; call backward() on that one, not on another"
            )
        self.before()
        groups = self.optimizer.param_groups
        if self.schedule is None:
            self.own = [group["lr"] for group in groups]
            for group in groups:
                group["lr"] = self.rate(group["lr"]) * group.get(MULTIPLIER, 1.0)
        else:
            if self.left is not None and self.left != [group["lr"] for group in groups]:
                raise FrugalError(
                    "the learning rate was set by `schedule` and by somebody else; leave one of the two out"
                )
            rate = self.rate(self.schedule(self.progress))
            for group in groups:
                group["lr"] = rate * group.get(MULTIPLIER, 1.0)
            self.left = [group["lr"] for group in groups]
        self.ready = True

    def _after(self, *_given: Any) -> None:
        if not self.ready:
            raise FrugalError(
                "the optimizer took a step without calling its closure; give it one that calls weigh, or none"
            )
        if self.schedule is None:
            for group, rate in zip(self.optimizer.param_groups, self.own, strict=True):
                group["lr"] = rate
        self.weighed = self.went_back = self.ready = False
        self.after()
