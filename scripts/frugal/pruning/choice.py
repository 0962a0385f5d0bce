"""Choice of the neurons that an event removes: those under a threshold for long enough, or the least important for a target."""

import torch
from torch import Tensor

from frugal.pruning.guards import Guards
from frugal.pruning.removal import Neurons
from frugal.pruning.sizes import Sizes


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

    Slices of one rounding step each go in the order of the importance that a FLOP less costs, until the share is reached.
    Where the last one cuts deep, those before it that are no longer needed stay, the most important ones first.
    importance: by group, (live units,), comparable between groups
    """
    slices, full = [], neurons.widths
    now = sizes.share(full)
    for group in guards.groups:
        narrower = guards.narrower(group, full[group.name])
        if not narrower:
            continue
        first = narrower[0]
        saved = (now - sizes.share(full | {group.name: first})) / (full[group.name] - first)
        ascending = importance[group.name].sort().values
        before = full[group.name]
        for width in narrower:
            lost = ascending[full[group.name] - before : full[group.name] - width]
            slices.append((float(lost.mean()) / saved, group.name, width, before))
            before = width
    slices.sort(key=lambda s: (s[0], s[1], -s[2]))  # means of one group rise, so its slices stay in order

    def after(count: int) -> dict[str, int]:
        return full | {name: width for _, name, width, _ in slices[:count]}

    low, high = 0, len(slices)
    while low < high:  # the fewest slices that are enough: FLOPs fall with each
        middle = (low + high) // 2
        low, high = (low, middle) if sizes.share(after(middle)) <= share else (middle + 1, high)
    widths = after(low)
    for _, name, width, before in slices[: max(0, low - 1)][::-1]:
        if widths[name] == width and sizes.share(widths | {name: before}) <= share:
            widths[name] = before
    return widths
