"""Choice of the neurons that an event removes: those under a threshold for long enough, or the least important for a target.

Limits say how much of a layer may be removed at once, in what steps, and in total.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from frugal.pruning.groups import Group
from frugal.pruning.removal import Neurons
from frugal.pruning.sizes import Sizes


@dataclass
class Guards:
    """Limits on the widths of each group.

    step: share of a group's full width that may go per event; floor: share that always stays; round_to: channels that a
    width is kept a multiple of, for fast kernels and few different shapes. A layer too narrow for `step` to allow a
    multiple saves up its allowance over events until it does; beyond one event's worth, or one multiple, nothing is saved.
    """

    step: float
    floor: float
    round_to: int
    groups: list[Group]
    saved: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.saved = self.saved or {group.name: 0.0 for group in self.groups}

    def multiple(self, group: Group) -> int:
        """Units that a group's width stays a multiple of."""
        return self.round_to // math.gcd(self.round_to, group.size)

    def least(self, group: Group) -> int:
        """The width at which a group is at its floor and is left as it is."""
        multiple = self.multiple(group)
        return min(group.units, multiple * max(1, math.ceil(self.floor * group.units / multiple - 1e-9)))

    def grant(self) -> None:
        """Grant each group one event's allowance."""
        for group in self.groups:
            most = max(self.multiple(group), self.step * group.units)
            self.saved[group.name] = min(most, self.saved[group.name] + self.step * group.units)

    def narrower(self, group: Group, width: int) -> list[int]:
        """Widths that a group of this width may be cut to in this event, widest first."""
        multiple, lowest = self.multiple(group), max(self.least(group), width - self.saved[group.name] - 1e-9)
        return [w for w in range((width - 1) // multiple * multiple, 0, -multiple) if w >= lowest]

    def spend(self, group: Group, removed: int) -> None:
        """Take what was removed from a group off its allowance."""
        self.saved[group.name] = max(0.0, self.saved[group.name] - removed)

    def at_floor(self, widths: dict[str, int]) -> list[str]:
        """Names of the groups that can't become any narrower."""
        return [group.name for group in self.groups if widths[group.name] <= self.least(group)]

    def reachable(self, events: int) -> dict[str, int]:
        """The narrowest widths after that many events."""
        trial = Guards(self.step, self.floor, self.round_to, self.groups)
        widths = {group.name: group.units for group in self.groups}
        for _ in range(events):
            trial.grant()
            for group in self.groups:
                allowed = trial.narrower(group, widths[group.name])
                if allowed:
                    trial.spend(group, widths[group.name] - allowed[-1])
                    widths[group.name] = allowed[-1]
        return widths


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
