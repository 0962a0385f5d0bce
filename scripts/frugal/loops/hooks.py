"""Hooks by which a model and an optimizer tell that a loop calls them; copies and pickles of either carry none."""

import weakref
from collections.abc import Callable
from typing import Any


class Hook:
    """Calls a method of an object for as long as that lives."""

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
