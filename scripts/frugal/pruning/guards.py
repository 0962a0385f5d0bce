"""Limits on removals: how much of a layer may be removed at once, in what steps, and in total."""

import math
from dataclasses import dataclass, field

from frugal.pruning.groups import Group


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
