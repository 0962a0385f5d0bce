"""Which neurons go in an event: those under a threshold for long enough, or the least important for a target."""

import torch
from torch import Tensor

from frugal.pruning.guards import Guards
from frugal.pruning.removal import Neurons, Sizes


def least_important(importance: dict[str, Tensor], widths: dict[str, int]) -> dict[str, Tensor]:
    """By group, masks over the live units: the most important ones, as many as its width says. importance: (live units,)."""
    stays = {}
    for name, values in importance.items():
        order = values.argsort(stable=True, descending=True)
        stays[name] = torch.zeros(len(values), dtype=torch.bool)
        stays[name][order[: widths[name]]] = True
    return stays


def by_threshold(neurons: Neurons, guards: Guards, strikes: dict[str, Tensor], checks: int) -> dict[str, int]:
    """New widths where as many units go as have been under the threshold in `checks` checks running, if the guards allow."""
    widths = neurons.widths
    for group in guards.groups:
        width = widths[group.name]
        struck = int((strikes[group.name] >= checks).sum())
        allowed = [w for w in guards.narrower(group, width) if w >= width - struck]
        widths[group.name] = allowed[-1] if allowed else width
    return widths


def by_target(
    neurons: Neurons, guards: Guards, sizes: Sizes, importance: dict[str, Tensor], share: float
) -> dict[str, int]:
    """New widths whose FLOPs are at most `share` of the full model's, or the least that the guards allow.

    Slices of one rounding step each go in the order of their neurons' mean importance, until the share is reached.
    """
    slices, widths = [], neurons.widths
    for group in guards.groups:
        ascending = importance[group.name].sort().values
        before = widths[group.name]
        for width in guards.narrower(group, before):
            first, last = widths[group.name] - before, widths[group.name] - width
            slices.append((float(ascending[first:last].mean()), group.name, width))
            before = width
    slices.sort(key=lambda s: (s[0], s[1], -s[2]))  # means of one group rise, so its slices stay in order

    def after(count: int) -> dict[str, int]:
        return widths | {name: width for _, name, width in slices[:count]}

    low, high = 0, len(slices)
    while low < high:  # the fewest slices that are enough: FLOPs fall with each
        middle = (low + high) // 2
        low, high = (low, middle) if sizes.share(after(middle)) <= share else (middle + 1, high)
    return after(low)
